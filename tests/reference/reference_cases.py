"""The stored answers of R's packages: reading them, and fitting the same models once per test process."""

import json
import re
from functools import cache
from pathlib import Path

import pandas as pd

import ranef as rf

HERE = Path(__file__).parent
SIMULATED = json.loads((HERE / "data" / "factors.json").read_text())
FAMILY = {"Gamma": "gamma"}


def stored(prefix: str = "") -> dict[str, dict]:
    """All cases whose name starts so, by name."""
    paths = sorted(HERE.glob(f"lme4/{prefix}*.json")) + sorted(HERE.glob(f"glmmTMB/{prefix}*.json"))
    return {path.stem: json.loads(path.read_text()) | {"package": path.parent.name} for path in paths}


@cache
def frame(name: str, rows: int | None = None) -> pd.DataFrame:
    """The data of a case, or its first rows: one of the package's data sets, or one simulated for the references."""
    if rows is not None:
        first = frame(name).head(rows)
        return first.assign(**{g: first[g].cat.remove_unused_categories() for g in first.select_dtypes("category")})
    if name not in SIMULATED:
        return rf.load_dataset(name)
    dtype = {
        column: pd.CategoricalDtype(card["levels"], ordered=card["ordered"]) for column, card in SIMULATED[name].items()
    }
    return pd.read_csv(HERE / "data" / f"{name}.csv.gz", dtype=dtype)


CASES = {name: case for name, case in stored().items() if not name.startswith("obj_")}


@cache
def fitted(name: str) -> "rf.Fit":
    """The model of a case, fitted through the public interface."""
    case = CASES[name]
    data, weights = frame(case["data"], case.get("rows")), case["weights"]
    if case["package"] == "lme4" and case["family"] == "gaussian":
        return rf.lmm(case["formula"], data, reml=case["reml"], weights=weights)
    options = {"zi": case["zi"]} if case["zi"] else {}
    if case["dispersion"] not in (None, "~1"):
        options["dispersion"] = case["dispersion"]
    if "quadrature" in case:
        options["quadrature"] = case["quadrature"]
    return rf.glmm(
        case["formula"],
        data,
        family=FAMILY.get(case["family"], case["family"]),
        link=case["link"],
        reml=case["reml"],
        weights=weights,
        **options,
    )


def r_name(name: str) -> str:
    """A coefficient's name as R spells it: ``Intercept`` -> ``(Intercept)``, ``f[T.b]:x`` -> ``fb:x``."""
    name = re.sub(r"^Intercept$", "(Intercept)", name)
    name = re.sub(r"\[(?:T\.)?(.*?)\]", r"\1", name)
    name = re.sub(r"True\b", "TRUE", name).replace("**", "^")
    return re.sub(r"[\s`]", "", name)


def same_grouping(group: str) -> str:
    """``batch:cask`` and ``cask:batch`` are one grouping; R numbers several terms on one factor (g, g.1)."""
    return ":".join(sorted(re.sub(r"\.\d+$", "", group).replace(" ", "").split(":")))


def same_level(group: str, level: str) -> str:
    """A level of a composite grouping with its parts in the order of `same_grouping`."""
    names, parts = re.sub(r"\.\d+$", "", group).replace(" ", "").split(":"), level.split(":")
    return ":".join(part for _, part in sorted(zip(names, parts, strict=True))) if len(names) > 1 else level
