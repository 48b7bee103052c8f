"""What can be wrong with a spec or a build."""

__all__ = ["BuildError", "GeneratorError", "SpecError"]


class GeneratorError(Exception):
    """Base of all; its text is one line that says what to do."""


class SpecError(GeneratorError):
    """A spec file is wrong at a line."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        super().__init__(f"{file}:{line}: {problem}")


class BuildError(GeneratorError):
    """A compiler or protoc failed."""
