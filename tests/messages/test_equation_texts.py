"""Equations of every family and structure, as readers see them, and what is said of wrong arguments."""

import pytest

import ranef as rf
from equation_cases import family_cases, structure_cases, unfitted
from models import cbpp, owls, sleepstudy
from ranef.reports.mathematics.equation import equation_of


@pytest.mark.parametrize(("kind", "cases"), [("families", family_cases), ("structures", structure_cases)])
def test_equations(kind, cases, snapshot):
    found = []
    for name in cases():
        model = unfitted(name)
        equation = equation_of(model, {c: range(model.design.fixed[c].x.shape[1]) for c in model.components})
        found.append(f"{name}\n\n{equation.text}")
    snapshot(f"equations_of_{kind}", "\n\n\n".join(found))


def test_latex_and_mathml(snapshot):
    fits = [(fit(), estimates) for fit in (sleepstudy, cbpp, owls) for estimates in (False, True)]
    snapshot("equations_in_latex", "\n\n".join(str(fit.equation(estimates=estimates)) for fit, estimates in fits))
    names = unfitted("names that are commands")
    kept = {c: range(names.design.fixed[c].x.shape[1]) for c in names.components}
    snapshot("equation_with_special_characters", equation_of(names, kept).latex)
    snapshot("equation_in_mathml", str(owls().equation("mathml")).replace("<mtr>", "\n<mtr>"))


CALLS = {
    "format": lambda: sleepstudy().equation("tex"),
    "estimates": lambda: sleepstudy().equation(estimates="yes"),
    "digits": lambda: sleepstudy().equation(digits=0),
    "width": lambda: sleepstudy().equation(width=2.5),
}


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name, snapshot):
    with pytest.raises(rf.ModelError) as caught:
        CALLS[name]()
    snapshot(f"equation_{name}", f"ModelError: {caught.value}")
