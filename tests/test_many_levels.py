"""Fits with columns of levels are those with the whole matrix: every answer, whatever the model."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef.formula import columns
from ranef.formula.level_columns import LevelColumns
from ranef.inference.contrasts import denominator


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
    {"formula": "y ~ x + school + (1 | teacher)"},
    {"formula": "y ~ x + school + (1 | teacher)", "reml": False},
    {"formula": "y ~ x + school + (1 | teacher)", "nested": False},
    {"formula": "y ~ x + school + (1 | teacher)", "nested": False, "reml": False},
    {"formula": "y ~ x * school + (1 + x | teacher)"},
    {"formula": "y ~ x * school + (1 + x | teacher)", "reml": False, "weights": "w"},
    {"formula": "y ~ x + school + (1 | teacher)", "weights": "w", "offset": "z"},
    {"formula": "y ~ x + school * year + (1 | teacher) + (1 | year:teacher)", "nested": False},
    {"formula": "y ~ 0 + school + x + (1 | teacher) + (1 | year)", "nested": False, "weights": "w"},
    # Rank-deficient: a covariate of the schools first, then last, and an interaction with it.
    {"formula": "y ~ x + size + school + (1 | teacher)"},
    {"formula": "y ~ school + size + x + (1 | teacher)", "reml": False, "weights": "w"},
    {"formula": "y ~ size * x + school:x + school + (1 | teacher)"},
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


def test_without_degrees_of_freedom_the_default_is_the_normal_distribution(monkeypatch):
    monkeypatch.setattr(columns, "LEAST_COLUMNS", 1)
    priors = {"sd(teacher)": rf.prior.gamma(1.0, 2.0)}
    fit = rf.lmm("y ~ x + school + (1 | teacher)", frame(seed=4, n=300, schools=8, teachers=24), priors=priors)
    assert denominator(fit).method == "asymptotic"
    assert np.isinf(fit.tidy()["df"]).all()
    with pytest.raises(rf.ModelError, match="too many fixed effects; use ddf='asymptotic'"):
        fit.tidy(ddf="satterthwaite")


def test_more_columns_than_a_panel_beside_one_grouping_factor(monkeypatch):
    short, whole = pair(monkeypatch, lambda: rf.lmm("y ~ x + school + (1 | teacher)", frame(5, 900, 80, 200)))
    agree(short.loglik, whole.loglik, "loglik", 1e-9)
    agree(short.vcov(), whole.vcov(), "vcov", 1e-6)


GLMM = [
    {"formula": "count ~ x + school + (1 | teacher)", "family": "poisson"},
    {"formula": "count ~ x + school + (1 | teacher)", "family": "poisson", "nested": False},
    {"formula": "count ~ x + size + school + (1 | teacher)", "family": "poisson", "offset": "z"},
    {"formula": "count ~ x + school + (1 | teacher)", "family": "nbinom2", "weights": "w"},
    {"formula": "yes ~ x + school + (1 | teacher)", "family": "binomial", "nested": False},
    {"formula": "count ~ x + school + (1 | teacher)", "family": "poisson", "reml": True},
    {"formula": "count ~ x + school + (1 | teacher)", "family": "poisson", "quadrature": 0},
    {"formula": "count ~ x + school + (1 | teacher)", "family": "poisson", "quadrature": 5, "nested": False},
    {"formula": "count ~ x + (1 | teacher)", "family": "nbinom2", "dispersion": "~ school", "nested": False},
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
def test_robust_standard_errors(monkeypatch, kind):
    data = frame(seed=6, n=300, schools=6, teachers=24)

    def fit():
        if kind == "lmm":
            return rf.lmm("y ~ x + school + (1 | teacher)", data, reml=False)
        return rf.glmm("count ~ x + school + (1 | teacher)", data, family="poisson")

    short, whole = pair(monkeypatch, fit)
    for fits in (short, whole):
        assert not np.allclose(fits.tidy(vcov="CR0")["std_error"], fits.tidy()["std_error"], rtol=1e-3)
    # Scores are sums of what both ways agree on to the tolerance of their searches.
    agree(short.tidy(vcov="CR0")["std_error"], whole.tidy(vcov="CR0")["std_error"], "robust", 1e-5)


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
    assert a is not None
    assert b is not None


# Peak memory beside the data, in a process of its own: what was allocated before does not count.
GROWTH = """
import resource, sys, time
import numpy as np, pandas as pd, ranef as rf
kind, n, schools = sys.argv[1], 20_000, 2_000
rng = np.random.default_rng(1)
teacher = rng.integers(0, 5 * schools, n)
x = rng.normal(size=n)
eta = 0.5 * x + rng.normal(0, 0.5, schools)[teacher // 5] + rng.normal(0, 0.5, 5 * schools)[teacher]
names = np.array([f"s{k}" for k in range(schools)])[teacher // 5]
frame = pd.DataFrame({"x": x, "school": names, "teacher": teacher.astype(str)})
frame["y"] = eta + rng.normal(size=n) if kind == "lmm" else rng.poisson(np.exp(eta + 1))
rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
formula = "y ~ x + school + (1 | teacher)"
fit = rf.lmm(formula, frame) if kind == "lmm" else rf.glmm(formula, frame, family="poisson")
seconds = time.perf_counter() - began
print(fit.converged, len(fit.fixef()), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in other units elsewhere")
@pytest.mark.parametrize(("kind", "megabytes"), [("lmm", 80), pytest.param("poisson", 640, marks=pytest.mark.slow)])
def test_two_thousand_levels_take_little_memory_and_time(kind, megabytes):
    done = subprocess.run([sys.executable, "-c", GROWTH, kind], capture_output=True, text=True, check=True)
    converged, coefficients, seconds, kilobytes = done.stdout.split()
    assert converged == "True"
    # x, the intercept and 1999 schools; the whole matrix has 320 MB, of which a fit made several copies.
    assert int(coefficients) == 2001
    assert int(kilobytes) < 1000 * megabytes
    # Two seconds where nothing else runs, minutes with the whole matrix.
    assert float(seconds) < 60.0
