"""The images of docker/Dockerfile and the trial of docker/compose.yaml, without an index of packages or of images.

Everything is made of one root of Debian, and of the packages that are installed here.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata

import pytest

from support.engine import Engine, running
from support.roots import REPOSITORY, ROOTS, library, missing
from support.site import CAPTURED, install
from support.waiting import until
from support.wheels import pack_wheels

BASE = "interpose-test/trial:1"
IMAGES = ("interpose-sidecar", "interpose-injector")
SERVICES = {
    # As the official image does: the first start makes a cluster, with this user and a database of his name.
    "postgres": r"""
        FROM interpose-test/trial:1
        RUN ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin && install -d -o postgres /var/lib/postgresql/data
        USER postgres
        WORKDIR /var/lib/postgresql/data
        ENTRYPOINT ["sh", "-ec", "\
            if [ ! -e PG_VERSION ]; then \
                echo \"$POSTGRES_PASSWORD\" > /tmp/password; \
                initdb -D . --username=\"$POSTGRES_USER\" --pwfile=/tmp/password --auth-host=scram-sha-256 \
                    --encoding=UTF8 --locale=C --no-sync; \
                echo 'host all all all scram-sha-256' >> pg_hba.conf; \
                echo \"CREATE DATABASE $POSTGRES_USER\" | postgres --single -D . postgres; \
            fi; \
            exec postgres -D . -c listen_addresses='*' -c unix_socket_directories=/tmp"]
    """,
    "prometheus": """
        FROM interpose-test/trial:1
        RUN install -d -o nobody /prometheus
        USER nobody
        ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    """,
}
JOB = "sort /etc/passwd > /out; trap exit TERM; while :; do sleep 0.1; done"


class Trial:
    """An Engine, and the project on it."""

    def __init__(self, engine, source):
        self.engine, self.host, self._source = engine, engine.folder / "host", source
        self.environment = {
            **os.environ,
            "DOCKER_CONFIG": str(engine.folder / "client"),
            "BASE": BASE,
            "BUILD_BASE": BASE,
            "PIP_OPTIONS": "--no-index --find-links=/source/docker/wheels",
            "INTERPOSE_PASSWORD": "secret",
            "INTERPOSE_HOST": str(self.host),
            "POSTGRES_IMAGE": "interpose-test/postgres",
            "PROMETHEUS_IMAGE": "interpose-test/prometheus",
            "DOCKER_SOCKET": engine.url.removeprefix("unix://"),
            "DOCKER_GROUP": str(os.stat(engine.url.removeprefix("unix://")).st_gid),
        }

    def compose(self, *arguments):
        """`docker compose` with the project and all of its services."""
        given = ("compose", "--file", str(self._source / "docker/compose.yaml"), "--profile", "watch", *arguments)
        return self.engine.docker(*given, env=self.environment, timeout=600).stdout.decode()

    def ask(self, *arguments):
        """The sidecar's answer to a question, as objects."""
        answer = self.compose("exec", "--no-TTY", "sidecar", "interpose", *arguments, "--json")
        return [json.loads(line) for line in answer.splitlines()]

    def captured(self):
        """The names of the containers that are known."""
        return {run["container"]["name"] for run in self.ask("runs")}

    def get(self, url):
        """What a port of the Engine's machine answers."""
        done = subprocess.run([*self.engine.beside, "curl", "--silent", "--fail", url], capture_output=True, check=True)
        return done.stdout.decode()


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """The project, started by the one command, and the runtime installed as it says."""
    library()
    if not (ROOTS / "trial.ok").exists():
        missing("the root of the trial")
    if sys.version_info[:2] != (3, 11):
        missing("Python 3.11, which the root of the trial has", "make install with that")
    source = tmp_path_factory.mktemp("trial") / "source"
    shutil.copytree(REPOSITORY, source, ignore=_outside_the_context)
    (source / "docker/wheels").mkdir()
    pack_wheels(source / "docker/wheels")
    subprocess.run(["chmod", "-R", "a+rX", str(source.parent.parent)], check=True)
    with running(Engine(release="trixie", in_memory=True)) as engine:
        engine.import_root(BASE, ROOTS / "trial")
        made = Trial(engine, source)
        for name, content in SERVICES.items():
            given = ("build", "--tag", f"interpose-test/{name}", "-")
            engine.docker(*given, stdin=None, input=content.encode(), env={**made.environment, "DOCKER_BUILDKIT": "0"})
        install(engine, made.host, "--user", "65532")
        made.compose("up", "--build", "--detach", "--wait")
        yield made


def _outside_the_context(folder, names):
    """What is not in the repository: made things, and the wheels of somebody else."""
    return {".git", ".venv", "build", "wheels", "__pycache__"}.intersection(names)


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_without_privileges_on_a_root_that_is_read_only(trial, image):
    limits = ("--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
    version = trial.engine.docker("run", *limits, "--entrypoint", "interpose", image, "--version")
    user = trial.engine.text("run", *limits, "--entrypoint", "id", image)

    assert (f"interpose {metadata.version('interpose')}\n", b"") == (version.stdout.decode(), version.stderr)
    assert "uid=65532 gid=65532 groups=65532" == user


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_small(trial, image):
    sizes = [int(trial.engine.text("image", "inspect", "--format", "{{.Size}}", name)) for name in (image, BASE)]
    found = trial.engine.text("run", "--rm", "--entrypoint", "sh", image, "-c", "ls /; ls /opt/interpose/bin")

    assert 50 << 20 < sizes[0] - sizes[1] < 120 << 20
    assert not {"source", "wheels", "pip"} & set(found.split())


def test_a_labelled_container_is_in_the_database_and_in_prometheus(trial):
    trial.engine.docker("run", "--detach", "--name", "labelled", *CAPTURED, BASE, "sh", "-c", JOB)
    until(30, lambda: "labelled" in trial.captured(), "the sidecar has it")
    lineage = trial.ask("lineage", "/out", "--container", "labelled")

    def scraped():
        told = json.loads(trial.get("http://127.0.0.1:9090/api/v1/query?query=interpose_container_events_total"))
        return {each["metric"]["container"]: int(each["value"][1]) for each in told["data"]["result"]}

    until(60, lambda: scraped().get("labelled", 0) > 0, "Prometheus has it")
    trial.engine.docker("rm", "--force", "labelled")

    assert "/etc/passwd" in {row["path"] for row in lineage if row["type"] == "file"}
    assert not [name for name in trial.captured() if name.startswith("interpose-")], "the project's own ask for nothing"


def test_the_injector_makes_a_container_anew_that_was_started_without_the_runtime(trial):
    labels = (*CAPTURED[2:], "--label", "interpose.dev/recreate=true")
    trial.engine.docker("run", "--detach", "--name", "missed", *labels, BASE, "sh", "-c", JOB)
    until(
        60,
        lambda: "missed: recreated" in trial.compose("logs", "--no-log-prefix", "injector"),
        "the injector has seen it",
    )
    until(30, lambda: "missed" in trial.captured(), "the sidecar has it")
    trial.engine.docker("rm", "--force", "missed")


def test_every_service_runs_on(trial):
    told = [json.loads(line) for line in trial.compose("ps", "--all", "--format", "json").splitlines()]

    assert {"sidecar", "injector", "postgres", "prometheus"} == {service["Service"] for service in told}
    for service in told:
        assert ("running", 0) == (service["State"], trial.engine.inspect(service["Name"])["RestartCount"])


def test_what_ends_while_the_sidecar_is_down_is_stored_later(trial):
    trial.compose("stop", "sidecar")
    trial.engine.docker("run", "--rm", "--name", "alone", *CAPTURED, BASE, "sort", "/etc/passwd")
    trial.compose("up", "--detach", "--wait", "sidecar")
    until(30, lambda: "alone" in trial.captured(), "the sidecar has it")
    until(30, lambda: not list((trial.host / "containers").iterdir()), "every channel is stored and removed")
