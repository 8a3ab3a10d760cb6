"""Families as values read from the engine's catalogue."""

import pytest

import ranef as rf
from ranef.errors import ModelError
from ranef.families import as_family, catalogue, family_named
from ranef.links import NAMES


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_family_can_be_built_by_name_and_by_call(name):
    family = family_named(name)
    assert getattr(rf.families, name)() == family
    assert family.components[0] == "cond"
    assert family.link == family.links[0]
    assert repr(family) == f"{name}(link={family.link!r})"


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_link_of_a_mean_can_be_inverted_in_python(name):
    assert set(family_named(name).links) <= set(NAMES)


def test_families_the_package_promises():
    assert {"gaussian", "binomial", "poisson", "nbinom1", "nbinom2", "gamma"} <= set(catalogue())


def test_a_link_can_be_chosen():
    assert rf.families.nbinom2(link="sqrt").link == "sqrt"
    assert as_family("binomial", "probit").link == "probit"
    assert as_family(rf.families.poisson).name == "poisson"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("possion", "did you mean `poisson`"), ("Gamma", "did you mean `gamma`"), ("negative_binomial", "`nbinom2`")],
)
def test_an_unknown_family_is_answered_with_the_nearest(name, hint):
    with pytest.raises(rf.ModelError, match=hint):
        family_named(name)


def test_an_unknown_link_is_answered_with_the_links_there_are():
    with pytest.raises(rf.ModelError, match=r"poisson cannot have link='logit'.*Links of poisson: log"):
        family_named("poisson", "logit")


def test_two_links_contradict():
    with pytest.raises(rf.ModelError, match="already has a link"):
        as_family(rf.families.poisson(), "sqrt")


def test_a_number_is_no_family():
    with pytest.raises(rf.ModelError, match="not int"):
        as_family(3)  # type: ignore[arg-type]


def test_list_families_has_a_row_a_family():
    frame = rf.list_families()
    assert list(frame["name"]) == list(catalogue())
    assert (frame["support"].str.len() > 0).all()


def test_an_attribute_that_is_no_family():
    with pytest.raises(AttributeError, match="list_families"):
        rf.families.zipoisson  # noqa: B018


def test_a_parameter_can_be_given_a_value():
    family = rf.families.nbinom2(link="sqrt", phi=2)
    assert repr(family) == "nbinom2(link='sqrt', phi=2)"
    assert family.fixed == (("phi", 2.0),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"phi": -1}, r"nbinom2\(phi=-1\): phi .* is a number that its log link can take"),
        ({"phi": "two"}, r"nbinom2\(phi='two'\)"),
        ({"phi": True}, r"nbinom2\(phi=True\)"),
        ({"phi": float("inf")}, "log link"),
        ({"mu": 1.0}, "no parameter 'mu' that can be given a value"),
        ({"ph": 1.0}, "did you mean `phi`"),
    ],
)
def test_a_value_must_be_one_of_a_parameter(values, message):
    with pytest.raises(ModelError, match=message):
        rf.families.nbinom2(**values)
