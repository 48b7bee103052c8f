"""`interpose docker cdi`."""

from pathlib import Path

import click

from interpose.cli.docker_options import host_option
from interpose.cli.options import level_names_option
from interpose.injector.cdi import KIND, add_device, remove_device
from interpose.injector.mounts import prepare

__all__ = ["cdi"]


@click.command(short_help="Make a device by which a container is captured.")
@click.argument("device")
@host_option
@level_names_option
@click.option(
    "--directory",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="/etc/cdi",
    show_default=True,
    help="Where the engine looks for devices.",
)
@click.option("--remove", is_flag=True, help="Remove the device.")
def cdi(device: str, host: Path, level: str, folder: Path, remove: bool) -> None:
    """Make a device of the Container Device Interface: a container that has it is captured.

    For Docker 25 and newer (with the feature `cdi`) and Podman: --device interpose.dev/capture=DEVICE. One container
    at a time.
    """
    directory = prepare(host)
    if remove:
        remove_device(directory, folder, device)
        return
    add_device(directory, folder, device, level)
    click.echo(f"--device {KIND}={device}")
