"""`python -m interpose.cli` is `interpose`."""

from interpose.cli.command import main

main()
