"""`interpose-oci`: what a container engine calls instead of its OCI runtime.

The launcher (a shell script, see `launcher`) runs this module for the few subcommands that matter and then executes
the real runtime with the same arguments, whatever became of it. So all that happens here are edits of files that the
engine has made for this one call; an error leaves them as they were. Standard output and error are the container's:
nothing may be written there. Every container of the host starts through here, so what is imported is counted in
milliseconds: nothing at all for a container that does not ask.
"""

import gc
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from interpose.sidecar.container_id import ContainerId

__all__ = ["HEADING", "launcher", "main"]

_CREATE = ("create", "run", "restore")
_WITH_VALUE = {
    "--root", "--log", "--log-format", "--criu", "--rootless", "--cgroup-manager",
    "--bundle", "-b", "--config", "-f", "--console-socket", "--pid-file", "--preserve-fds", "--process", "-p",
    "--cwd", "--env", "-e", "--user", "-u", "--additional-gids", "-g", "--process-label", "--apparmor", "--cap", "-c",
    "--cgroup",
    "--image-path", "--work-path", "--parent-path", "--manage-cgroups-mode",
}  # fmt: skip
"""Options of runc and crun whose value may be an argument of its own."""
_RULES = "images"
_BUILDS = "builds"
_WISHES = (b"interpose.dev/capture", b"INTERPOSE_CAPTURE")

HEADING = "#!/bin/sh\n# interpose-oci: made by `interpose docker install`,"
"""What a launcher begins with, by which others are told from the real runtime."""
_LAUNCHER = """ removed by `interpose docker uninstall`. Runs the real runtime with
# the same arguments, whatever happens before.
held=
prepare() {{
    INTERPOSE_HELD=$held {python} -I -S {module} {host} "$@" </dev/null >/dev/null 2>&1 || say "$?"
}}
say() {{
    printf '{{"time":%s000000000,"outcome":"failed","reason":"interpose-oci ended with status %s","id":"%s"}}\n' \
        "$(date +%s)" "$1" "$container" 2>/dev/null >>{log}
}}
for container; do :; done # it is the last argument, except where `exec` is told its command by arguments
case "$container" in
. | .. | *[!{letters}]*) container= ;;
esac
case " $* " in
*" run "*) # it lasts as long as its container; whoever hands descriptors to that has it do so without us
    case "${{LISTEN_FDS+x}} $*" in
    x* | *" --preserve-fds"*) ;;
    *) [ -e /proc/$$/fd/9 ] || {{ command exec 9<{running} && held=9; }} 2>/dev/null ;;
    esac
    prepare "$@" ;;
*" create "* | *" restore "*) prepare "$@" ;;
*" exec "* | *" delete "*) [ -z "$container" ] || [ ! -e {host}/active/"$container" ] || prepare "$@" ;;
esac
exec {runtime} "$@"
"""


def launcher(*, python: str, module: str, host: str, runtime: str) -> str:
    """The text of the program that the engine calls. All are absolute paths."""
    from shlex import quote  # noqa: PLC0415 - only an installation needs it

    from interpose.sidecar.container_id import LETTERS  # noqa: PLC0415

    return HEADING + _LAUNCHER.format(
        letters=LETTERS, python=quote(python), module=quote(module), host=quote(host), runtime=quote(runtime),
        log=quote(os.path.join(host, "decisions.log")), running=quote(os.path.join(host, "running")),
    )  # fmt: skip


class _Call:
    """The arguments of an OCI runtime, as far as they matter here."""

    def __init__(self, arguments: list[str]) -> None:
        self.options: dict[str, str] = {}
        self.words: list[str] = []
        left = list(arguments)
        while left:
            word = left.pop(0)
            if not word.startswith("-") or word == "-":
                self.words.append(word)
                if len(self.words) == 2 and self.words[0] == "exec":
                    break  # what follows the container's id is the command
                continue
            name, equals, value = word.partition("=")
            if not equals and name in _WITH_VALUE and left:
                value = left.pop(0)
            self.options[name] = value

    @property
    def subcommand(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def container(self) -> str:
        return self.words[1] if len(self.words) > 1 else ""

    @property
    def held(self) -> int | None:
        """A descriptor that the launcher has opened, and that the runtime will have until the container has ended."""
        held = os.environ.get("INTERPOSE_HELD")
        stays = self.subcommand == "run" and self.option("--detach", "-d") in (None, "false")
        return int(held) if held and stays else None

    @property
    def bundle(self) -> str:
        return os.path.abspath(self.option("--bundle", "-b") or ".")

    def option(self, *names: str) -> str | None:
        return next((self.options[name] for name in names if name in self.options), None)


def main(arguments: list[str]) -> int:
    """Edit what the runtime is about to read. `arguments` are the host directory and then the runtime's own."""
    host, call = arguments[0], _Call(arguments[1:])
    from interpose.sidecar.container_id import ContainerId  # noqa: PLC0415 - it could not be found before

    try:
        container = ContainerId(call.container)
    except ValueError as error:
        _refuse(host, call, str(error))
        return 0
    if call.subcommand in _CREATE:
        bundle = call.bundle
        if _may_be_wanted(host, bundle, container):
            from interpose.injector.inject import create  # noqa: PLC0415 - most containers need none of it

            checkpoint = call.option("--image-path") if call.subcommand == "restore" else None
            create(host, bundle, container, checkpoint, call.held)
        elif os.path.lexists(_active(host, container)):
            os.unlink(_active(host, container))
    elif os.path.lexists(_active(host, container)):
        if call.subcommand == "delete":
            _delete(host, container)
        elif call.subcommand == "exec":
            from interpose.injector.inject import execute  # noqa: PLC0415

            execute(host, container, call.option("--process", "-p"))
    return 0


def _refuse(host: str, call: _Call, reason: str) -> None:
    """What has an id that could be another file's name is the runtime's business alone; who asked for more is told."""
    if call.subcommand in _CREATE and any(wish in _config(call.bundle) for wish in _WISHES):
        from interpose.injector.inject import refuse  # noqa: PLC0415

        refuse(host, reason)


def _delete(host: str, container: "ContainerId") -> None:
    """HostDirectory.forget, without anything that takes time to import."""
    with open(_active(host, container), encoding="utf-8") as active:
        name = active.read()
    try:
        with open(os.path.join(host, "containers", name, "ended"), "x", encoding="utf-8") as ended:
            ended.write(str(time.time_ns()))
    except (FileExistsError, FileNotFoundError):
        pass
    os.unlink(_active(host, container))


def _active(host: str, container: "ContainerId") -> str:
    return os.path.join(host, "active", container)


def _may_be_wanted(host: str, bundle: str, container: "ContainerId") -> bool:
    """A look at the files without understanding them, which takes a third of the time: most containers end here."""
    if os.path.exists(os.path.join(host, _RULES)):
        return True
    config = _config(bundle)
    if any(wish in config for wish in _WISHES):
        return True
    from interpose.injector.engine_path import engine_file, is_build_step  # noqa: PLC0415

    if is_build_step(bundle) and os.path.exists(os.path.join(host, _BUILDS)):
        return True
    _, _, rest = config.partition(b'"root":')
    _, _, rest = rest.partition(b'"path":')
    root = os.fsdecode(rest.partition(b'"')[2].partition(b'"')[0])
    known = engine_file(os.path.join(bundle, root), container)
    if known is None or not known.endswith("config.v2.json"):
        return False
    with open(known, "rb") as file:
        content = file.read()
    return _WISHES[0] in content


def _config(bundle: str) -> bytes:
    with open(os.path.join(bundle, "config.json"), "rb") as file:
        return file.read()


if __name__ == "__main__":
    gc.disable()  # all of this is over before there is anything to collect
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    os._exit(main(sys.argv[1:]))  # files are closed by then; tidying up modules takes as long as importing one
