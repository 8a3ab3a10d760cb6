"""Summaries as users see them: read once as a whole, then kept."""

import pytest

from models import assumed, cbpp, dyestuff2, owls, pastes, salamanders, sleepstudy

MODELS = {
    "assumed": assumed,
    "sleepstudy": sleepstudy,
    "pastes": pastes,
    "dyestuff2": dyestuff2,
    "cbpp": cbpp,
    "owls": owls,
    "salamanders": salamanders,
}


@pytest.mark.parametrize("name", MODELS)
def test_summary(name, snapshot):
    # Iterations differ with the machine's arithmetic; everything else is printed to digits that do not.
    lines = str(MODELS[name]().summary()).splitlines()
    snapshot(f"summary_{name}", "\n".join(line.split(" (")[0] if "iterations)" in line else line for line in lines))
