"""What is said of fits that need more memory than there is."""

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from ranef import memory


def frame():
    rows = np.arange(3000)
    person = np.where(rows < 1500, 0, rows)
    return pd.DataFrame(
        {
            "y": rows % 7.0,
            "u": rows % 1000 * 1.0,
            "v": rows % 17 * 1.0,
            "person": person.astype(str),
            "item": (rows % 1500).astype(str),
            "all": "1",
        }
    )


FITS = {
    "crossed": lambda: rf.lmm("y ~ u + (1 | person) + (1 | item)", frame()),
    "places": lambda: rf.glmm("y ~ u + exp(u + v | all)", frame(), family="poisson"),
    "residuals": lambda: rf.lmm("y ~ u", frame(), correlation="gau(u + v | 1)"),
}


@pytest.mark.parametrize("name", FITS)
def test_no_room(name, snapshot, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 12_345_678)
    with pytest.raises(rf.ModelError) as caught:
        FITS[name]()
    snapshot(f"memory_{name}", f"ModelError: {caught.value}")
