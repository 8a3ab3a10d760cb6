"""Data sets as raw columns on disk, which numpy and R read at the speed of the disk: reading is not what is timed.

A folder holds ``columns.json`` (name -> kind, with the levels of a factor) and one little-endian file a column: float64
for numbers, int32 codes counting from zero for factors.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from problems import PROBLEMS
from simulated import SCHEMES, generator


def grouping_factors(data: str) -> set[str]:
    """The columns that are factors, in the problems on these data."""
    groups = {name for p in PROBLEMS if p.data == data for _, group in p.random for name in group.split(":")}
    return groups | {name for p in PROBLEMS if p.data == data for name in p.factors}


def store(data: str, root: Path) -> Path:
    """Write a data set once; returns its folder."""
    folder = root / data
    if (folder / "columns.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if data in SCHEMES:
        frame = pd.DataFrame(SCHEMES[data](generator(data)))
    else:
        import ranef as rf

        frame = rf.load_dataset(data)
    kinds: dict[str, object] = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            kinds[name] = [str(level) for level in column.cat.categories]
            column.cat.codes.to_numpy("<i4").tofile(folder / name)
        elif name in grouping_factors(data):
            codes, levels = pd.factorize(column, sort=True)
            kinds[name] = [str(level) for level in levels]
            codes.astype("<i4").tofile(folder / name)
        else:
            kinds[name] = "number"
            column.to_numpy("<f8").tofile(folder / name)
    (folder / "columns.json").write_text(json.dumps(kinds))
    return folder


def load(folder: Path) -> pd.DataFrame:
    """Read a data set back."""
    kinds = json.loads((folder / "columns.json").read_text())
    columns = {}
    for name, kind in kinds.items():
        if kind == "number":
            columns[name] = np.fromfile(folder / name, "<f8")
        else:
            columns[name] = pd.Categorical.from_codes(np.fromfile(folder / name, "<i4"), kind)
    return pd.DataFrame(columns, copy=False)
