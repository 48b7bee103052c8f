"""What can go wrong in a sidecar, each with one line that says what to do."""

__all__ = [
    "EndpointError",
    "HoleError",
    "InterposeError",
    "MalformedError",
    "PeerError",
    "SpoolBusyError",
    "SpoolError",
    "StoreError",
    "UnstorableError",
]


class InterposeError(Exception):
    """The root of this package's errors: `str` of it is one line for a person, with what to do about it."""


class SpoolError(InterposeError):
    """A spool cannot be made, opened or written."""


class SpoolBusyError(SpoolError):
    """Another sidecar works on this spool."""


class EndpointError(InterposeError):
    """What was asked for cannot be listened on, connected to, or trusted."""


class StoreError(InterposeError):
    """The database cannot be opened, read or written."""


class HoleError(InterposeError):
    """What is to be sent again is not stored any more."""


class UnstorableError(StoreError):
    """What was read can never be stored, however often it is tried."""


class MalformedError(InterposeError):
    """A message or a journal does not follow the layout."""


class PeerError(InterposeError):
    """A peer asked for what it may not do."""
