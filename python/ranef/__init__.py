"""ranef: mixed-effects models. Fit, check, infer, report.

The public names, in the order of an analysis. They are loaded when first used: importing ranef costs no more than
importing an empty package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranef import families, prior
    from ranef._engine import __version__
    from ranef.correlations import list_correlations
    from ranef.covariances import list_covariances
    from ranef.datasets import list_datasets, load_dataset
    from ranef.errors import ConvergenceWarning, DataError, FormulaError, ModelError
    from ranef.families import list_families
    from ranef.fitting import Control
    from ranef.relatedness.adjacency import adjacency
    from ranef.relatedness.known_matrix import precision_matrix
    from ranef.relatedness.pedigree import pedigree
    from ranef.relatedness.phylogeny import phylogeny
    from ranef.session import Fit, glmm, lmm
    from ranef.session.comparison import Comparison, compare
    from ranef.session.plots import plot_coefficients, plot_coefficients_data
    from ranef.session.pooling import pool
    from ranef.session.power import Power, power
    from ranef.session.residual_checks import SimulatedResiduals, scaled_residuals
    from ranef.variance_functions import list_variance_functions

__all__ = [
    "Comparison",
    "Control",
    "ConvergenceWarning",
    "DataError",
    "Fit",
    "FormulaError",
    "ModelError",
    "Power",
    "SimulatedResiduals",
    "__version__",
    "adjacency",
    "compare",
    "families",
    "glmm",
    "list_correlations",
    "list_covariances",
    "list_datasets",
    "list_families",
    "list_variance_functions",
    "lmm",
    "load_dataset",
    "pedigree",
    "phylogeny",
    "plot_coefficients",
    "plot_coefficients_data",
    "pool",
    "power",
    "precision_matrix",
    "prior",
    "scaled_residuals",
]

_HOME = {
    "load_dataset": "ranef.datasets",
    "list_datasets": "ranef.datasets",
    "pedigree": "ranef.relatedness.pedigree",
    "phylogeny": "ranef.relatedness.phylogeny",
    "adjacency": "ranef.relatedness.adjacency",
    "precision_matrix": "ranef.relatedness.known_matrix",
    "lmm": "ranef.session",
    "glmm": "ranef.session",
    "Fit": "ranef.session",
    "compare": "ranef.session.comparison",
    "Comparison": "ranef.session.comparison",
    "plot_coefficients": "ranef.session.plots",
    "plot_coefficients_data": "ranef.session.plots",
    "pool": "ranef.session.pooling",
    "power": "ranef.session.power",
    "Power": "ranef.session.power",
    "SimulatedResiduals": "ranef.session.residual_checks",
    "scaled_residuals": "ranef.session.residual_checks",
    "Control": "ranef.fitting",
    "list_families": "ranef.families",
    "list_covariances": "ranef.covariances",
    "list_correlations": "ranef.correlations",
    "list_variance_functions": "ranef.variance_functions",
    "DataError": "ranef.errors",
    "FormulaError": "ranef.errors",
    "ModelError": "ranef.errors",
    "ConvergenceWarning": "ranef.errors",
    "__version__": "ranef._engine",
}


def __getattr__(name: str) -> Any:
    if name in ("families", "prior"):
        return import_module(f"ranef.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'ranef' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
