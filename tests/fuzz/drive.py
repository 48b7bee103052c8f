"""`python -m fuzz.drive READER [OPTIONS OF LIBFUZZER] CORPUS...`: one reader under atheris."""

import sys

import atheris

_READERS = [f"interpose.sidecar.{name}" for name in ("batch", "decode", "journal", "mend", "spool")]

with atheris.instrument_imports(include=[*_READERS, "fuzz.readers"]):
    from fuzz.readers import READERS

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    # libFuzzer hands its first argument to a shell when it starts itself again, to merge.
    atheris.Setup([f"{sys.executable} -m fuzz.drive {name}", *options], READERS[name])
    atheris.Fuzz()
