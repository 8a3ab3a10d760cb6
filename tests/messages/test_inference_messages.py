"""What bootstrap, intervals and profile say when they are asked for what there is not."""

import pytest

from models import sleepstudy
from ranef.errors import ModelError

CALLS = {
    "confint_method": lambda fit: fit.confint("likelihood"),
    "confint_parm": lambda fit: fit.confint(parm="Dayz"),
    "confint_level": lambda fit: fit.confint(level=95),
    "confint_kind": lambda fit: fit.confint("bootstrap", kind="bca", n=2),
    "bootstrap_n": lambda fit: fit.bootstrap(0),
    "bootstrap_statistic": lambda fit: fit.bootstrap(10, "aic"),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments(name, snapshot):
    with pytest.raises(ModelError) as caught:
        CALLS[name](sleepstudy())
    snapshot(name, f"ModelError: {caught.value}")
