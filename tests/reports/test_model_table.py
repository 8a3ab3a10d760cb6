"""Fits side by side: the numbers are those of the fits, rows meet over models, and what comes from data is escaped."""

import math
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import assumed, cbpp, data, owls, owls_poisson, salamanders, sleepstudy
from ranef.reports.model_table.contents import merged
from ranef.reports.model_table.html import html
from ranef.reports.model_table.latex import escaped as tex_escaped
from ranef.reports.model_table.markdown import escaped as md_escaped
from ranef.reports.model_table.table import TableContents, TableRow, TableSection, aligned


def slopes():
    return sleepstudy()


def intercepts():
    return rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"))


def said(table):
    """The text without its line breaks."""
    return " ".join(str(table).split())


def cells(table, label):
    frame = table.frame
    return frame[frame[""] == label].iloc[0].tolist()[1:]


def test_fixed_effects_are_those_of_tidy():
    fits = [intercepts(), slopes()]
    found = rf.table(fits).data()
    for name, fit in zip(["(1)", "(2)"], fits, strict=True):
        own = found[(found["model"] == name) & (found["effect"] == "fixed")]
        tidy = fit.tidy()
        assert own["term"].tolist() == tidy["term"].tolist()
        for column in ("estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high"):
            np.testing.assert_array_equal(own[column], tidy[column])
        random = found[(found["model"] == name) & (found["effect"] == "random")]
        assert random["estimate"].tolist() == fit.tidy("random")["estimate"].tolist()
    shown = cells(rf.table(fits), "Days")
    assert shown == [f"{fit.fixef()['Days']:.3f}" for fit in fits]


def test_statistics_are_those_of_the_fit():
    fit = owls()
    table = rf.table(
        fit, statistics=["nobs", "groups", "dispersion", "loglik", "aic", "aicc", "bic", "npar", "r2", "icc"]
    )
    found = table.data().set_index("label")["estimate"]
    r2, icc = fit.r2().iloc[0], fit.icc().iloc[0]
    expected = {
        "Observations": 599,
        "Levels of Nest": 27,
        "Dispersion (sigma)": fit.sigma,
        "Log-likelihood": fit.loglik,
        "AIC": fit.aic,
        "AICc": fit.aicc,
        "BIC": fit.bic,
        "Parameters": 7,
        "R² (marginal)": r2["marginal"],
        "R² (conditional)": r2["conditional"],
        "ICC (adjusted)": icc["adjusted"],
        "ICC (unadjusted)": icc["unadjusted"],
    }
    for label, value in expected.items():
        assert found[label] == value, label
    # A statistic that a model does not have leaves its cell empty.
    assert cells(rf.table(fit, slopes()), "Dispersion (sigma)") == [f"{fit.sigma:.3f}", ""]


def test_rows_meet_over_models():
    assert merged(["ac", "abc", "ad"]) == list("abcd")
    # What one model has stays together.
    assert merged(["1ab", "1xy"]) == list("1abxy")
    # Orders that contradict each other end, with each once.
    assert sorted(merged(["ab", "ba"])) == ["a", "b"]
    table = rf.table({"a": owls_poisson(), "b": owls()})
    assert cells(table, "FoodTreatment[T.Satiated]")[0].startswith("−0.5")
    assert cells(table, "SexParent[T.Male]")[0] == ""
    titles = [section.title for section in table._contents.sections]
    assert titles == ["Conditional model", "Zero-inflation model", "Random effects", "Fit"]


def test_exponentiated_coefficients_have_the_intervals_of_their_logarithms():
    fit = cbpp()
    found = rf.table(fit, exponentiate=True).data()
    own, tidy = found[found["effect"] == "fixed"], fit.tidy()
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(own[column], np.exp(tidy[column]), rtol=1e-14)
    np.testing.assert_allclose(own["std_error"], np.exp(tidy["estimate"]) * tidy["std_error"], rtol=1e-14)
    np.testing.assert_array_equal(own["p_value"], tidy["p_value"])
    random = found[found["effect"] == "random"]
    assert random["estimate"].tolist() == fit.tidy("random")["estimate"].tolist()
    assert "odds ratios" in str(rf.table(fit, exponentiate=True))
    assert "incidence rate ratios; zero-inflation model: odds ratios" in said(rf.table(owls(), exponentiate=True))
    # The logarithm of a dispersion may be exponentiated, a threshold not.
    wine = rf.glmm("rating ~ temp + (1 | judge)", data("wine"), family="cumulative")
    ordinal = rf.table(wine, exponentiate=True, statistics=()).data().set_index("term")
    assert ordinal.loc["1|2", "estimate"] == wine.fixef("threshold")["1|2"]


def test_thresholds_are_not_tested_and_residuals_stand_apart():
    wine = rf.glmm("rating ~ temp + (1 | judge)", data("wine"), family="cumulative")
    table = rf.table(wine, show="p", stars=True, statistics=())
    found = table.data().set_index("term")
    assert math.isnan(found.loc["1|2", "p_value"])
    assert cells(table, "temp[T.warm]")[0].endswith("***")
    assert "*" not in cells(table, "3|4")[0]
    growth = rf.lmm(
        "distance ~ age + (1 | Subject)", data("orthodont"), correlation="ar1(1 | Subject)", dispersion="~ power(age)"
    )
    sections = {s.title: [r.label for r in s.rows] for s in rf.table(growth, show=None)._contents.sections}
    assert sections["Random effects"] == ["SD (Intercept | Subject)", "SD (residual)"]
    assert sections["Residuals"] == ["power (age)", "phi (ar1 | Subject)"]


def test_degrees_of_freedom_and_robust_errors_come_through():
    fit = slopes()
    table = rf.table(fit, ddf="kenward-roger", vcov=None, show="ci")
    own = table.data().query("effect == 'fixed'")
    np.testing.assert_array_equal(own["df"], fit.tidy(ddf="kenward-roger")["df"])
    assert "Kenward" in str(table)
    robust = rf.table(fit, vcov="CR2")
    np.testing.assert_array_equal(
        robust.data().query("effect == 'fixed'")["std_error"], fit.tidy(vcov="CR2")["std_error"]
    )
    assert "cluster-robust (CR2), 18 clusters of Subject" in said(robust)


def test_names_labels_and_marks():
    table = rf.table(
        intercepts(),
        slopes(),
        names=["one", "two"],
        rename={"Days": "Days of deprivation", "Subject": "participant", "SD (residual)": "Residual", "AIC": "Akaike"},
        stars={"!": 0.01},
        title="Sleep",
        notes="Data of Belenky et al.",
        show=None,
    )
    assert cells(table, "Days of deprivation") == ["10.467!", "10.467!"]
    assert cells(table, "SD (Days of deprivation | participant)") == ["", "5.922"]
    assert cells(table, "Levels of participant") == ["18", "18"]
    assert cells(table, "Residual")[1] == "25.592"
    assert cells(table, "Akaike")[1] == f"{slopes().aic:.1f}"
    text = str(table)
    assert text.startswith("Sleep\n")
    assert text.endswith("! p < 0.01\nData of Belenky et al.")
    # Stars are off unless asked for.
    assert "*" not in str(rf.table(slopes()))


def test_parameters_given_one_name_share_a_row():
    frame = data("sleepstudy").assign(week=lambda d: d["Days"] / 7)
    other = rf.lmm("Reaction ~ week + (1 | Subject)", frame)
    table = rf.table(intercepts(), other, rename={"Days": "time", "week": "time"}, show=None)
    assert all(cells(table, "time"))


def test_layouts_show_the_same():
    below, beside = (rf.table(owls(), show=["se", "ci", "p"], layout=layout) for layout in ("below", "columns"))
    row = cells(beside, "FoodTreatment[T.Satiated]")
    frame = below.frame
    at = frame.index[frame[""] == "FoodTreatment[T.Satiated]"][0]
    stacked = frame["(1)"].iloc[at : at + 4].tolist()
    assert stacked[:1] == row[:1]
    assert stacked[1] == f"({row[1]})"
    assert stacked[2] == row[2]
    assert stacked[3].lstrip("p =") == row[3]


def test_what_cannot_be_trusted_or_was_given_is_said():
    assert "(held): given, not estimated" in str(rf.table(assumed()))
    with pytest.warns(rf.ConvergenceWarning):
        stopped = owls().update(control=rf.Control(max_iter=1))
    assert "(2): not converged; the numbers cannot be trusted" in said(rf.table(slopes(), stopped))
    # No standard error is made up where there is none.
    assert not re.search(r"nan|inf", rf.table(assumed(), random="full", show=["se", "ci", "p"]).to_text(), re.I)


def test_decimal_points_are_in_one_line():
    padded = aligned(["251.405", "(9.747)", "−893.2", "180", "<0.001", "[1.0, 2.0]", "10.467***", "", "1.2e-05"])
    points = {len(a.left) + a.text.find(".") for a in padded if "." in a.text and "," not in a.text}
    assert len(points) == 1
    widths = {len(a.left + a.text + a.right) for a in padded if a.text and "," not in a.text}
    assert len(widths) == 1


NASTY = ["<script>alert(1)</script>", "a|b", "50%", "a_b^c~d", "$x$ & #1 {y}", "\\input{x}", "*bold* `code`", "[a](b)"]


def nasty():
    rows = tuple(TableRow(name, (name,)) for name in NASTY)
    return TableContents((NASTY[0],), ("",), (TableSection(NASTY[1], rows),), tuple(NASTY), NASTY[4])


def test_html_shows_data_as_data():
    opened, texts = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("br",):
                opened.append(tag)
            assert tag != "script"

        def handle_endtag(self, tag):
            assert opened.pop() == tag

        def handle_data(self, text):
            texts.append(text)

    Reader().feed(html(nasty()))
    assert not opened
    for name in NASTY:
        assert texts.count(name) >= 3


@pytest.mark.parametrize("name", NASTY)
def test_latex_and_markdown_show_data_as_data(name):
    tex = tex_escaped(name)
    bare = re.sub(r"\\(textbackslash|textasciicircum|textasciitilde)\{\}|\\[{}$&#%_]|\$[<>|−]\$", "", tex)
    assert not set(bare) & set("\\{}$&#%_^~<>|"), tex
    # Every pipe, star, and tag is escaped; what remains is the text itself.
    md = md_escaped(name)
    assert unescape(re.sub(r"\\(.)", r"\1", md)) == name
    assert not re.search(r"(?<!\\)[|*`<_$]", md)


def test_markdown_has_as_many_cells_in_each_row():
    lines = [line for line in rf.table(owls(), cbpp(), show="ci").to_markdown().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


def test_latex_has_as_many_cells_in_each_row():
    tex = rf.table(owls(), salamanders(), layout="columns", show=["se", "p"]).to_latex()
    assert tex.count(r"\begin{tabular}{lcccccc}") == 1
    body = [line for line in tex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {6}
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 1


def test_files_by_their_ends(tmp_path):
    table = rf.table(slopes(), title="Sleep")
    for suffix, start in (
        (".html", "<!DOCTYPE html>"),
        (".tex", r"\begin{table}"),
        (".md", "**Sleep**"),
        (".txt", "Sleep"),
    ):
        path = table.save(tmp_path / f"table{suffix}")
        assert path.read_text(encoding="utf-8").startswith(start)
    with pytest.raises(rf.ModelError, match="ends in"):
        table.save(tmp_path / "table.docx")


def test_notebooks_show_html_and_frames_are_of_the_data():
    table = rf.table(slopes())
    assert table._repr_html_() == table.to_html()
    assert isinstance(table.data(), pd.DataFrame)
    polars = pytest.importorskip("polars")
    fit = rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy", "polars"))
    assert isinstance(rf.table(fit).data(), polars.DataFrame)
    assert not math.isnan(rf.table(fit).data()["estimate"][0])


def test_what_maketables_asks_of_a_fit():
    # Its plug-in format: attributes of the class alone (version 0.2.0).
    fit = owls()
    frame = fit.__maketables_coef_table__
    assert isinstance(frame, pd.DataFrame)
    assert frame.index.name == "Coefficient"
    assert list(frame.columns) == ["b", "se", "t", "p", "ci95l", "ci95u"]
    tidy = fit.tidy()
    assert frame.index.tolist() == [
        t if c == "cond" else f"{t} ({c})" for c, t in zip(tidy["component"], tidy["term"], strict=True)
    ]
    np.testing.assert_array_equal(frame["b"], tidy["estimate"])
    np.testing.assert_array_equal(frame["ci95u"], tidy["conf_high"])
    assert fit.__maketables_depvar__ == "SiblingNegotiation"
    stat = fit.__maketables_stat__
    assert (stat("N"), stat("ll"), stat("groups")) == (599, fit.loglik, "Nest 27")
    assert stat("r2_marginal") == fit.r2()["marginal"][0]
    assert stat("adj_r2") is None
    keys = fit.__maketables_default_stat_keys__
    assert all(isinstance(key, str) and stat(key) is not None for key in keys)
    assert stat("SD (Intercept | Nest)") == fit.tidy("random")["estimate"][0]
    assert fit.__maketables_stat_labels__["groups"] == "Levels"
