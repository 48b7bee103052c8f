"""What can go wrong in a sidecar, each with one line that says what to do."""

__all__ = [
    "EndpointError",
    "InterposeError",
    "MalformedError",
    "PeerError",
    "SpoolBusyError",
    "SpoolError",
    "StoreError",
    "UnsendableError",
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


class UnsendableError(InterposeError):
    """A journal cannot be forwarded: bytes of it are deleted already, or a record is larger than a message may be."""


class UnstorableError(StoreError):
    """What was read can never be stored, however often it is tried."""


class MalformedError(InterposeError):
    """A message or a journal does not follow the layout."""


class PeerError(InterposeError):
    """A peer asked for what it may not do."""
