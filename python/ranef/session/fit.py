"""`lmm`, `glmm` and the `Fit` that they return."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranef.arguments import held_to_its_types
from ranef.assumptions import assuming
from ranef.errors import ModelError, SavedFitError
from ranef.families import Family, as_family
from ranef.fitting import Control, FittedModel, fit_model, refit_response
from ranef.formula.couplings import named_matrices
from ranef.formula.update import update_formula
from ranef.frames import IntoFrame
from ranef.model import Model, build_model
from ranef.prior import Prior
from ranef.saving.record import content_of, fields_of
from ranef.session.estimates import Estimates
from ranef.session.explained_variance import ExplainedVariance
from ranef.session.influencing import Influencing
from ranef.session.interchange import Interchange
from ranef.session.marginal_means import Marginal
from ranef.session.plots import Plots
from ranef.session.reporting import Reporting
from ranef.session.rows import Rows
from ranef.session.saved import Saved
from ranef.session.writing import Writing


@held_to_its_types
def lmm(
    formula: str,
    data: IntoFrame,
    *,
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    missing: str = "drop",
    start: FittedModel | Mapping[str, Any] | None = None,
    control: Control | None = None,
    correlation: str | None = None,
    dispersion: str | None = None,
    matrices: Mapping[str, Any] | None = None,
    priors: Mapping[str, Prior] | None = None,
    fixed: Mapping[str, Any] | None = None,
    tied: Sequence[Sequence[str]] | None = None,
) -> Fit:
    """Fit a linear mixed model, y = X beta + Z b + e.

    b ~ N(0, Sigma) for every random-effects term and e ~ N(0, sigma^2 / w). Fixed effects and sigma are profiled out
    of the (restricted) likelihood, as in lme4 (Bates, Maechler, Bolker & Walker 2015, Journal of Statistical Software
    67(1), sections 3.4-3.5). With `correlation` or `dispersion` residuals are correlated within groups and differ in
    size, as in nlme's lme and gls (Pinheiro & Bates 2000, Mixed-Effects Models in S and S-PLUS, chapter 5): the exact
    likelihood of the groups that are independent of each other, in which all other grouping factors must be nested.

    Parameters
    ----------
    formula : str
        Response, fixed effects and random-effects terms: ``"Reaction ~ Days + (Days | Subject)"``.
    data : data frame
        pandas, polars, pyarrow or another eager frame; it is not changed.
    reml : bool
        Restricted maximum likelihood (default) or maximum likelihood.
    correlation : str, optional
        Correlation of the residuals within groups, a structure around place and group: ``"ar1(time | g)"`` (whole
        numbers; ``1`` is the order of the rows), ``"arma(time | g, p=1, q=1)"``, ``"car1(time | g)"`` (any times),
        ``"cs(1 | g)"``, ``"us(time | g)"`` (a correlation for each pair of occasions), ``"exp(x + y | g)"``,
        ``"gau(x + y | g, nugget=True)"``. `list_correlations` has them all. ``| 1`` makes one group of all rows.
    dispersion : str, optional
        One-sided formula of the log of the residual standard deviation: ``"~ sex"`` (one for each level),
        ``"~ time"`` (exponential in time), besides the variance functions ``power(x)``, ``constpower(x)``,
        ``power(fitted)``, ``exp(fitted)``, where ``fitted`` is the fitted mean at the conditional modes. `sigma` is the
        standard deviation where all of them are one.
    weights : str or array, optional
        Precision weights w, a column or one number per row: the residual variance of a row is sigma^2 / w.
    offset : str or array, optional
        Known part of the linear predictor.
    contrasts : dict, optional
        Coding by factor, e.g. ``{"treatment": "sum"}``.
    missing : {"drop", "error"}
        What happens to rows with a missing value in a variable of the model.
    matrices : dict, optional
        The known matrices that ``propto(...)``, ``equalto(...)`` and ``car(...)`` name: arrays, frames with level
        names, scipy sparse matrices, `precision_matrix`, `pedigree`, `phylogeny`, `adjacency`. A name that is not in
        there is looked up among the caller's variables.
    priors : dict, optional
        Prior densities of parameters, by name, as in `glmm`; those of fixed effects need ``reml=False``.
    fixed : dict, optional
        Parameters held at values, by the same names: ``{"sd(Nest)": 0.3, "x": 1.0, "cor(Subject)": 0}``. They have no
        standard error and do not count in `npar`.
    tied : list of tuples, optional
        Parameters that are equal: ``[("sd(a)", "sd(b)")]``; standard deviations, or fixed effects.
    start : Fit or dict, optional
        Where the optimiser starts: a fit of a model with the same terms; values of some parameters by name,
        ``{"sd(Subject)": 20}``; or ``{"factor": [...]}`` with, for every random-effects term, a matrix F such that
        sigma^2 F F' is the covariance of its effects.
    control : Control, optional
        Settings of the optimiser.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, FormulaError, ModelError
        When the input is not a model that can be fitted; the text names the column, row or term.

    Warns
    -----
    ConvergenceWarning
        When the optimum cannot be trusted; the fit is returned all the same.

    Examples
    --------
    >>> import ranef as rf
    >>> sleep = rf.load_dataset("sleepstudy")
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    >>> round(fit.fixef()["Days"], 2)
    10.47
    >>> serial = rf.lmm("Reaction ~ Days + (1 | Subject)", sleep, correlation="ar1(Days | Subject)")
    >>> serial.tidy("random")[["term", "estimate"]].round(2).values.tolist()[-1]
    ['phi__ar1', 0.65]
    """
    matrices = named_matrices((formula,), matrices, sys._getframe(2))
    arguments = {
        "formula": formula,
        "reml": reml,
        "correlation": correlation,
        "dispersion": dispersion,
        "weights": weights,
        "offset": offset,
        "contrasts": contrasts,
        "missing": missing,
        "matrices": matrices,
        "priors": priors,
        "fixed": fixed,
        "tied": tied,
    }
    model = build_model(
        formula,
        data,
        family=as_family("gaussian"),
        linear=True,
        reml=reml,
        correlation=correlation,
        dispersion=dispersion,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        missing=missing,
        matrices=matrices,
        arguments=arguments,
    )
    return fitted(assuming(model, priors, fixed, tied), control, start)


@held_to_its_types
def glmm(
    formula: str,
    data: IntoFrame,
    *,
    family: str | Family,
    link: str | None = None,
    zi: str | None = None,
    dispersion: str | None = None,
    shape: str | None = None,
    reml: bool | None = None,
    quadrature: int = 1,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    priors: Mapping[str, Prior] | None = None,
    missing: str = "drop",
    start: FittedModel | Mapping[str, Any] | None = None,
    control: Control | None = None,
    matrices: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    tied: Sequence[Sequence[str]] | None = None,
) -> Fit:
    """Fit a generalized linear mixed model by the Laplace approximation.

    Every component k (the mean, and where asked for the dispersion, shape and zero inflation) has a linear predictor
    g_k(parameter_k) = X_k beta_k + Z_k b_k; the random effects are integrated out around their conditional modes, as in
    glmmTMB (Brooks et al. 2017, The R Journal 9(2), 378-400). The log-likelihood includes all constants.

    Parameters
    ----------
    formula : str
        Response, fixed effects and random-effects terms of the mean. Binomial counts are
        ``cbind(successes, failures)`` or a proportion with ``weights`` as trials.
    data : data frame
        pandas, polars, pyarrow or another eager frame; it is not changed.
    family : str or Family
        A name (see `list_families`) or an object such as ``rf.families.nbinom2(link="sqrt")``.
    link : str, optional
        Link of the mean; the family's default when left out.
    zi : str, optional
        One-sided formula of the probability of an excess zero (logit link), e.g. ``"~ 1"``.
    dispersion, shape : str, optional
        One-sided formulas of the family's further parameters; a constant when left out. ``dispersion="~ 0"`` takes
        the residual variance out of a Gaussian model.
    reml : bool, optional
        Whether the fixed effects of the mean are integrated out as well. When left out, only with smooths, whose
        variances maximum likelihood makes too small; the summary says which it was.
    quadrature : int
        Points of adaptive Gauss-Hermite quadrature in each direction, for the random effects of one grouping factor, up
        to 3 a level: nearly exact where Laplace's approximation is not (binary data with few rows a level). 1 is the
        Laplace approximation; 0 puts the fixed effects of the mean into the search for the conditional modes (lme4's
        ``nAGQ = 0``: fast, not quite the maximum of the likelihood).
    weights : str or array, optional
        Each row's log-likelihood is multiplied by its weight; for a binomial proportion they are the trials.
    offset : str or array, optional
        Known part of the linear predictor of the mean.
    contrasts : dict, optional
        Coding by factor, e.g. ``{"treatment": "sum"}``.
    priors : dict, optional
        Prior densities of parameters, by name: ``{"fixed": rf.prior.normal(0, 2.5), "sd": rf.prior.gamma(1, 2.5)}``.
        Their logarithm is added to the log-likelihood, and the estimates are the mode of the posterior. Names are
        ``x``, ``zi: x``, ``fixed`` (the mean's but the intercept), ``cond``, ``zi``, ..., ``sd``, ``sd(group)``,
        ``sd(group, column)``, ``log_sd(...)``, ``cor(group)``, ``sigma``; the most particular counts.
    missing : {"drop", "error"}
        What happens to rows with a missing value in a variable of the model.
    matrices : dict, optional
        The known matrices that ``propto(...)``, ``equalto(...)`` and ``car(...)`` name: arrays, frames with level
        names, scipy sparse matrices, `precision_matrix`, `pedigree`, `phylogeny`, `adjacency`. A name that is not in
        there is looked up among the caller's variables.
    fixed : dict, optional
        Parameters held at values, by the same names: ``{"sd(Nest)": 0.3, "x": 1.0, "cor(Subject)": 0}``. They have no
        standard error and do not count in `npar`.
    tied : list of tuples, optional
        Parameters that are equal: ``[("sd(a)", "sd(b)")]``; standard deviations, or fixed effects.
    start : Fit or dict, optional
        Where the optimiser starts: a fit of a model with the same terms; values of some parameters by name,
        ``{"sd(Nest)": 0.5, "x": 1.0}``; or ``{"factor": [...], "beta": {...}}`` with, for every random-effects term, a
        matrix F such that F F' is the covariance of its effects, and for every component its fixed effects.
    control : Control, optional
        Settings of the optimiser.

    Returns
    -------
    Fit

    Raises
    ------
    DataError, FormulaError, ModelError
        When the input is not a model that can be fitted; the text names the column, row or term.

    Warns
    -----
    ConvergenceWarning
        When the optimum cannot be trusted; the fit is returned all the same.

    Examples
    --------
    >>> import ranef as rf
    >>> owls = rf.load_dataset("owls")
    >>> fit = rf.glmm(
    ...     "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)",
    ...     owls, family="nbinom2", zi="~ 1",
    ... )
    >>> round(fit.loglik, 1)
    -1708.8
    """
    if isinstance(quadrature, bool) or not isinstance(quadrature, int) or quadrature < 0:
        raise ModelError(
            f"quadrature={quadrature!r}: give a whole number of points, 0 or more; 1 is the Laplace approximation."
        )
    matrices = named_matrices((formula, zi, dispersion, shape), matrices, sys._getframe(2))
    arguments = {
        "formula": formula,
        "family": family,
        "link": link,
        "zi": zi,
        "dispersion": dispersion,
        "shape": shape,
        "reml": reml,
        "quadrature": quadrature,
        "weights": weights,
        "offset": offset,
        "contrasts": contrasts,
        "priors": priors,
        "missing": missing,
        "matrices": matrices,
        "fixed": fixed,
        "tied": tied,
    }
    model = build_model(
        formula,
        data,
        family=as_family(family, link),
        linear=False,
        reml=reml,
        quadrature=int(quadrature),
        zi=zi,
        dispersion=dispersion,
        shape=shape,
        weights=weights,
        offset=offset,
        contrasts=contrasts,
        missing=missing,
        matrices=matrices,
        arguments=arguments,
    )
    return fitted(assuming(model, priors, fixed, tied), control, start)


def fitted(model: Model, control: Control | None, start: FittedModel | Mapping[str, Any] | None) -> Fit:
    """Fit a model and hand the record to the user."""
    control = Control() if control is None else control
    if not isinstance(control, Control):
        raise ModelError(f"control is a ranef.Control(...), not {type(control).__name__}")
    engine, kept = fit_model(model, control, start)
    return Fit(model=model, control=control, engine=engine, kept=kept)


class Fit(
    Estimates,
    Rows,
    Influencing,
    Marginal,
    ExplainedVariance,
    Reporting,
    Writing,
    Saved,
    Interchange,
):
    """A fitted mixed model.

    `lmm` and `glmm` make it; it never changes afterwards. Plain values are attributes (`loglik`, `aic`, `sigma`,
    `converged`, ...), everything else a method. Components are named cond, zi, disp, shape and threshold; frames come
    back of the kind that the data were.

    Examples
    --------
    >>> import ranef as rf
    >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"))
    >>> fit.nobs, fit.ngroups, fit.npar
    (180, {'Subject': 18}, 6)
    >>> fit.converged, fit.singular
    (True, False)
    """

    def refit(self, response: Any) -> Fit:
        """Fit the same model to another response.

        All that depends on the design alone is kept. The search starts where the new response says, not at this fit's
        optimum, so that the result does not depend on the fit it was asked of.

        Parameters
        ----------
        response : array_like
            One value per row used, or per row of the data given to `lmm` or `glmm`, in the form `simulate` returns.
            For an ordinal response, every category of the fit must occur.

        Returns
        -------
        Fit
            Its `design` keeps the matrices of this fit and holds the new response.
        """
        return self._with_response(*refit_response(self, response))

    def update(self, formula: str | None = None, data: IntoFrame | None = None, **changes: Any) -> Fit:
        """Fit again with something changed.

        Parameters
        ----------
        formula : str, optional
            A formula; a dot stands for what was there: ``". ~ . - x"``, ``". ~ . + (1 | site)"``.
        data : data frame, optional
            Other data. Without it the rows of this fit are used again.
        **changes
            Any other argument of `lmm` or `glmm`.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (Days | Subject)", rf.load_dataset("sleepstudy"), reml=False)
        >>> fit.update(". ~ . - Days").npar
        5
        """
        arguments = dict(self.model.arguments)
        if formula is not None:
            arguments["formula"] = update_formula(self.formula, formula)
        control, start = changes.pop("control", self.control), changes.pop("start", None)
        unknown = set(changes) - set(arguments)
        if unknown:
            raise ModelError(
                f"update({', '.join(sorted(unknown))}): arguments are {', '.join(arguments)}, control, start."
            )
        arguments |= changes
        if data is None:
            data = self.design.frame
            for name in ("weights", "offset"):
                if name not in changes:
                    arguments[name] = self._of_used_rows(arguments[name])
        fit = lmm if self.model.linear else glmm
        text = arguments.pop("formula")
        return fit(text, data, control=control, start=start, **arguments)

    def _refit(self, formula: str | None = None, **changes: Any) -> Fit:
        return self.update(formula, **changes)

    def _of_used_rows(self, values: Any) -> Any:
        """An argument given as an array, for the rows used; a column name or None as it is."""
        if values is None or isinstance(values, str):
            return values
        return np.asarray(values)[np.asarray(self.design.rows)]

    @property
    def plot(self) -> Plots:
        """Figures of this fit: ``fit.plot.ranef()``."""
        return Plots(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """As `save` would write it: other processes get the fit, not its caches."""
        if self.model.family.engine is not None:
            raise SavedFitError(
                f"the fit cannot be pickled: the functions of the custom family {self.family} have no place there. "
                "Fit it in the process that needs it."
            )
        return fit_of, (content_of(self),)


def fit_of(content: bytes) -> Fit:
    """The fit that a pickle holds in the form of `Fit.save`."""
    return Fit(**fields_of(content, sys.maxsize))
