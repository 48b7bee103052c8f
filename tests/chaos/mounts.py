"""File systems of our own, to be filled or made read-only, in a mount namespace of our own. Needs root."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ballast", "enter_namespace", "mounted", "read_only"]

_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_LEFT = 4096


def enter_namespace() -> None:
    """What is mounted from here on, by this process and its children, is seen and kept by them alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), "a mount namespace")


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """A file system in memory of so many bytes, mounted on a folder that is made."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "chaos", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def ballast(folder: Path) -> Iterator[None]:
    """Meanwhile the folder's file system is full, to the last block."""
    assert folder.is_mount(), f"{folder} is not a file system of our own"
    place = folder / "ballast"
    with place.open("wb") as file:
        size = _free(folder)
        while size >= _LEFT:
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            size = min(size // 2 if size > _free(folder) // 2 else size, _free(folder))
    try:
        yield
    finally:
        place.unlink()


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Meanwhile the folder's file system is mounted read-only. Nobody may have a file open there for writing."""
    assert folder.is_mount(), f"{folder} is not a file system of our own"
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
