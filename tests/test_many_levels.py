"""Fits with columns of levels are those with the whole matrix: every answer, whatever the model."""

import numpy as np
import pandas as pd
import pytest
import ranef as rf
from ranef.formula import columns
from ranef.formula.level_columns import LevelColumns


def frame(seed=1, n=400, schools=12, teachers=40, *, nested=True):
    rng = np.random.default_rng(seed)
    teacher = rng.integers(0, teachers, n)
    school = teacher * schools // teachers if nested else rng.integers(0, schools, n)
    x = rng.normal(size=n)
    size = rng.normal(size=schools)[school]
    w = rng.uniform(0.3, 2.0, n)
    eta = 0.5 * x + rng.normal(0, 0.6, schools)[school] + rng.normal(0, 0.5, teachers)[teacher]
    return pd.DataFrame(
        {
            "x": x,
            "size": size,
            "w": w,
            "z": rng.uniform(-0.2, 0.2, n),
            "year": rng.choice(["a", "b", "c"], n),
            "school": [f"s{k:03d}" for k in school],
            "teacher": [f"t{k:03d}" for k in teacher],
            "y": 1.0 + eta + rng.normal(size=n) / np.sqrt(w),
            "count": rng.poisson(np.exp(0.7 + eta)),
            "yes": (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(int),
        }
    )


def pair(monkeypatch, fit):
    """The same model by levels and with the whole matrix."""
    found = []
    for least in (1, 10**9):
        monkeypatch.setattr(columns, "LEAST_COLUMNS", least)
        found.append(fit())
    assert isinstance(found[0].design.fixed["cond"].x, LevelColumns)
    assert isinstance(found[1].design.fixed["cond"].x, np.ndarray)
    return found


def agree(short, whole, name, rtol, *, scale=None):
    a, b = np.asarray(short, float), np.asarray(whole, float)
    scale = np.max(np.abs(b)) if scale is None else scale
    assert a.shape == b.shape, name
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=name)


LMM = [
    dict(formula="y ~ x + school + (1 | teacher)"),
    dict(formula="y ~ x + school + (1 | teacher)", reml=False),
    dict(formula="y ~ x + school + (1 | teacher)", nested=False),
    dict(formula="y ~ x + school + (1 | teacher)", nested=False, reml=False),
    dict(formula="y ~ x * school + (1 + x | teacher)"),
    dict(formula="y ~ x * school + (1 + x | teacher)", reml=False, weights="w"),
    dict(formula="y ~ x + school + (1 | teacher)", weights="w", offset="z"),
    dict(formula="y ~ x + school * year + (1 | teacher) + (1 | year:teacher)", nested=False),
    dict(formula="y ~ 0 + school + x + (1 | teacher) + (1 | year)", nested=False, weights="w"),
    # Rank-deficient: a covariate of the schools first, then last, and an interaction with it.
    dict(formula="y ~ x + size + school + (1 | teacher)"),
    dict(formula="y ~ school + size + x + (1 | teacher)", reml=False, weights="w"),
    dict(formula="y ~ size * x + school:x + school + (1 | teacher)"),
]


@pytest.mark.parametrize("case", LMM, ids=lambda case: " ".join(str(v) for v in case.values()))
def test_linear_mixed_models(monkeypatch, case):
    options = dict(case)
    data = frame(nested=options.pop("nested", True))
    short, whole = pair(monkeypatch, lambda: rf.lmm(data=data, **options))
    assert list(short.fixef()) == list(whole.fixef())
    # Both end within 1e-7 standard errors of the optimum: coefficients agree to that, the value to its square.
    agree(short.loglik, whole.loglik, "loglik", 1e-9)
    agree(short.sigma, whole.sigma, "sigma", 1e-7)
    agree(list(short.fixef().values()), list(whole.fixef().values()), "estimate", 1e-7)
    agree(short.vcov(), whole.vcov(), "vcov", 1e-6)
    agree(short.predict(), whole.predict(), "predict", 1e-7)


GLMM = [
    dict(formula="count ~ x + school + (1 | teacher)", family="poisson"),
    dict(formula="count ~ x + school + (1 | teacher)", family="poisson", nested=False),
    dict(formula="count ~ x + size + school + (1 | teacher)", family="poisson", offset="z"),
    dict(formula="count ~ x + school + (1 | teacher)", family="nbinom2", weights="w"),
    dict(formula="yes ~ x + school + (1 | teacher)", family="binomial", nested=False),
    dict(formula="count ~ x + school + (1 | teacher)", family="poisson", reml=True),
    dict(formula="count ~ x + school + (1 | teacher)", family="poisson", quadrature=0),
    dict(formula="count ~ x + school + (1 | teacher)", family="poisson", quadrature=5, nested=False),
    dict(formula="count ~ x + (1 | teacher)", family="nbinom2", dispersion="~ school", nested=False),
]


@pytest.mark.parametrize("case", GLMM, ids=lambda case: " ".join(str(v) for v in case.values()))
def test_generalised_models(monkeypatch, case):
    options = dict(case)
    data = frame(seed=2, n=900, schools=6, nested=options.pop("nested", True))
    component = "disp" if "dispersion" in options else "cond"
    monkeypatch.setattr(columns, "LEAST_COLUMNS", 1)
    short = rf.glmm(data=data, **options)
    monkeypatch.setattr(columns, "LEAST_COLUMNS", 10**9)
    whole = rf.glmm(data=data, **options)
    assert isinstance(short.design.fixed[component].x, LevelColumns)
    assert list(short.fixef(component)) == list(whole.fixef(component))
    agree(short.loglik, whole.loglik, "loglik", 1e-9)
    agree(list(short.fixef(component).values()), list(whole.fixef(component).values()), "estimate", 1e-6)
    # Second derivatives by differences of gradients: five digits are theirs.
    agree(short.vcov(component), whole.vcov(component), "vcov", 1e-4)
    agree(short.predict(), whole.predict(), "predict", 1e-6)


@pytest.mark.parametrize("kind", ["lmm", "poisson"])
def test_everything_that_follows_a_fit(monkeypatch, kind):
    data = frame(seed=4, n=300, schools=8, teachers=24)

    def fit():
        if kind == "lmm":
            return rf.lmm("y ~ x + school + (1 | teacher)", data)
        return rf.glmm("count ~ x + school + (1 | teacher)", data, family="poisson")

    short, whole = pair(monkeypatch, fit)
    new = data.iloc[:50].assign(x=0.3)
    for ranef in (True, False):
        for a, b in [(short.predict(new, ranef=ranef, se=True), whole.predict(new, ranef=ranef, se=True))]:
            for name in b.columns:
                agree(a[name], b[name], f"{name} {ranef}", 1e-4)
    for name in ("estimate", "std_error", "conf_low"):
        agree(short.tidy()[name], whole.tidy()[name], name, 1e-5)
        if name != "conf_low":
            agree(short.ranef()[name], whole.ranef()[name], f"ranef {name}", 1e-5)
    agree(short.residuals("pearson"), whole.residuals("pearson"), "residuals", 1e-6)
    numbers = short.augment().select_dtypes("number")
    agree(numbers, whole.augment()[numbers.columns], "augment", 1e-4)
    # The same seed draws the same effects and errors; a count may flip where rounding meets a quantile.
    first, second = (np.asarray(f.simulate(3, seed=1), float) for f in (short, whole))
    assert np.mean(np.abs(first - second) > 1e-6) < 0.01
    other = np.asarray(data["y" if kind == "lmm" else "count"])[::-1].copy()
    agree(short.refit(other).loglik, whole.refit(other).loglik, "refit", 1e-9)
    name = "school[T.s003]"
    for f in (short, whole):
        monkeypatch.setattr(columns, "LEAST_COLUMNS", 1 if f is short else 10**9)
    a, b = (f.confint("profile", parm=name) for f in (short, whole))
    for column in ("conf_low", "conf_high"):
        agree(a[column], b[column], column, 1e-4)
    assert "school[T.s003]" in str(short.summary())
    a, b = (f.bootstrap(4, seed=2) for f in (short, whole))
    assert a is not None and b is not None
