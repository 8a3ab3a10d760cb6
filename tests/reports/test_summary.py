"""The summary as text and HTML."""

from html.parser import HTMLParser

import pytest

from models import cbpp, owls, penicillin, salamanders, sleepstudy
from ranef.reports.summary import Section


def test_a_section_aligns_names_left_and_numbers_right():
    section = Section("T", header=("", "a"), rows=(("x", "1.0"), ("long", "10.0")), notes=("n",))
    assert section.text() == "T:\n         a\n x     1.0\n long 10.0\nn"


def test_html_is_escaped():
    section = Section("a < b", header=("<", "x"), rows=(("&", "1"),))
    assert "a &lt; b" in section.html()
    assert '<td style="text-align:left">&amp;</td>' in section.html()


@pytest.mark.parametrize("model", [sleepstudy, cbpp, owls, salamanders], ids=lambda m: m.__name__)
def test_html_is_well_formed_and_says_what_the_text_says(model):
    summary = model().summary()
    opened = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Balance().feed(summary._repr_html_())
    assert not opened
    for term in model().fixef():
        assert term in str(summary)
        assert term in summary._repr_html_()


def test_linear_mixed_model():
    text = str(sleepstudy())
    assert text.startswith("Linear mixed model fit by REML\n Family: gaussian (identity link)\n")
    # The numbers that Bates et al. (2015), section 5.2, print for this model.
    for number in ("612.09", "24.740", "35.07", "5.922", "0.07", "654.94", "25.592", "251.405", "10.467", "1743.6"):
        assert number in text
    assert "Number of obs: 180, groups:  Subject, 18" in text
    assert "Converged to a maximum of the likelihood" in text


def test_generalized_models_name_their_parts():
    text = str(owls())
    assert "Generalized linear mixed model fit by maximum likelihood (Laplace approximation)" in text
    assert "Zero inflation: ~ 1" in text
    assert "Dispersion (sigma) of the nbinom2 family: 2.226" in text
    assert "Zero-inflation model:" in text
    assert "Dispersion model:" in str(salamanders())
    assert "Pr(>|z|)" in text
    assert "***" in text


def test_degrees_of_freedom_change_the_heads():
    text = str(sleepstudy().summary(ddf="residual"))
    assert "t value" in text
    assert "178.0" in text


def test_correlations_on_request():
    assert "Correlation of fixed effects" not in str(sleepstudy())
    assert "-0.138" in str(sleepstudy().summary(correlations=True))


def test_several_groups():
    text = str(penicillin())
    assert "plate, 24; sample, 6" in text
