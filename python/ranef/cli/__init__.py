"""The command line: `ranef demo`, `fit`, `check`, `compare`, `predict`, `simulate`, `datasets`, `families`."""

from ranef.cli.commands import main

__all__ = ["main"]
