"""Response distributions and their links, as values read from the engine's catalogue.

A family is named by a word (``"nbinom2"``) or built by calling that word here, which is how a link other than the
default one is chosen, ``rf.families.nbinom2(link="sqrt")``, and how a parameter is given a value instead of being
estimated, ``rf.families.nbinom2(phi=2)``. There is no second list of families in Python: the names,
links, parameters and domains below are those the compiled engine was built with.

Examples
--------
>>> import ranef as rf
>>> rf.families.poisson()
poisson(link='log')
>>> rf.families.binomial(link="cloglog").link
'cloglog'
>>> rf.families.nbinom2(phi=2)
nbinom2(link='log', phi=2)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from numbers import Real
from typing import Any

import numpy as np

from ranef import _engine
from ranef.arguments import held_to_its_types
from ranef.errors import ModelError, did_you_mean
from ranef.frames import IntoFrame, frame_from

# What the same distribution is called in R and in other Python packages. Only ever used to word an error.
OTHER_NAMES = {
    "bernoulli": "binomial",
    "normal": "gaussian",
    "negative_binomial": "nbinom2",
    "negativebinomial": "nbinom2",
    "negbin": "nbinom2",
    "nb": "nbinom2",
    "nb1": "nbinom1",
    "nb2": "nbinom2",
    "t": "student_t",
    "student": "student_t",
    "t_family": "student_t",
    "inverse.gaussian": "inverse_gaussian",
    "beta_family": "beta",
    "ordinal": "cumulative",
    "lognormal_family": "lognormal",
}

# What users call a parameter beside its symbol on the card: (family, word) -> component.
OTHER_PARAMETERS = {("student_t", "df"): "shape", ("tweedie", "power"): "shape", ("skewnormal", "shape"): "shape"}

#: What the thresholds of an ordinal family may have in common.
THRESHOLDS = ("flexible", "symmetric", "equidistant")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family: its symbol, the component whose formula models it, its link and its meaning."""

    name: str
    component: str
    link: str
    meaning: str


@dataclass(frozen=True)
class Family:
    """A response distribution with the link of its mean.

    Attributes
    ----------
    name : str
        The engine's name, e.g. ``"nbinom2"``.
    link : str
        Link of the mean, e.g. ``"log"``.
    title : str
        The name in words.
    links : tuple of str
        Every link the mean may have; the first is the default.
    parameters : tuple of Parameter
        The mean first, then dispersion and shape where the family has them.
    support : str
        What a response must be.
    zero_inflation : bool
        Whether ``zi`` may be given.
    variance : str
        The variance as a formula of the parameters.
    reference : str
        Where the parameterisation is published.
    functions : tuple of str
        Of a custom family, the functions the user gave; empty for the engine's families.
    engine : object
        Of a custom family, what the compiled engine calls it by.
    fixed : tuple of (str, float)
        Parameters that have a value instead of being estimated, by their names in `parameters`.
    thresholds : str or None
        What the thresholds of an ordinal family have in common; None for other families.
    """

    name: str
    link: str
    title: str
    links: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    support: str
    zero_inflation: bool
    variance: str
    reference: str
    fixed: tuple[tuple[str, float], ...] = ()
    thresholds: str | None = None
    functions: tuple[str, ...] = ()
    engine: Any = field(default=None, compare=False, repr=False)

    def require(self, function: str, purpose: str) -> None:
        """Refuse what needs a function that a custom family was not given."""
        if self.engine is not None and function not in self.functions:
            raise ModelError(f"{purpose} of the custom family {self.name}: give {function}= to rf.families.custom.")

    @property
    def components(self) -> tuple[str, ...]:
        """Components of the linear predictor without zero inflation, in the engine's order."""
        return tuple(dict.fromkeys(p.component for p in self.parameters))

    @property
    def ordinal(self) -> bool:
        """Whether the response is an ordered category."""
        return self.support == "ordered"

    def fixed_parameter(self, component: str) -> tuple[Parameter, float] | None:
        """The parameter of a component that has a value instead of being estimated, with that value."""
        values = dict(self.fixed)
        found = (p for p in self.parameters if p.component == component and p.name in values)
        return next(((p, values[p.name]) for p in found), None)

    def with_values(self, **values: Any) -> Family:
        """This family with parameters that have a value instead of being estimated.

        Raises
        ------
        ModelError
            For a name the family does not have, the mean, or a value outside the parameter's domain.
        """
        fixed = dict(self.fixed)
        for name, value in values.items():
            component = OTHER_PARAMETERS.get((self.name, name))
            wanted = [p for p in self.parameters if p.name == name] or [
                p for p in self.parameters if p.component == component
            ]
            free = [p.name for p in self.parameters if p.component in ("disp", "shape")]
            if not wanted or wanted[0].name not in free:
                known = f"{did_you_mean(name, free)} It has" if free else "It has"
                raise ModelError(
                    f"{self.name}({name}={value!r}): {self.name} has no parameter {name!r} that can be given a value; "
                    f"{known} {', '.join(free) or 'none'}."
                )
            (parameter,) = wanted
            if (
                isinstance(value, bool)
                or not isinstance(value, Real)
                or not np.isfinite(predictor_at(parameter, float(value)))
            ):
                raise ModelError(
                    f"{self.name}({name}={value!r}): {parameter.name} ({parameter.meaning}) is a number that its "
                    f"{parameter.link} link can take."
                )
            fixed[parameter.name] = float(value)
        return replace(self, fixed=tuple(fixed.items()))

    @property
    def counts_trials(self) -> bool:
        """Whether a row is a number of successes among trials."""
        return self.support == "trials"

    def __deepcopy__(self, memo: Any) -> Family:
        # A family never changes, and functions of the user's have no copies.
        return self

    def __repr__(self) -> str:
        given = "".join(f", {name}={value:g}" for name, value in self.fixed)
        if self.thresholds not in (None, THRESHOLDS[0]):
            given += f", thresholds={self.thresholds!r}"
        return f"{self.name}(link={self.link!r}{given})"

    def __str__(self) -> str:
        return self.name


def predictor_at(parameter: Parameter, value: float) -> float:
    """The linear predictor at which a parameter has this value; not finite outside the domain of its link."""
    return _engine.predictor_at(parameter.link, float(value))


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Cards of all families by name, as the engine gives them."""
    return {card["name"]: card for card in _engine.families()}


def family_named(name: str, link: str | None = None) -> Family:
    """The family of that name with that link (the default link when None).

    Raises
    ------
    ModelError
        For a name or link that the engine does not know; the text names the nearest one.
    """
    cards = catalogue()
    if name not in cards:
        other = OTHER_NAMES.get(name.lower().replace(" ", "_"))
        hint = f"did you mean `{other}`?" if other in cards else did_you_mean(name, sorted(cards))
        raise ModelError(f"there is no family {name!r}: {hint} ranef.list_families() shows them all.")
    card = cards[name]
    links = tuple(card["links"])
    if link is not None and link not in links:
        raise ModelError(
            f"the mean of {name} cannot have link={link!r}: {did_you_mean(link, links)} "
            f"Links of {name}: {', '.join(links)}."
        )
    parameters = tuple(Parameter(p["name"], p["component"], p["link"], p["meaning"]) for p in card["parameters"])
    return Family(
        name=name,
        link=link or links[0],
        title=card["title"],
        links=links,
        parameters=parameters,
        support=str(card["support"]),
        zero_inflation=bool(card["zero_inflation"]),
        variance=card["variance"],
        reference=card["reference"],
        thresholds=THRESHOLDS[0] if card["support"] == "ordered" else None,
    )


def as_family(family: str | Family, link: str | None = None) -> Family:
    """What the user wrote as ``family=`` and ``link=``, as a `Family`."""
    if isinstance(family, Family):
        if link is not None and link != family.link:
            raise ModelError(
                f"family={family!r} already has a link; leave out link={link!r} or write "
                f"families.{family.name}(link={link!r})"
            )
        return family
    if isinstance(family, str):
        return family_named(family, link)
    if callable(family) and getattr(family, "__name__", None) in catalogue():
        return family_named(family.__name__, link)
    raise ModelError(f"family is a name or an object of ranef.families, not {type(family).__name__}")


SUPPORTS = ("real", "positive", "nonnegative", "counts", "trials", "unit")


@held_to_its_types
def custom(
    name: str,
    log_density: Callable[..., Any],
    parameters: Sequence[str],
    *,
    links: Mapping[str, str] | None = None,
    support: str = "real",
    start: Mapping[str, float] | None = None,
    derivatives: Callable[..., Any] | None = None,
    mean: Callable[..., Any] | None = None,
    variance: Callable[..., Any] | None = None,
    cdf: Callable[..., Any] | None = None,
    simulate: Callable[..., Any] | None = None,
    steps: Mapping[str, float] | None = None,
    zero_inflation: bool = False,
) -> Family:
    """A family of your own, from its log density.

    Every function is called with arrays of one length, a value for each row, and returns an array of that length. The
    parameters arrive in the order named and on their own scale; links are applied for you.

    Parameters
    ----------
    name : str
        What summaries call it.
    log_density : callable
        ``log_density(y, *parameters)``, constants included; -inf where the response is impossible.
    parameters : sequence of str
        One to three names. The formula models the first, ``dispersion=`` the second, ``shape=`` the third.
    links : mapping of str to str, optional
        By default the first parameter has the identity link for support "real", logit for "unit", else log; the
        others have log.
    support : {"real", "positive", "nonnegative", "counts", "trials", "unit"}
        What a response must be.
    start : mapping of str to float, optional
        Values of the parameters to start from.
    derivatives : callable, optional
        ``derivatives(y, *parameters)``: the derivatives of the log density in the parameters up to the third, as
        a sequence of arrays in the order (for parameters 1, 2): 1, 2, 11, 12, 22, 111, 112, 122, 222. By default they
        are central differences on the scale of the links, with errors of about 1e-13, 1e-11 and 1e-9 of the largest
        derivative where the log density is not much larger than that; it must then be smooth in the parameters.
    mean, variance : callable, optional
        ``mean(*parameters)``: needed for fitted values and predictions of the response; with ``variance``, for Pearson
        residuals.
    cdf : callable, optional
        ``cdf(y, *parameters)`` = P(Y <= y): needed for quantile residuals.
    simulate : callable, optional
        ``simulate(rng, *parameters)`` with a NumPy generator: needed to simulate and for the bootstrap.
    steps : mapping of str to float, optional
        Steps of the differences, on the scale of the link. By default 0.02; for a predictor in units of the response
        (identity link) 0.005 standard deviations of the response.
    zero_inflation : bool
        Whether ``zi=`` may be given.

    Returns
    -------
    Family

    Examples
    --------
    A Gumbel law of maxima, location mu and scale sigma:

    >>> import numpy as np, pandas as pd, ranef as rf
    >>> def log_density(y, mu, sigma):
    ...     z = (y - mu) / sigma
    ...     return -np.log(sigma) - z - np.exp(-z)
    >>> gumbel = rf.families.custom("gumbel", log_density, ["mu", "sigma"])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame({"y": rng.gumbel(10, 2, 300), "station": np.arange(300) % 20})
    >>> fit = rf.glmm("y ~ 1 + (1 | station)", data, family=gumbel)
    >>> round(fit.sigma, 1)
    2.0
    """
    names = list(parameters)
    if not names or len(set(names)) != len(names) or not all(isinstance(p, str) for p in names) or len(names) > 3:
        raise ModelError(f"parameters={parameters!r}: give one to three different names.")
    if name in catalogue():
        raise ModelError(f"{name} is a family of ranef's own; give the custom family another name.")
    if support not in SUPPORTS:
        raise ModelError(f"support={support!r}: {did_you_mean(support, SUPPORTS)} It is one of {', '.join(SUPPORTS)}.")
    for argument, numbers in (("start", start), ("steps", steps)):
        for key, value in (numbers or {}).items():
            if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
                raise ModelError(f"{argument}={{{key!r}: {value!r}}}: give a finite number.")
    given = {
        "log_density": log_density,
        "derivatives": derivatives,
        "mean": mean,
        "variance": variance,
        "cdf": cdf,
        "simulate": simulate,
    }
    for key, function in given.items():
        if function is not None and not callable(function):
            raise ModelError(f"{key} of the custom family {name} must be a function, not {type(function).__name__}.")
    for argument, mapping in (("links", links), ("start", start), ("steps", steps)):
        unknown = [key for key in mapping or {} if key not in names]
        if unknown:
            raise ModelError(f"{argument} names {unknown[0]!r}; the parameters of {name} are {', '.join(names)}.")
    for key, link in (links or {}).items():
        if not isinstance(link, str):
            raise ModelError(f"links={{{key!r}: {link!r}}}: give the name of a link.")
    if start is not None and len(start) != len(names):
        raise ModelError(f"start needs a value for each of {', '.join(names)}.")
    first = {"real": "identity", "unit": "logit", "trials": "logit"}.get(support, "log")
    chosen = {p: (links or {}).get(p, first if k == 0 else "log") for k, p in enumerate(names)}
    try:
        engine = _engine.Custom(
            name,
            support,
            zero_inflation,
            [(p, chosen[p], None if steps is None else steps.get(p)) for p in names],
            None if start is None else [float(start[p]) for p in names],
            given,
        )
    except _engine.EngineError as error:
        raise ModelError(error.args[1]) from None
    components = ("cond", "disp", "shape")
    return Family(
        name=name,
        link=chosen[names[0]],
        title=f"{name} (custom)",
        links=(chosen[names[0]],),
        parameters=tuple(Parameter(p, c, chosen[p], "") for p, c in zip(names, components, strict=False)),
        support=support,
        zero_inflation=zero_inflation,
        variance="",
        reference="",
        functions=tuple(key for key, function in given.items() if function is not None),
        engine=engine,
    )


@held_to_its_types
def list_families(backend: str = "pandas") -> IntoFrame:
    """Every family: what it is for, its links, parameters and domain.

    Parameters
    ----------
    backend : {"pandas", "polars", "pyarrow"}
        The kind of frame.

    Returns
    -------
    frame
        Columns name, title, links (the default first), parameters, support, variance, zero_inflation, reference.

    Examples
    --------
    >>> import ranef as rf
    >>> families = rf.list_families()
    >>> "poisson" in set(families["name"])
    True
    """
    families = [family_named(name) for name in catalogue()]
    columns: dict[str, list[Any]] = {
        "name": [f.name for f in families],
        "title": [f.title for f in families],
        "links": [", ".join(f.links) for f in families],
        "parameters": [
            "; ".join(f"{p.name} ({p.component}, {p.link}): {p.meaning}" for p in f.parameters) for f in families
        ],
        "support": [f.support for f in families],
        "variance": [f.variance for f in families],
        "zero_inflation": [f.zero_inflation for f in families],
        "reference": [f.reference for f in families],
    }
    return frame_from(columns, backend)


def __getattr__(name: str) -> Callable[..., Family]:
    """``families.<name>(link=None, **values)`` for every name in the catalogue."""
    if name.startswith("__") or name not in catalogue():
        raise AttributeError(f"module 'ranef.families' has no family {name!r}; see ranef.list_families()")

    card = catalogue()[name]

    def build(link: str | None = None, **values: Any) -> Family:
        family = family_named(name, link)
        if family.ordinal and "thresholds" in values:
            structure = values.pop("thresholds")
            if not isinstance(structure, str) or structure not in THRESHOLDS:
                raise ModelError(f"{name}(thresholds={structure!r}): give one of {', '.join(map(repr, THRESHOLDS))}.")
            family = replace(family, thresholds=structure)
        return family.with_values(**values)

    build = held_to_its_types(build, name)
    build.__name__ = build.__qualname__ = name
    build.__doc__ = (
        f"{card['title']}.\n\nVariance: {card['variance']}\nLinks: {', '.join(card['links'])}\n"
        f"Reference: {card['reference']}\n\n"
        "A parameter other than the mean may be given a value, by its name; it is then not estimated."
    )
    return build


def __dir__() -> list[str]:
    return sorted({*globals(), *catalogue()})
