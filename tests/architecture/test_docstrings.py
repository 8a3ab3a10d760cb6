"""Every example in a docstring runs and prints what it says."""

import doctest
from importlib import import_module

import pytest

from sources import module_name, python_files

MODULES = sorted(module_name(path) for path in python_files() if ">>>" in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name):
    found = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0
