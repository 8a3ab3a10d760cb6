"""What users read when a correlation of the residuals or a dispersion of `lmm` cannot be."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf

FRAME = pd.DataFrame(
    {
        "y": np.sin(np.arange(24.0)),
        "x": np.cos(np.arange(24.0)),
        "zero": np.arange(24.0),
        "time": np.tile(np.arange(6), 4),
        "half": np.tile(np.arange(6) / 2, 4),
        "twice": np.tile(np.arange(3), 8),
        "wave": np.repeat(["a", "b", "c", "d", "a", "b", "c", "d"], 3),
        "id": np.repeat(list("pqrs"), 6),
        "crossed": np.tile(list("uv"), 12),
        "row": [f"r{i}" for i in range(24)],
    }
)
REFUSED = {
    "correlation_no_text": {"correlation": 3},
    "correlation_no_structure": {"correlation": "time | id"},
    "correlation_unknown": {"correlation": "ar2(time | id)"},
    "correlation_absent_column": {"correlation": "ar1(tme | id)"},
    "correlation_absent_group": {"correlation": "ar1(time | subject)"},
    "correlation_repeated_time": {"correlation": "ar1(twice | id)"},
    "correlation_repeated_place": {"correlation": "exp(twice | id)"},
    "correlation_not_whole": {"correlation": "ar1(half | id)"},
    "correlation_no_pairs": {"correlation": "ar1(1 | row)"},
    "correlation_pair_never_seen": {"correlation": "us(time | wave:id)"},
    "correlation_cs_with_time": {"correlation": "cs(time | id)"},
    "correlation_car1_without_time": {"correlation": "car1(1 | id)"},
    "correlation_two_times": {"correlation": "ar1(time + half | id)"},
    "correlation_option": {"correlation": "ar1(time | id, p=2)"},
    "correlation_order": {"correlation": "arma(time | id, p=1.5)"},
    "correlation_no_order": {"correlation": "arma(time | id, p=0, q=0)"},
    "correlation_nugget": {"correlation": "exp(time | id, nugget=0.1)"},
    "correlation_crossed": {"formula": "y ~ x + (1 | crossed)", "correlation": "ar1(time | id)"},
    "dispersion_crossed": {"formula": "y ~ x + (1 | crossed) + (1 | id)", "dispersion": "~ x"},
    "dispersion_no_intercept": {"dispersion": "~ 0 + x"},
    "dispersion_random": {"dispersion": "~ (1 | id)"},
    "dispersion_power_of_zero": {"dispersion": "~ power(zero)"},
    "dispersion_power_of_two": {"dispersion": "~ power(x, zero)"},
    "dispersion_power_twice": {"dispersion": "~ power(time + 1) + power(time + 1)"},
    "dispersion_power_absent": {"dispersion": "~ power(z)"},
    "dispersion_power_in_mean": {"formula": "y ~ power(x)"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name, snapshot):
    arguments = {"formula": "y ~ x"} | REFUSED[name]
    with pytest.raises((rf.FormulaError, rf.DataError, rf.ModelError)) as found:
        rf.lmm(arguments.pop("formula"), FRAME, **arguments)
    snapshot(name, f"{type(found.value).__name__}: {found.value}")


def test_questions_without_an_answer(snapshot):
    sleep = rf.load_dataset("sleepstudy")
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, correlation="ar1(Days | Subject)")
    texts = []
    for ask in (
        lambda: fit.simulate(1, newdata=sleep),
        lambda: fit.confint("profile"),
        lambda: fit.profile("Days"),
        lambda: fit.loglik_rows(),
    ):
        with pytest.raises(rf.ModelError) as found:
            ask()
        texts.append(str(found.value))
    snapshot("correlation_questions", "\n".join(texts))


def test_summary(snapshot):
    fit = rf.lmm(
        "distance ~ age * Sex + (1 | Subject)",
        rf.load_dataset("orthodont"),
        correlation="ar1(1 | Subject)",
        dispersion="~ Sex + power(age)",
    )
    snapshot("summary_correlation", str(fit.summary()))
