"""What `interpose-oci` has under the name `typing`: names for annotations, which mean nothing when it runs."""

__all__ = ["Any", "Final", "Self"]


class _Anything:
    def __getitem__(self, _: object) -> "_Anything":
        return self

    def __or__(self, _: object) -> "_Anything":
        return self

    __ror__ = __or__


Any = Final = Self = _Anything()
