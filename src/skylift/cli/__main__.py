"""`python -m skylift.cli` is `skylift`."""

from skylift.cli.main import main

main()
