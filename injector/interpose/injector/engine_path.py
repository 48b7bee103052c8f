"""Where container engines keep what they know of a container."""

import os

from interpose.sidecar.container_id import ContainerId

__all__ = ["engine_file", "is_build_step"]

_PODMANS = ("overlay-containers/containers.json", "vfs-containers/containers.json")
"""By storage driver: vfs is what a user without fuse-overlayfs may get."""


def engine_file(root: str, container: ContainerId) -> str | None:
    """The file in which the engine of this root file system keeps the container, None if it is not known.

    Both engines keep root file systems somewhere below the folder in which they keep everything.
    """
    folder = os.path.dirname(root)
    while len(folder) > 1:
        for name in (f"containers/{container}/config.v2.json", *_PODMANS):
            file = os.path.join(folder, name)
            if os.path.exists(file):
                return file
        folder = os.path.dirname(folder)
    return None


def is_build_step(bundle: str) -> bool:
    """Whether a bundle is one of the builders: BuildKit's, dockerd's or its own, or Buildah's."""
    folder, name = os.path.split(bundle)
    return name.startswith("buildah") or (os.path.basename(folder) == "executor" and "/buildkit/" in folder)
