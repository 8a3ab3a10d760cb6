"""`python -m ranef` is the command `ranef`."""

from ranef.cli import main

main()
