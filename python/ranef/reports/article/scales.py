"""What a coefficient means once it is taken to a scale that readers know: ratios of rates, of odds, differences."""

from __future__ import annotations

from dataclasses import dataclass

from ranef.fitting import FittedModel
from ranef.formula.parser import Call
from ranef.inference.marginal_means.means import transform_of_response

COUNTS = ("counts", "positive_counts")
# Links on which e to the power of a coefficient is a ratio of something with a name.
RATIOS = ("log", "logit", "cloglog")


@dataclass(frozen=True)
class Scale:
    """How the coefficients of a component are told.

    Attributes
    ----------
    ratio : bool
        Whether exp(coefficient) is told, else the coefficient itself.
    name : str
        What that is: "rate ratio", "odds ratio", "difference".
    short : str
        The head of a column.
    of : str
        What is multiplied by it, or differs by it.
    plural : bool
        Whether the verb of `of` is one of several things: the odds *are*.
    """

    ratio: bool
    name: str
    short: str
    of: str
    plural: bool = False

    @property
    def be(self) -> str:
        """The past tense of "to be"."""
        return "were" if self.plural else "was"

    @property
    def those(self) -> str:
        """The pronoun."""
        return "those" if self.plural else "that"


def response_in_words(record: FittedModel) -> str:
    """What the response is called: a category, the successes of ``cbind(...)``, or what stands in the formula."""
    response = record.design.response
    node = record.design.recipe.terms["cond"].response
    if response.form == "factor" and response.levels and not record.model.family.ordinal:
        return f"{response.name} = {response.levels[-1]}"
    if response.form == "cbind" and isinstance(node, Call) and node.args:
        return str(node.args[0].text)
    if isinstance(node, Call) and transform_of_response(record) is not None:
        return str(node.args[0].text)
    return response.name


def apart(record: FittedModel) -> str:
    """What the mean of the conditional model leaves out, where a ratio of it is not one of the whole mean."""
    if record.family.startswith("truncated"):
        return " (before truncation at zero)"
    if record.model.zero_inflated and len(record.kept["zi"]) > 1:
        return " (excess zeros apart)"
    return ""


def scale_of(record: FittedModel, component: str) -> Scale:
    """The scale on which the coefficients of a component are told."""
    family, y = record.model.family, response_in_words(record)
    if component == "zi":
        if family.support not in ("counts", "trials", "nonnegative"):
            return Scale(True, "odds ratio", "OR", "the odds of a zero", True)
        return Scale(True, "odds ratio", "OR", "the odds of an excess zero", True)
    if component in ("disp", "shape"):
        link = next((p.link for p in family.parameters if p.component == component), "log")
        meaning = next(
            (p.meaning.split(";")[0].split(":")[0] for p in family.parameters if p.component == component), ""
        )
        name = next((p.name for p in family.parameters if p.component == component), component)
        what = f"the {meaning}" if family.name == "gaussian" else f"the parameter {name}"
        if link == "log":
            return Scale(True, "ratio", "ratio", what)
        return Scale(False, "difference", "difference", f"{what} ({link} scale)")
    link = record.link
    if family.ordinal:
        if link == "logit":
            return Scale(True, "odds ratio", "OR", f"the odds of a higher category of {y}", True)
        return Scale(False, "difference", "difference", f"the latent variable behind {y} ({link} scale)")
    if link == "identity":
        if transform_of_response(record) == "log":
            return Scale(True, "ratio of geometric means", "ratio", f"the geometric mean of {y}")
        return Scale(False, "difference", "difference", f"the mean of {y}")
    if link == "log":
        if family.counts_trials:
            return Scale(True, "risk ratio", "RR", f"the probability of {y}")
        if family.support in COUNTS:
            return Scale(True, "rate ratio", "rate ratio", f"the expected {y}{apart(record)}")
        return Scale(True, "ratio of means", "ratio", f"the mean of {y}{apart(record)}")
    if link == "logit":
        what = f"the odds of {y}" if family.counts_trials else f"the odds of the mean {y}"
        return Scale(True, "odds ratio", "OR", what, True)
    if link == "cloglog" and family.counts_trials:
        return Scale(True, "hazard ratio", "HR", f"the hazard of {y}")
    return Scale(False, "difference", "difference", f"the {link.replace('_', ' ')} of the mean of {y}")
