"""The ids by which people know runs."""

import secrets

__all__ = ["new_run_id"]


def new_run_id() -> str:
    """Eight random characters of a-z and 2-7."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
