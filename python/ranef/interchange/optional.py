"""Packages that are there or not."""

from __future__ import annotations

import importlib
from typing import Any


def required(module: str, asked: str, install: str | None = None) -> Any:
    """A module of a package that is no dependency, or what to install.

    Raises
    ------
    ImportError
        That names the call that asked for it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = install or module.split(".")[0]
        raise ImportError(
            f"{asked} needs {name}, which is not installed or does not load ({error}): pip install {name}"
        ) from error
