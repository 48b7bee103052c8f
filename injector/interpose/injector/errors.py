"""What can go wrong while containers are prepared, each with one line that says what to do."""

from interpose.sidecar.errors import InterposeError

__all__ = ["EngineError", "InstallationError"]


class EngineError(InterposeError):
    """The container engine cannot be reached, or refuses."""


class InstallationError(InterposeError):
    """The runtime cannot be registered with the engine, or taken away from it."""
