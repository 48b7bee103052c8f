"""Where the inputs are that are kept, by reader."""

from pathlib import Path
from typing import Final

__all__ = ["CORPUS", "SOURCE"]

CORPUS: Final = Path(__file__).with_name("corpus")
SOURCE: Final = Path(__file__).with_name("grpc_reader.c")
"""The fuzzer of the library's client; compiled with -DREPLAY it reads a corpus."""
