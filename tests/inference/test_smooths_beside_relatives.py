"""A smooth beside effects of relatives: both are terms of one model, and neither disturbs the other."""

import numpy as np
import pandas as pd

import ranef as rf

RNG = np.random.default_rng(6)
ANIMALS = [f"a{k}" for k in range(60)]
FAMILY = rf.pedigree(
    pd.DataFrame(
        {
            "id": ANIMALS,
            "sire": [None if k < 10 else f"a{2 * RNG.integers(0, k // 4)}" for k in range(60)],
            "dam": [None if k < 10 else f"a{2 * RNG.integers(0, k // 4) + 1}" for k in range(60)],
        }
    )
)
DATA = pd.DataFrame({"animal": np.tile(ANIMALS, 3), "x": RNG.uniform(0, 10, 180)})
VALUES = dict(zip(FAMILY.levels, np.linalg.cholesky(FAMILY.relationship()) @ RNG.normal(size=60), strict=True))
DATA["y"] = np.sin(DATA.x) + DATA.animal.map(VALUES) + RNG.normal(size=180) * 0.4


def test_both_in_one_model():
    fit = rf.lmm("y ~ s(x) + propto(0 + animal | 1, FAMILY)", DATA)
    assert fit.converged
    assert fit.smooths()["edf"][0] > 4
    new = DATA.head(5)
    np.testing.assert_allclose(fit.predict(new), fit.fitted()[:5], atol=1e-8)
    # The dense relationship matrix, by name, is the same model.
    dense = pd.DataFrame(FAMILY.relationship(), FAMILY.levels, FAMILY.levels)
    other = rf.lmm("y ~ s(x) + propto(0 + animal | 1, dense)", DATA, matrices={"dense": dense})
    np.testing.assert_allclose(fit.loglik, other.loglik, rtol=1e-8)
    # Two optimisers' ends, flat to second order.
    np.testing.assert_allclose(fit.fitted(), other.fitted(), atol=1e-5)
