"""What users hold; every method is one call on the module that does it. A file for each step of the analysis."""

from ranef.session.fit import Fit, glmm, lmm

__all__ = ["Fit", "glmm", "lmm"]
