"""The page of a report: whole, closed in itself, escaped, and accessible, for every kind of fit."""

import re
import warnings
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import models
import ranef as rf
from ranef.errors import ModelError
from ranef.reports.article import page as page_module
from ranef.reports.article.rerun import code_of
from ranef.session import reporting

VOID = {"meta", "link", "br", "img", "wbr", "hr", "input"}
HOSTILE = [
    '<script>alert("x")</script>',
    "{{ 7 * 7 }}",
    "{% raw %}",
    "$\\frac{a}$",
    'a & b\'s "q"',
    "--><!--",
    "</title>",
]


SCOPES = {"row", "col", "colgroup", "rowgroup"}


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes and text, and what was left open."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict]] = []
        self.words: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()
        self.faults += self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        if data.strip():
            self.words.append((self._open[-1] if self._open else "", data.strip()))

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, *tags: str) -> list[str]:
        return [data for tag, data in self.words if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(" ".join(data for tag, data in self.words if tag not in ("style", "title")).split())


def hostile():
    rng = np.random.default_rng(4)
    n = 160
    data = pd.DataFrame(
        {
            "<b>x": rng.normal(size=n),
            'f "$y$"': rng.choice(HOSTILE[:3], n),
            "g<i>": rng.choice(HOSTILE, n),
            "y": rng.poisson(3.0, n),
        }
    )
    return rf.glmm('y ~ `<b>x` * `f "$y$"` + (1 | `g<i>`)', data, family="poisson")


def unconverged():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rf.glmm(
            "count ~ spp + (1 | site)", models.data("salamanders"), family="nbinom2", control=rf.Control(max_iter=1)
        )


def custom():
    """A family with nothing but a density: no mean, no simulations."""

    def log_density(y, location, scale):
        z = (y - location) / scale
        return -np.log(scale) - z - np.exp(-z)

    family = rf.families.custom("gumbel", log_density, ["location", "scale"])
    return rf.glmm("Reaction ~ Days + (1 | Subject)", models.data("sleepstudy"), family=family)


def serial():
    return rf.lmm("distance ~ age * Sex", models.data("orthodont"), correlation="ar1(1 | Subject)", dispersion="~ Sex")


def smooth():
    return rf.glmm("TICKS ~ YEAR + s(cHEIGHT) + (1 | BROOD)", models.data("grouseticks"), family="poisson")


def ordinal():
    return rf.glmm("rating ~ temp + contact + (1 | judge)", models.data("wine"), family="cumulative")


def missing():
    sleep = models.data("sleepstudy")
    return rf.lmm("Reaction ~ Days + (Days | Subject)", sleep.assign(Days=sleep["Days"].where(sleep.index % 9 > 0)))


def polars():
    return rf.lmm("Reaction ~ Days + (Days | Subject)", models.data("sleepstudy", "polars"))


KINDS = {
    "slopes": models.sleepstudy,
    "crossed": models.penicillin,
    "nested": models.pastes,
    "Poisson": models.owls_poisson,
    "zero-inflated": models.owls,
    "dispersion": models.salamanders,
    "binomial": models.cbpp,
    "ordinal": ordinal,
    "smooth": smooth,
    "serial residuals, no random effects": serial,
    "singular": models.dyestuff2,
    "not converged": unconverged,
    "custom family": custom,
    "priors": models.assumed,
    "missing values": missing,
    "polars": polars,
    "hostile names": hostile,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Reports by kind, each written once, without checks."""
    folder, pages = tmp_path_factory.mktemp("reports"), {}

    def page(kind: str) -> tuple[str, Page]:
        if kind not in pages:
            path = KINDS[kind]().report(folder / f"{len(pages)}.html", checks=False)
            text = path.read_text(encoding="utf-8")
            pages[kind] = text, Page(text)
        return pages[kind]

    return page


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The report of the owls with its checks."""
    path = tmp_path_factory.mktemp("checked") / "owls.html"
    assert models.owls().report(path, title="Owls", author="A. N. Author", seed=3) == path
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def faults_of_access(page: Page) -> list[str]:
    """What stands in the way of readers who do not see the page."""
    found = [f"left open or closed twice: {tag}" for tag in page.faults]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    if levels.count(1) != 1 or levels[0] != 1:
        found.append(f"headings of the first level: {levels.count(1)}")
    found += [f"h{b} after h{a}" for a, b in pairwise(levels) if b > a + 1]
    if page.of("html")[0].get("lang") != "en":
        found.append("no language")
    pictures = page.of("svg") + page.of("img")
    found += [
        f"a figure without words: {p}" for p in pictures if not (p.get("aria-label") or p.get("alt") or "").strip()
    ]
    found += ["an svg that is no image" for p in page.of("svg") if p.get("role") != "img"]
    found += [f"a header cell without scope: {th}" for th in page.of("th") if th.get("scope") not in SCOPES]
    tables, captions = len(page.of("table")), len(page.of("caption"))
    if tables != captions:
        found.append(f"{tables} tables have {captions} captions")
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    found += [f"the id {name} twice" for name in {name for name in ids if ids.count(name) > 1}]
    wanted = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    wanted += [a["href"][1:] for a in page.of("a") if a["href"].startswith("#")]
    wanted += [a["xlink:href"][1:] for a in page.of("use")]
    found += [f"nothing has the id {name}" for name in set(wanted) - set(ids)]
    regions = [a for _, a in page.elements if a.get("tabindex") == "0"]
    found += ["something to scroll without a name" for a in regions if not a.get("aria-label") or not a.get("role")]
    if not page.of("title") or not page.of("main") or not page.of("nav"):
        found.append("no title, main or nav")
    return found


def outward(text: str, page: Page) -> list[str]:
    """What a page would run, or ask for from elsewhere."""
    found = [
        tag for tag, _ in page.elements if tag in ("script", "iframe", "object", "embed", "video", "audio", "form")
    ]
    for tag, attributes in page.elements:
        found += [f"{tag} {name}" for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            value = attributes.get(name) or ""
            if tag != "a" and value and not value.startswith(("#", "data:")):
                found.append(f"{tag} {name}={value}")
    found += re.findall(r"@import[^;]*|url\((?!#|['\"]?data:)[^)]*\)", text)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fit_gives_a_page_that_is_whole_and_closed(written, kind):
    text, page = written(kind)
    assert faults_of_access(page) == []
    assert outward(text, page) == []
    assert len(text) < 1_000_000
    for heading in ("Data and design", "Model", "Estimates", "Inference", "For the article", "Run it again"):
        assert heading in page.text_of("h2")
    assert "nan" not in re.findall(r"[\w.]+", page.text.lower()), "a number that is none is shown"


def test_checks_have_verdicts_advice_and_figures(checked):
    text, page = checked
    assert faults_of_access(page) == []
    assert outward(text, page) == []
    assert "Look: 1 worth a look, 22 of 23 checks are ok." in page.text
    assert "spread along fitted values" in page.text
    assert 'fit.update(family="nbinom1")' in page.text_of("code")
    labels = [svg["aria-label"] for svg in page.of("svg")]
    for words in ("Check of residuals: ok", "scaled residuals against the uniform", "Caterpillar plot", "Predicted"):
        assert any(words in label for label in labels), words
    assert "A. N. Author" in page.text
    assert page.text_of("h1") == ["Owls"]


def test_numbers_of_the_page_are_those_of_the_fit(checked):
    _, page = checked
    fit = models.owls()
    row = fit.tidy().iloc[1]
    for value in (f"{row['estimate']:.5f}", f"{row['statistic']:.2f}"):
        assert value.replace("-", "\N{MINUS SIGN}") in page.text
    assert f"{np.exp(row['estimate']):.3f}" in page.text
    assert f"{np.exp(row['conf_low']):.3f} to {np.exp(row['conf_high']):.3f}" in page.text
    assert "27 levels: AutavauxTV (28)" in page.text
    r2 = fit.r2().iloc[0]
    assert f"Conditional R² fixed and random effects {r2['conditional']:.3f}" in page.text


def test_names_from_the_data_are_text_and_nothing_else(written):
    text, page = written("hostile names")
    assert page.of("script") == []
    assert not page.of("b")
    assert not page.of("i")
    for name in HOSTILE[:3]:
        assert name in page.text, name
    assert "49" not in page.text_of("td", "th")
    assert "&lt;script&gt;" in text
    # In the figures too: as text, no formula of TeX.
    assert any("$\\frac{a}$" in words for words in page.text_of("text"))


def test_hostile_words_of_the_caller_are_text(tmp_path):
    path = models.dyestuff2().report(tmp_path / "a.html", title=HOSTILE[0], author=HOSTILE[6], checks=False)
    page = Page(path.read_text(encoding="utf-8"))
    assert page.text_of("h1") == [HOSTILE[0]]
    assert faults_of_access(page) == []
    assert page.of("script") == []


def test_a_fit_that_did_not_converge_says_so_at_the_top(written):
    text, page = written("not converged")
    assert text.index("This fit did not converge.") < text.index("Data and design")
    assert "The optimiser did not converge, so these numbers must not be published" in page.text
    assert "This fit is singular." in written("singular")[1].text
    assert "did not converge" not in written("slopes")[1].text


def test_what_is_not_drawn_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(reporting, "MOST_PANELS", 1)
    page = Page(models.sleepstudy().report(tmp_path / "a.html", checks=False).read_text(encoding="utf-8"))
    assert "Not drawn: the 36 random effects of Subject" in page.text
    assert not any(svg["aria-label"].startswith("Caterpillar") for svg in page.of("svg"))


def test_a_family_without_a_mean_is_drawn_on_the_scale_of_its_predictor(written):
    _, page = written("custom family")
    assert any("along Days" in svg["aria-label"] for svg in page.of("svg"))


def test_rows_that_were_dropped_are_told(written):
    _, page = written("missing values")
    assert "Rows given 180" in page.text
    assert "20, missing values in Days (20)" in page.text


def test_the_same_seed_gives_the_same_page(tmp_path):
    fit = models.dyestuff2()
    first, second = (fit.report(tmp_path / f"{k}.html", seed=5).read_text(encoding="utf-8") for k in range(2))
    assert first == second


def test_code_fits_the_model_again(written):
    for kind in ("zero-inflated", "serial residuals, no random effects", "binomial"):
        _, page = written(kind)
        code = next(words for words in page.text_of("code") if words.startswith("import ranef"))
        fit = KINDS[kind]()
        names = {"data": fit.design.frame}
        lines = [line for line in code.splitlines() if not line.startswith(("data =", "fit.report"))]
        exec("\n".join(lines), names)
        assert names["fit"].loglik == pytest.approx(fit.loglik, abs=1e-8), kind


def test_code_tells_what_only_the_caller_has():
    data = models.data("cbpp")
    share, size = data["incidence"] / data["size"], data["size"].tolist()
    fit = rf.glmm(
        'share ~ factor(period) + (1 | `the "herd"`)',
        data.assign(share=share, **{'the "herd"': data["herd"]}),
        family=rf.families.binomial(link="probit"),
        weights=size,
        control=rf.Control(max_iter=80),
    )
    assert code_of(fit, 7).splitlines() == [
        "import ranef as rf",
        "",
        'data = ...  # 56 rows with share, period, the "herd"',
        "weights = ...  # the array that was given",
        "fit = rf.glmm(",
        "    'share ~ factor(period) + (1 | `the \"herd\"`)',",
        "    data,",
        "    family=rf.families.binomial(link='probit'),",
        "    weights=weights,",
        "    control=rf.Control(max_iter=80),",
        ")",
        'fit.report("report.html", seed=7)',
    ]
    assumed = code_of(models.assumed(), 1)
    assert "'fixed': rf.prior.normal(0, 1)" in assumed
    assert "fixed={'cover': 0.1, 'sd(spp)': 0.6}" in assumed


def test_effects_are_those_asked_for(tmp_path):
    fit = models.owls()
    path = fit.report(tmp_path / "a.html", checks=False, effects=["BroodSize [2, 4]", ["FoodTreatment"]])
    labels = [svg["aria-label"] for svg in Page(path.read_text(encoding="utf-8")).of("svg")]
    assert sum(label.startswith("Predicted") for label in labels) == 2
    path = fit.report(tmp_path / "b.html", checks=False, effects=[])
    assert "Effects" not in Page(path.read_text(encoding="utf-8")).text_of("h2")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"effects": ["FoodTreatmint"]}, "did you mean `FoodTreatment`"),
        ({"effects": "FoodTreatment"}, "give a list"),
        ({"seed": -1}, "whole number"),
        ({"seed": 1.5}, "whole number"),
        ({"ddf": "satterthwate"}, "satterthwaite"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(tmp_path, arguments, says):
    with pytest.raises(ModelError, match=says):
        models.owls().report(tmp_path / "a.html", **arguments)
    assert not (tmp_path / "a.html").exists()


def test_progress_is_told_where_asked(tmp_path, capsys):
    models.dyestuff2().report(tmp_path / "a.html", checks=False, progress=True)
    assert "ranef: report: figures" in capsys.readouterr().err


def luminance(colour: str) -> float:
    parts = np.array([int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    """WCAG 2's ratio of two colours."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_text_is_told_from_its_ground(scheme):
    style = (Path(page_module.__file__).parent / "page.css").read_text(encoding="utf-8")
    roots = re.findall(r":root \{(.*?)\}", style, re.S)
    colours = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", root)) for root in roots]
    found = {**colours[0], **colours[("light", "dark", "print").index(scheme)]}
    for text in ("text", "muted", "link", "ok", "look", "problem"):
        for ground in ("paper", "soft"):
            # WCAG 2.2, 1.4.3: 4.5 for text.
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
    assert contrast(found["text"], found["alarm"]) >= 4.5
    for line in ("c1", "c2", "c3", "grey"):
        # 1.4.11: 3 for what is drawn.
        assert contrast(found[line], found["paper"]) >= 3.0, line
