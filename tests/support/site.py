"""An Engine with the runtime installed, and a host service that stores what is captured of its containers."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from interpose.cli.command import interpose
from support.cli import INTERPOSE, Lineage
from support.engine import Engine, HostService, Outcome

__all__ = ["CAPTURED", "Site", "install", "installed"]

CAPTURED = ("--runtime", "interpose", "--label", "interpose.dev/capture=true")


@dataclass
class Site:
    """An Engine with the runtime, and what is captured of its containers."""

    engine: Engine
    service: HostService

    @property
    def host(self) -> Path:
        """The host directory."""
        return self.service.host

    def run(self, *arguments: str, captured: bool = True, **options: Any) -> Outcome:
        """`docker run`, captured or as if nothing of ours were installed."""
        return self.engine.docker("run", *(CAPTURED if captured else ()), *arguments, check=False, **options)

    def ask(self, *arguments: str) -> list[dict[str, Any]]:
        """The answer to a question, as objects."""
        answer = CliRunner().invoke(interpose, [*arguments, "--json", "--db", f"sqlite:///{self.service.database}"])
        assert (answer.exit_code, answer.stderr) == (0, ""), answer.exception
        return [json.loads(line) for line in answer.stdout.splitlines()]

    def lineage(self, container: str, path: str) -> Lineage:
        """How a file of a container was made."""
        return Lineage(self.ask("lineage", path, "--container", container))

    def programs(self, container: str) -> list[list[str]]:
        """The arguments of every program that a container's newest life ran; none of a container that is not known."""
        if container not in {(run["container"] or {}).get("name") for run in self.ask("runs")}:
            return []
        processes = self.ask("ps", "--container", container)
        return [program["arguments"] for process in processes for program in process["programs"]]

    def paths(self, container: str, *options: str) -> set[str]:
        """Every path that a container's newest life read or wrote."""
        return {path for file in self.ask("files", "--container", container, *options) for path in file["paths"]}

    def decision(self, container: str) -> tuple[str, str]:
        """What was decided about a container, and why."""
        lines = [json.loads(line) for line in (self.host / "decisions.log").read_text().splitlines()]
        (found,) = [line for line in lines if line.get("name") == container]
        return found["outcome"], found["reason"]


def install(engine: Engine, host: Path, *options: str) -> None:
    """`interpose docker install`, as on a machine whose Engine this is."""
    given = ["--host", str(host), "--docker-host", engine.url, "--config-file", str(engine.config), *options]
    done = subprocess.run([*engine.beside, *INTERPOSE, "docker", "install", *given], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


@contextlib.contextmanager
def installed(engine: Engine, database: Path) -> Iterator[Site]:
    """A site for the length of a block."""
    host = engine.folder / "host"
    install(engine, host)
    service = HostService(host, database)
    service.start()
    try:
        yield Site(engine, service)
    finally:
        service.stop()
