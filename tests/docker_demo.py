"""`make docker-demo`: one label, and jobs in containers of four systems have a lineage; an unlabelled one has no trace.

The Docker Engine is the demo's own, in a network of its own; images are made of what tests/install-packages made.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.engine import Engine, HostService, running
from support.roots import ROOTS

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "build/docker-demo"
INTERPOSE = str(Path(sys.executable).with_name("interpose"))
SORT = "sort /etc/passwd | uniq -c > /out"
COMPILE = "echo 'int main(void) { return 0; }' > /a.c && gcc -c /a.c -o /out"
PYTHON = "python3 -c \"open('/out', 'w').write(open('/etc/debian_version').read().upper())\""
EVERY = (SORT, COMPILE, PYTHON)
SYSTEMS = {"bullseye": EVERY, "bookworm": EVERY, "trixie": EVERY, "musl": (SORT,)}
NAMES = {SORT: "sort", COMPILE: "gcc", PYTHON: "python"}
INPUTS = {SORT: "/etc/passwd", COMPILE: "/a.c", PYTHON: "/etc/debian_version"}


def show(*command: str, environment: dict[str, str], quietly: bool = False) -> str:
    """Run a command as a reader would, and say so; returns what it printed."""
    if not quietly:
        print(f"\n$ {' '.join(word if ' ' not in word else repr(word) for word in command)}", flush=True)
    program = INTERPOSE if command[0] == "interpose" else command[0]
    done = subprocess.run(
        [program, *command[1:]], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    said = done.stdout.decode(errors="replace")
    if not quietly:
        print(said, end="")
    if done.returncode:
        raise SystemExit(f"docker-demo: `{' '.join(command)}` ended with status {done.returncode}: {said}")
    return said


def demonstrate(engine: Engine) -> None:
    """Install, run the jobs, and ask how what they made was made."""
    host, database = engine.folder / "host", DEMO / "interpose.db"
    environment = {**os.environ, "DOCKER_HOST": engine.url, "INTERPOSE_DB": f"sqlite:///{database}"}
    for system in SYSTEMS:
        engine.import_root(f"demo/{system}", ROOTS / system)
    install = ("interpose", "docker", "install", "--host", str(host), "--config-file", str(engine.config), "--default")
    show(*install, environment=environment)
    service = HostService(host, database)
    service.start()
    try:
        for system, jobs in SYSTEMS.items():
            for job in jobs:
                options = ("--rm", "--name", f"{system}-{NAMES[job]}", "--label", "interpose.dev/capture=true")
                show("docker", "run", *options, f"demo/{system}", "sh", "-c", job, environment=environment)
        plain = "ls -A /dev; cat /proc/self/maps /proc/self/environ"
        traces = show(
            "docker", "run", "--rm", "demo/bookworm", "sh", "-c", plain, environment=environment, quietly=True
        )
        service.settled()
        ask(environment)
    finally:
        service.stop()
    if "interpose" in traces:
        raise SystemExit("docker-demo: the unlabelled container has a trace of us")
    print("\nThe container without the label: nothing of ours in /dev, in its memory, or in its environment.")


def ask(environment: dict[str, str]) -> None:
    """Show the runs and two lineages, and check them all."""
    show("interpose", "runs", environment=environment)
    for container in ("trixie-gcc", "musl-sort"):
        show("interpose", "lineage", "/out", "--container", container, environment=environment)
    for system, jobs in SYSTEMS.items():
        for job in jobs:
            question = ("interpose", "lineage", "/out", "--container", f"{system}-{NAMES[job]}")
            if INPUTS[job] not in show(*question, environment=environment, quietly=True):
                raise SystemExit(f"docker-demo: {system}: {job}: {INPUTS[job]} is missing in its lineage")


def main() -> None:
    """The whole demonstration; a failure is one line and status 1."""
    missing = [system for system in SYSTEMS if not (ROOTS / f"{system}.ok").exists()]
    if missing or os.geteuid() != 0:
        raise SystemExit("docker-demo: run tests/install-packages as root first, and this as root")
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    with running(Engine()) as engine:
        demonstrate(engine)


if __name__ == "__main__":
    main()
