"""Settings every test runs under."""

import os

from hypothesis import settings

# Two test processes on two cores: numerical libraries with threads of their own would only get in each other's way.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(variable, "1")
# Figures are drawn to files and buffers; a test never opens a window.
os.environ["MPLBACKEND"] = "Agg"

# The same examples in every run: a failure seen once can be seen again. Time limits say more about the machine.
settings.register_profile("ranef", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("ranef")


def pytest_addoption(parser):
    """Options of our own."""
    parser.addoption(
        "--update-documentation",
        action="store_true",
        help="write the outputs in the documentation anew, do not compare",
    )
