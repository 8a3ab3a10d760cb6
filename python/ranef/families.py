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

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from numbers import Real
from typing import Any

import numpy as np

from ranef import _engine
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
            if structure not in THRESHOLDS:
                raise ModelError(f"{name}(thresholds={structure!r}): give one of {', '.join(map(repr, THRESHOLDS))}.")
            family = replace(family, thresholds=structure)
        return family.with_values(**values)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = (
        f"{card['title']}.\n\nVariance: {card['variance']}\nLinks: {', '.join(card['links'])}\n"
        f"Reference: {card['reference']}\n\n"
        "A parameter other than the mean may be given a value, by its name; it is then not estimated."
    )
    return build


def __dir__() -> list[str]:
    return sorted({*globals(), *catalogue()})
