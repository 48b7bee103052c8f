"""Where the inputs are that are kept, by reader."""

from pathlib import Path
from typing import Final

from support.roots import REPOSITORY

__all__ = ["CORPUS", "INCLUDE", "SOURCES"]

CORPUS: Final = Path(__file__).with_name("corpus")
SOURCES: Final = {name: Path(__file__).with_name(f"{name}_reader.c") for name in ("grpc", "events")}
"""The fuzzers of what is in C, of the library and of the sidecar; compiled with -DREPLAY they read a corpus."""
INCLUDE: Final = [
    f"-I{REPOSITORY / folder}" for folder in ("libinterpose/include", "sidecar/native", "build/generated")
]
