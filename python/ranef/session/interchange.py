"""A fit in the form of other packages."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.conditioning import Conditioning
from ranef.errors import ModelError
from ranef.inference.bootstrap import plan, replicates
from ranef.interchange import arviz, marginaleffects
from ranef.prediction.predictions import require_kind
from ranef.session.answers import Answers
from ranef.simulation import simulate


class Interchange(Answers):
    """Handing a fit to packages that are there."""

    def to_marginaleffects(self, kind: str = "response", ranef: Conditioning = False) -> Any:
        """The fit for the package marginaleffects: its `predictions`, `comparisons`, `slopes`, `hypotheses`, ...

        The package is not part of ranef and has to be installed (version 0.6 wants ``polars<2``); its licence is the
        GPL, version 3 or later. Standard errors are by the delta method in all fixed effects whose joint covariance
        is known, those of dispersion and zero inflation included.

        Parameters
        ----------
        kind : {"response", "link", "conditional", "zprob", "zlink"}
            What is predicted, as in `predict`.
        ranef : bool or list of terms
            The random effects in predictions; by default none, the population level.

        Returns
        -------
        marginaleffects.classes.ModelAbstract

        Raises
        ------
        ImportError
            Where the package is not installed.
        """
        require_kind(self, kind)
        if kind not in ("response", "link", "conditional", "zprob", "zlink"):
            raise ModelError(
                f"to_marginaleffects(kind={kind!r}): give 'response', 'link', 'conditional', 'zprob' or 'zlink'."
            )
        return marginaleffects.adapter(self, self.design.frame, kind, ranef)

    def to_arviz(self, n: int = 1000, seed: int | None = None, chains: int = 1, threads: int | None = None) -> Any:
        """Parametric bootstrap replicates as ArviZ's InferenceData (a DataTree since its version 1).

        Group ``posterior`` has a variable for each component's fixed effects (``cond``, ``zi``, ...) and ``random`` for
        standard deviations, correlations and sigma; ``posterior_predictive`` has responses simulated from the fit, for
        ``plot_ppc``. They are named so because ArviZ looks there: what they are is the sampling distribution of the
        estimates, as the attribute ``meaning`` says. Replicates whose fit did not converge are left out. ArviZ is not
        part of ranef and has to be installed.

        Parameters
        ----------
        n : int
            Number of replicates.
        seed : int, optional
        chains : int
            Chains that the replicates are dealt to: they are independent, so that every diagnostic of mixing is good.
        threads : int, optional
            Threads; the numbers do not depend on it.

        Raises
        ------
        ImportError
            Where ArviZ is not installed.
        """
        if isinstance(chains, bool) or not isinstance(chains, int) or not 1 <= chains <= n:
            raise ModelError(f"to_arviz(chains={chains!r}): give a whole number from 1 to n")
        arviz.require()
        what = plan(self, n, None, seed, threads, None)
        columns = replicates(self, what, self._with_response)
        drawn = simulate(self, n, what.seed) if not self.model.family.ordinal else None
        return arviz.inference_data(self, columns, None if drawn is None else np.asarray(drawn), chains)
