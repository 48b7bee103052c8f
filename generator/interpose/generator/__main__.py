"""`python -m interpose.generator`: generate the C and Python code, and build the library."""

import argparse
import sys
from pathlib import Path

from interpose.generator.build import build, document, generate
from interpose.generator.errors import GeneratorError


def main() -> int:
    """Run one of the commands; problems are one line on stderr and status 1."""
    parser = argparse.ArgumentParser(prog="python -m interpose.generator", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[3], help="the source tree")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="generate and compile").add_argument("--cc", help="compiler of this machine")
    commands.add_parser("generate", help="generate only").add_argument("--out", type=Path, required=True)
    commands.add_parser("docs", help="write the pages of docs/ that are generated")
    options = parser.parse_args()
    try:
        if options.command == "build":
            for library in build(options.root.resolve(), options.cc):
                print(library)
        elif options.command == "docs":
            print(document(options.root.resolve()))
        else:
            generate(options.root.resolve(), options.out.resolve())
    except GeneratorError as error:
        print(f"generator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
