"""What a user reads when the family cannot take the response: where, what, and which family could.

Which families are named depends on the catalogue, so the sentences are kept for given families, and every family that
is named for real must take the response.
"""

import re

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef import _engine
from ranef.formula.design import build_design
from ranef.model import raised_by_engine

ROWS = 8

#: Family, response, and families of which those in the catalogue must be named.
CASES = {
    "negative_count": ("poisson", [3, 1, -2, 0, 5, 2, 2, 1], {"gaussian"}),
    "fractional_count": ("poisson", [3, 1, 2.5, 4, 5, 2, 2, 1], {"gamma", "lognormal", "inverse_gaussian"}),
    "fraction_or_zero": ("nbinom2", [3, 1, 2.5, 0, 5, 2, 2, 1], {"tweedie"}),
    "zero_for_gamma": ("gamma", [3, 1, 2.5, 0, 5, 2, 2, 1], {"tweedie"}),
    "proportion_at_its_end": ("beta", [0.3, 0.5, 0.2, 1, 0, 0.1, 0.9, 0.4], {"ordbeta"}),
    "count_of_zero": ("truncated_nbinom2", [3, 1, 2, 0, 5, 2, 2, 1], {"nbinom2", "poisson"}),
    "zero_of_a_truncated_poisson": ("truncated_poisson", [3, 1, 2, 0, 5, 2, 2, 1], {"poisson"}),
    "proportion_as_a_count": ("poisson", [0.3, 0.5, 0.2, 0.7, 0.1, 0.1, 0.9, 0.4], {"beta"}),
    "negative_for_gamma": ("gamma", [3, 1, 2.5, -1, 5, 2, 2, 1], {"gaussian"}),
}
#: Zero inflation takes these as they are.
INFLATABLE = {"zero_for_gamma", "count_of_zero", "zero_of_a_truncated_poisson"}


@pytest.mark.filterwarnings("ignore::ranef.errors.ConvergenceWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_family_that_takes_the_response_is_named(case):
    family, y, expected = CASES[case]
    known = rf.families.catalogue()
    if family not in known:
        pytest.skip(f"{family} is not in the catalogue")
    data = pd.DataFrame({"y": np.asarray(y, float), "x": np.arange(ROWS) / ROWS}, index=range(10, 10 + ROWS))
    where = rf"response `y` is \S+ in row \d \(counting from 0\); the {family}"
    with pytest.raises(rf.DataError, match=where) as caught:
        rf.glmm("y ~ x", data, family=family)
    text = str(caught.value)
    row, value = int(re.search(r"in row (\d)", text)[1]), float(re.search(r"`y` is (\S+)", text)[1])
    assert y[row] == value
    listed = re.search(r"takes every value of this response: ([\w, ]+)", text)
    named = set(listed[1].removesuffix(" and others").split(", ")) if listed else set()
    assert (expected & set(known)) <= named, text
    for name in named - {""}:
        # The engine itself takes the response when it is asked to.
        rf.glmm("y ~ x", data, family=name, control=rf.Control(max_iter=1))
    if case in INFLATABLE:
        assert 'add zi="~ 1"' in text
        rf.glmm("y ~ x", data, family=family, zi="~ 1", control=rf.Control(max_iter=1))
    else:
        assert "zi=" not in text


@pytest.mark.parametrize(
    ("case", "families", "zero_inflation"),
    [
        ("one_family", ["ordbeta"], False),
        ("many_families", ["poisson", "nbinom2", "nbinom1", "genpois", "compois"], False),
        ("families_or_zero_inflation", ["tweedie"], True),
        ("zero_inflation", [], True),
        ("nothing", [], False),
    ],
)
def test_sentences(case, families, zero_inflation, snapshot):
    design = build_design("y ~ 1", pd.DataFrame({"y": [np.nan, 2.0, 0.0]}))
    details = {"row": 1, "value": 0.0, "families": families, "zero_inflation": zero_inflation}
    error = raised_by_engine(
        _engine.EngineError("response", "the gamma family needs a number above 0", details), design
    )
    snapshot(f"response_{case}", f"{type(error).__name__}: {error}")


@pytest.mark.parametrize(("case", "levels"), [("two_levels", ["no", "yes"]), ("levels", ["low", "mid", "high"])])
def test_text(case, levels, snapshot):
    with pytest.raises(rf.DataError) as caught:
        rf.glmm("y ~ 1", pd.DataFrame({"y": levels * 3}), family="poisson")
    snapshot(f"response_{case}", f"DataError: {caught.value}")
