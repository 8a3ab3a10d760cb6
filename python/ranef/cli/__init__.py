"""The command line: `ranef demo`, `ranef fit`, `ranef datasets`, `ranef families`."""

from ranef.cli.commands import main

__all__ = ["main"]
