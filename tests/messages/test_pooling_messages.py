"""What is said of fits that cannot be pooled."""

import pytest

import ranef as rf
from models import data, sleepstudy


def other(formula="Reaction ~ Days + (Days | Subject)", rows=180, **arguments):
    return rf.lmm(formula, data("sleepstudy").head(rows), **arguments)


CALLS = {
    "one": lambda: rf.pool([sleepstudy()]),
    "no_fit": lambda: rf.pool([sleepstudy(), "sleepstudy"]),
    "formula": lambda: rf.pool([sleepstudy(), other("Reaction ~ Days + (1 | Subject)")]),
    "rows": lambda: rf.pool([sleepstudy(), other(rows=170)]),
    "criterion": lambda: rf.pool([sleepstudy(), other(reml=False)]),
    "effects": lambda: rf.pool([sleepstudy(), sleepstudy()], "ran_pars"),
    "level": lambda: rf.pool([sleepstudy(), sleepstudy()], level=95),
    "ddf": lambda: rf.pool([sleepstudy(), sleepstudy()], ddf="containment"),
}


@pytest.mark.parametrize("name", [name for name in CALLS if name != "ddf"])
def test_refusals(name, snapshot):
    with pytest.raises(rf.ModelError) as caught:
        CALLS[name]()
    snapshot(f"pool_{name}", f"ModelError: {caught.value}")


def test_unknown_degrees_of_freedom():
    with pytest.raises(rf.ModelError, match="ddf='containment'"):
        CALLS["ddf"]()
