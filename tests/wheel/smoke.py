"""An installed wheel at work, where there is neither the source tree, nor Rust, nor pytest.

Run by `make wheel` in an empty environment, or: python -I tests/wheel/smoke.py
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ranef as rf

# Seconds in which a new interpreter imports the package; a quarter of a second on a quiet machine, so that only an
# import of matplotlib or scipy.stats at the start, or a machine that does nothing else, gets there.
MOST_IMPORT = 2.0


def installed() -> None:
    """The package that answers is the installed one, and there is no compiler that could help."""
    place = Path(rf.__file__).resolve()
    assert place.is_relative_to(Path(sys.prefix).resolve()), f"{place} is not in {sys.prefix}"
    assert not any(map(shutil.which, ("cargo", "rustc"))), "Rust is on the PATH"


def datasets() -> None:
    """Every data set can be read."""
    names = list(rf.list_datasets()["name"])
    assert len(names) > 20
    for name in names:
        assert len(rf.load_dataset(name)) > 0


def analysis(fit: rf.Fit, loglik: float, folder: Path) -> None:
    """A fit, its predictions, checks and report, saved and loaded again."""
    # Printed by R with so many digits.
    assert abs(fit.loglik - loglik) < 1e-3, (fit.loglik, loglik)
    predicted = np.asarray(fit.predict(), float)
    assert np.isfinite(predicted).all()
    assert str(fit.check())
    fit.save(folder / "fit.ranef")
    again = rf.load(folder / "fit.ranef")
    assert again.loglik == fit.loglik
    assert np.array_equal(np.asarray(again.predict(), float), predicted)
    fit.report(folder / "report.html")
    assert "<style" in (folder / "report.html").read_text(encoding="utf-8")


def command_line(folder: Path) -> None:
    """The command is installed, and fits a file."""
    command = str(Path(sys.executable).with_name("ranef"))
    told = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    assert rf.__version__ in told, told
    rf.load_dataset("sleepstudy").to_csv(folder / "sleep.csv", index=False)
    arguments = ["fit", "sleep.csv", "Reaction ~ Days + (Days | Subject)", "--json", "fit.json"]
    subprocess.run([command, *arguments], check=True, capture_output=True, cwd=folder)
    assert json.loads((folder / "fit.json").read_text(encoding="utf-8"))


def import_time() -> float:
    """Seconds of a new interpreter that imports the package, the best of three."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "import ranef"], check=True)
        return time.perf_counter() - began

    best = min(once() for _ in range(3))
    assert best < MOST_IMPORT, f"import ranef takes {best:.2f} s"
    return best


def main() -> None:
    """Do all of it in a folder that goes away."""
    installed()
    datasets()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # lme4: logLik(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)).
        analysis(rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy")), -871.8141, folder)
        # lme4: logLik(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial)).
        formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        analysis(rf.glmm(formula, rf.load_dataset("cbpp"), family="binomial"), -92.0266, folder)
        command_line(folder)
    python, seconds = sys.version.split()[0], import_time()
    print(f"ranef {rf.__version__} on Python {python}: installed and working; import {seconds:.2f} s")


if __name__ == "__main__":
    main()
