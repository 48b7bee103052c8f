"""Builds the generated modules and the libraries before a wheel, or an editable install, is made of them."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """hatchling finds it by this name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run `interpose.generator build` in the source tree."""
        del version, build_data
        sys.path.insert(0, str(Path(self.root) / "generator"))
        from interpose.generator.build import build  # noqa: PLC0415 - importable only now

        build(Path(self.root))
