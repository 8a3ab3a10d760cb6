"""What a fit says about rows of data: those it was fitted to, and new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranef.conditioning import Conditioning
from ranef.errors import ModelError
from ranef.frames import IntoFrame
from ranef.prediction import augmentation, predictions
from ranef.prediction import residuals as residual_kinds
from ranef.session.answers import Answers
from ranef.simulation import simulate


class Rows(Answers):
    """Predictions, residuals and simulated responses."""

    def augment(self) -> IntoFrame:
        """The rows used, with columns fitted, residual, leverage, cooks_distance and fixed (population predictor)."""
        return augmentation.augment(self)

    def predict(
        self,
        newdata: IntoFrame | None = None,
        kind: str = "response",
        ranef: Conditioning = True,
        new_levels: str = "error",
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        seed: int | None = 0,
    ) -> Any:
        """Predict for the rows of the fit or for new ones.

        Parameters
        ----------
        newdata : data frame, optional
            None: the rows of the fit.
        kind : {"response", "link", "conditional", "zprob", "zlink", "dispersion", "probability", "class"}
            Mean of the response with zero inflation; linear predictor; mean of the part that is not an excess zero;
            probability of an excess zero; its linear predictor; the dispersion, as `sigma` reports it. The mean of a
            binomial is the probability, of an ordinal response the expected number of the category, 1 to J. Only for
            ordinal responses: the "probability" of each category, and the "class", the most probable category.
        ranef : bool or list of terms
            True: at the conditional modes. False: population level, random effects zero. A list keeps the terms it
            names, by group (``"Nest"``) or text (``"(1 | Nest)"``).
        new_levels : {"error", "population"}
            Levels of a grouping factor that the fit has not met raise `DataError`, or count as zero, their variance
            entering the standard error.
        se : bool
            Whether standard errors (delta method, all parameters and random effects) are wanted.
        interval : {None, "confidence", "prediction"}
            "confidence": for the quantity itself, formed on the link scale and transformed where it depends on one
            predictor alone. "prediction": for a new response of the row; normal for a Gaussian, else quantiles of
            2000 simulated responses (a binomial's as a proportion: of the row's trials, or of one trial in new data).
        level : float
            Level of the interval.
        seed : int, optional
            Seed of the simulated prediction intervals.

        Returns
        -------
        array or frame
            An array (rows,), or with `se` or `interval` a frame estimate, std_error, conf_low, conf_high. For
            "probability" a frame with a column per category, or with `se` or `interval` a frame row, category,
            estimate, std_error, conf_low, conf_high with a line for each row and category.

        Examples
        --------
        >>> import ranef as rf
        >>> sleep = rf.load_dataset("sleepstudy")
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
        >>> fit.predict(sleep.head(2), ranef=False).round(1)
        array([251.4, 261.9])
        """
        found = predictions.predict(self, newdata, kind, ranef, new_levels, se, interval, level, seed)
        if isinstance(found, np.ndarray):
            return found
        return self._frame(found, self.design.frame if newdata is None else newdata)

    def fitted(self) -> np.ndarray:
        """Fitted means of the rows used, at the conditional modes, (nobs,); probabilities for a binomial."""
        return np.asarray(predictions.predict(self))

    def residuals(self, kind: str = "response", ranef: Conditioning = True, seed: int | None = None) -> np.ndarray:
        """Residuals of the rows used, (nobs,).

        Parameters
        ----------
        kind : {"response", "pearson", "deviance", "working", "quantile", "normalized"}
            y - mu; that over the square root of the variance function (times the weights), as lme4 and glmmTMB define
            it; the signed root of the unit deviance; y - mu on the scale of the link; the normal quantile of the
            response's place in its distribution, which is standard normal under the model for every family, zero
            inflation included (Dunn & Smyth 1996). Binomial responses count as proportions. "normalized": those over
            their standard deviation, decorrelated within the groups of `correlation`, standard normal under the model;
            with `correlation` or `dispersion` "pearson" is divided by the standard deviation too, as in nlme.
        ranef : bool or list of terms
            The random effects in mu, as in `predict`.
        seed : int, optional
            Of quantile residuals: a response that has a probability of its own (a count, an inflated zero) is placed
            within it at random, alike for the same seed.

        Examples
        --------
        >>> import ranef as rf
        >>> owls = rf.load_dataset("owls")
        >>> fit = rf.glmm("SiblingNegotiation ~ FoodTreatment + (1 | Nest)", owls, family="poisson")
        >>> float(fit.residuals("quantile", seed=1).std().round(1))  # 1 under the model: these counts vary more
        2.3
        """
        return residual_kinds.residuals(self, kind, ranef, seed)

    def loglik_rows(self) -> np.ndarray:
        """Log density of each row at the conditional modes, times its weight, (nobs,).

        They sum to the log-likelihood of the data given the random effects, which is larger than `loglik`: that one is
        integrated over them. Not for correlated residuals, whose rows have no densities of their own.
        """
        if self.model.correlation is not None:
            raise ModelError(
                f"loglik_rows(): the residuals of this model are correlated ({self.model.correlation.text}), so rows "
                "have no densities of their own."
            )
        return np.asarray(self.engine.loglik_rows(), float)

    def simulate(
        self, n: int, seed: int | None = None, ranef: Conditioning = "new", newdata: IntoFrame | None = None
    ) -> np.ndarray:
        """Draw new responses, (rows, n), in the form of the response (proportions or categories where it was one).

        Parameters
        ----------
        n : int
            Number of draws.
        seed : int, optional
            The same seed gives the same draws.
        ranef : "new", bool or list of terms
            Random effects drawn afresh, kept at their conditional modes (True), or zero (False). A list keeps the
            terms it names at their modes and draws the others afresh.
        newdata : data frame, optional
            Rows to draw for; None: those of the fit. Rows of levels that the fit has not met share one drawn level.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
        >>> fit.simulate(3, seed=1).shape
        (180, 3)
        """
        return simulate(self, n, seed, ranef, newdata)
