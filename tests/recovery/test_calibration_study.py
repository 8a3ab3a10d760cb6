"""benchmarks/calibration_study.py in small, and the results that docs/explanation/calibration.md shows."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest

import calibration_study
from calibration_claims import balanced, examined
from calibration_models import CASES, GROUPS, ML, OURS, drawn
from calibration_study import main, study, written

STORED = Path(__file__).parents[2] / "docs" / "assets" / "calibration.json"


@pytest.fixture(scope="module")
def stored():
    return json.loads(STORED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small():
    return study([("linear", 10), ("inflated", 10)], times=4, profiled=2)


def test_a_data_set_depends_on_its_case_its_groups_and_its_number_alone():
    first = drawn("poisson", 10, 3)
    assert first.equals(drawn("poisson", 10, 3))
    assert not first.equals(drawn("poisson", 10, 4))
    assert first["g"].n_unique() == 10
    assert first.select("g", "z").n_unique() == 10


def test_a_small_study_counts_what_it_fitted(small):
    assert [(cell["case"], cell["program"]) for cell in small["cells"]] == [
        ("linear", OURS),
        ("linear", ML),
        ("inflated", OURS),
    ]
    assert all(cell["asked"] == cell["converged"] == 4 for cell in small["cells"])
    rows = {(row["case"], row["program"], row["parameter"]): row for row in small["parameters"]}
    assert {key[2] for key in rows if key[:2] == ("inflated", OURS)} == set(CASES["inflated"].truth)
    counts = rows["linear", OURS, "z"]["covered"]
    assert {method: of for method, (_, _, of) in counts.items()} == {
        "z": 4,
        "satterthwaite": 4,
        "kenward-roger": 4,
        "profile": 2,
    }
    # Quantiles of t are wider than those of z, of the same standard errors.
    assert counts["z"][0] <= counts["satterthwaite"][0]
    # A balanced design: divided by G and not by G - 2, the mean square of maximum likelihood is smaller.
    assert rows["linear", ML, "sd"]["bias"] < rows["linear", OURS, "sd"]["bias"]


def test_an_interval_without_an_end_covers_nothing():
    answer = calibration_study.Answer(True, False, 0.0, "", 0.0, intervals={"z": {"x": (0.0, math.inf)}})
    other = calibration_study.Answer(True, False, 0.0, "", 0.0, intervals={"z": {"x": (0.0, 2.0)}})
    assert calibration_study.covered([answer, other], "z", "x", 1.0) == [1, 1, 2]


def test_answers_that_are_kept_are_not_asked_again(small, tmp_path, monkeypatch):
    kept = tmp_path / "answers.jsonl"
    cells = [("linear", 10)]
    before = study(cells, times=2, profiled=1, kept=kept)
    monkeypatch.setattr(calibration_study, "our_answers", None)
    assert study(cells, times=2, profiled=1, kept=kept) == before


def test_theory_of_the_balanced_model_is_what_mean_squares_do():
    groups, rows, count = 10, CASES["linear"].rows[0], 200_000
    rng = np.random.default_rng(1)
    square = 7.0 * rng.chisquare(groups - 2, count) / groups
    within = rng.chisquare(groups * (rows - 1) - 1, count) / (groups * (rows - 1))
    sd = np.sqrt(np.clip(square - within, 0.0, None) / rows)
    # Four Monte Carlo standard errors.
    assert balanced(groups, False)["sd"] == pytest.approx(sd.mean(), abs=4.0 * sd.std() / math.sqrt(count))


def test_the_stored_results_are_whole_and_every_claim_holds(stored):
    assert {(cell["case"], cell["groups"]) for cell in stored["cells"]} == {(c, g) for c in CASES for g in GROUPS}
    assert stored["claims"] == examined(stored)
    assert [claim["claim"] for claim in stored["claims"] if claim["failed"]] == []
    assert STORED.stat().st_size < 300_000
    assert written(stored) == STORED.read_text(encoding="utf-8")


def test_an_interval_that_covers_too_little_is_noticed(stored):
    worse = copy.deepcopy(stored)
    for row in worse["parameters"]:
        if row["case"] == "linear" and row["program"] == OURS and row["parameter"] == "x":
            counts = row["covered"]["kenward-roger"]
            # Of a small excess of misses the cells take no notice, but all of them together do.
            counts[0] = round(0.92 * counts[2])
    failed = [claim for claim in examined(worse) if claim["failed"]]
    assert len(failed) == 1
    assert failed[0]["claim"].startswith("intervals of t cover 95 % of a covariate within groups")
    assert [failure.split(":")[0] for failure in failed[0]["failed"]] == ["all cells, x, kenward-roger"]


def test_a_claim_that_fails_is_the_exit_status(stored, monkeypatch, capsys):
    claim = {"claim": "of the test", "checks": 1, "failed": ["here: 1 is not between 2 and 3"]}
    for failed, status in ((claim, 1), (claim | {"failed": []}, 0)):
        monkeypatch.setattr(calibration_study, "study", lambda *_, claims=failed: stored | {"claims": [claims]})
        monkeypatch.setattr("sys.argv", ["calibration_study.py", "--rivals", "0"])
        assert main() == status
        assert ("FAILS: of the test" in capsys.readouterr().out) == bool(status)
