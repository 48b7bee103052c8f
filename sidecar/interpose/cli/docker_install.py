"""`interpose docker install` and `uninstall`."""

import grp
import os
import pwd
from pathlib import Path

import click

from interpose.cli.docker_options import engine_option, host_option
from interpose.cli.options import level_names_option
from interpose.cli.output import complain
from interpose.injector.container import CAPTURE
from interpose.injector.engine import Engine
from interpose.injector.host import launcher_of
from interpose.injector.installation import Request
from interpose.injector.installation import install as put
from interpose.injector.installation import uninstall as take_away
from interpose.sidecar.paths import absolute

__all__ = ["install", "uninstall"]


def _owner(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, int]:
    """USER[:GROUP], by name or number."""
    if value is None:
        return os.geteuid(), os.getegid()
    user, _, group = value.partition(":")
    try:
        known = None if user.isdigit() else pwd.getpwnam(user)
        uid = int(user) if known is None else known.pw_uid
        if not group:
            return uid, uid if known is None else known.pw_gid
        return uid, int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise click.BadParameter(f"nobody is called so: {value}") from error


config_option = click.option(
    "--config-file",
    "config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default="/etc/docker/daemon.json",
    show_default=True,
    help="The Engine's configuration.",
)


@click.command(short_help="Register the runtime interpose with the Engine.")
@host_option
@config_option
@engine_option
@click.option("--name", default="interpose", show_default=True, help="The runtime's name.")
@click.option("--default", is_flag=True, help="Make it the runtime of all containers that do not name one.")
@click.option("--runtime", metavar="PATH", help="The real OCI runtime.  [default: the Engine's own default]")
@click.option("--image", "images", metavar="PATTERN", multiple=True, help="Capture containers of such images unasked.")
@click.option("--builds", is_flag=True, help="Capture every step of every build unasked.")
@click.option("--user", "owner", metavar="USER[:GROUP]", callback=_owner, help="Whom `interpose host` runs as.")
@click.option("--no-verify", is_flag=True, help="Do not start containers to see whether it works.")
@level_names_option
def install(
    host: Path,
    config: Path,
    engine_url: str | None,
    name: str,
    default: bool,
    runtime: str | None,
    images: tuple[str, ...],
    builds: bool,
    owner: tuple[int, int],
    no_verify: bool,
    level: str,
) -> None:
    """Register `interpose-oci` as a runtime of the Docker Engine.

    The Engine's configuration is checked, kept, changed and reloaded; then a container that asks for capture and one
    that does not are started. If anything of that fails, everything is put back.
    """
    request = Request(
        host, absolute(config), name, default, runtime, level, images, builds, owner, verify=not no_verify
    )
    with Engine(engine_url) as engine:
        for line in put(request, engine):
            complain(line)
    how = f"docker run {'' if default else f'--runtime {name} '}--label {CAPTURE}=true IMAGE"
    complain(f"the runtime {name} is {launcher_of(host)}; to capture a container: {how}")


@click.command(short_help="Take the runtime away again.")
@host_option
@engine_option
@click.option("--force", is_flag=True, help="Even if containers need it, or are not stored to their end.")
def uninstall(host: Path, engine_url: str | None, force: bool) -> None:
    """Give the Docker Engine its configuration back, byte for byte, and remove the host directory."""
    with Engine(engine_url) as engine:
        for line in take_away(host, engine, force=force):
            complain(line)
