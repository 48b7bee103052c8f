"""`docker build`: what BuildKit runs is captured as containers are, step by step."""

import os
import re
import shutil
import subprocess

import pytest

from support.cli import INTERPOSE
from support.engine import Engine, running
from support.roots import library, missing
from support.site import installed

IMAGE = "interpose-test/bookworm"
DOCKERFILE = f"""\
FROM {IMAGE} AS first
ARG INTERPOSE_CAPTURE
COPY in.txt /in.txt
RUN sort /in.txt >/sorted.txt
RUN grep -c a /sorted.txt >/counted.txt
FROM {IMAGE}
COPY --from=first /counted.txt /copied.txt
RUN echo unasked >/unasked.txt
ARG INTERPOSE_CAPTURE
RUN tr 1 2 </copied.txt >/last.txt
"""


@pytest.fixture(scope="module")
def docker():
    """A docker command that can use BuildKit: up to 22 by itself, later with the plug-in buildx."""
    for program in filter(None, (shutil.which("docker"), "/usr/bin/docker")):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"version (\d+)", said)
        if version and int(version[1]) < 23:
            return program
        if version and not subprocess.run([program, "buildx", "version"], capture_output=True, check=False).returncode:
            return program
    return missing("a docker command with BuildKit")


@pytest.fixture(scope="module", params=[None, "sid"], ids=["own", "sid"])
def building(request, tmp_path_factory):
    """A site whose dockerd was started with the folder of `interpose docker install` in its PATH."""
    library()
    engine = Engine(release=request.param)
    (engine.programs / "runc").symlink_to(engine.folder / "host/path/runc")
    with running(engine), installed(engine, tmp_path_factory.mktemp("builds") / "interpose.db") as site:
        engine.import_release("bookworm")
        yield site


def build(docker, engine, folder, *options):
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "in.txt").write_text("b\na\n")
    done = subprocess.run(
        [docker, "--host", engine.url, "build", "--no-cache", "--progress=plain", "--tag", "built", *options, folder],
        env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2" == engine.text("run", "--rm", "built", "cat", "/last.txt")
    assert "" == engine.text("run", "--rm", "built", "find", "/dev", "-name", "interpose*")  # nothing is in its layers


def steps(site):
    """What the captured steps of builds ran, the oldest first."""
    runs = [
        run for run in site.ask("runs") if (run["container"] or {"labels": {}})["labels"].get("interpose.dev/build")
    ]
    for run in runs:
        processes = site.ask("ps", run["id"])
        yield {program["arguments"][0] for process in processes for program in process["programs"]}


def test_a_build_that_does_not_ask_is_as_without_us(building, docker, tmp_path):
    build(docker, building.engine, tmp_path)

    assert [] == list(steps(building))
    assert [] == building.service.channels()


def test_the_steps_that_ask_are_captured_and_end(building, docker, tmp_path):
    build(docker, building.engine, tmp_path, "--build-arg", "INTERPOSE_CAPTURE=true")
    building.service.settled()

    found = list(steps(building))
    assert 3 == len(found)
    assert [{"sort"} <= found[0], {"grep"} <= found[1], {"tr"} <= found[2]] == [True] * 3
    assert [] == list((building.host / "active").iterdir())


def test_lineage_goes_from_a_container_into_the_steps_of_its_image(building, docker, tmp_path):
    engine = building.engine
    build(docker, engine, tmp_path, "--build-arg", "INTERPOSE_CAPTURE=true")
    engine.docker("run", "--detach", "--name", "other", IMAGE, "sleep", "600")  # whose root takes a device's number
    asked = ("--runtime", "interpose", "--env", "INTERPOSE_CAPTURE=true")
    engine.docker("run", *asked, "--name", "life", "built", "sh", "-c", "cat /last.txt >/out.txt")
    engine.docker("commit", "life", "committed")
    engine.docker("run", *asked, "--name", "after", "committed", "sh", "-c", "cat /out.txt >/end.txt")
    engine.docker("rm", "--force", "other")
    building.service.settled()

    def made_by(container, path):
        return {row["arguments"][0] for row in building.ask("lineage", path, "--container", container) if "pid" in row}

    assert {"cat", "tr"} <= made_by("life", "/out.txt")
    assert "cat" in made_by("after", "/end.txt")
    assert not {"tr", "sort"} & made_by("after", "/end.txt")  # the Engine wrote that copy


def test_every_step_is_captured_where_the_host_wants_it(building, docker, tmp_path):
    before = len(list(steps(building)))
    (building.host / "builds").touch()
    try:
        build(docker, building.engine, tmp_path)
    finally:
        (building.host / "builds").unlink()
    building.service.settled()

    assert 4 == len(list(steps(building))) - before


def test_status_says_whether_builds_go_through(building):
    def status():
        given = ["--host", str(building.host), "--docker-host", building.engine.url]
        done = subprocess.run([*INTERPOSE, "docker", "status", *given], capture_output=True, text=True, check=False)
        return next(line for line in done.stdout.splitlines() if line.startswith("builds"))

    reached = status()
    (building.host / "path/runc").rename(building.host / "path/away")
    unreached = status()
    (building.host / "path/away").rename(building.host / "path/runc")

    assert "builds   go through it" in reached
    assert f"are not captured: dockerd has to be started with a PATH that begins with {building.host}/path" in unreached
