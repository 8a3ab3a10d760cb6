"""The engine's modules import upwards only, and every variant file is in its folder's catalogue."""

import re

import pytest

from ranef import _engine
from sources import ENGINE, ROOT


def without_comments_and_tests(text: str) -> str:
    """Rust code without comments, documentation and the test module at its foot."""
    text = re.split(r"#\[cfg\(test\)\]\s*(?:pub\s+)?mod\s+\w+", text)[0]
    return re.sub(r"//[^\n]*", "", text)


def modules_in_order() -> list[str]:
    return re.findall(r"^pub mod (\w+);", (ENGINE / "lib.rs").read_text(encoding="utf-8"), re.M)


def crate_imports(text: str) -> set[str]:
    """Top-level modules named after ``crate::``, in paths and in braces."""
    code = without_comments_and_tests(text)
    used = set(re.findall(r"\bcrate::(\w+)", code))
    for group in re.findall(r"\buse crate::\{(.*?)\};", code, re.S):
        # Only the first word of every entry at the outermost level of the braces.
        depth, entry = 0, ""
        for letter in group + ",":
            depth += (letter == "{") - (letter == "}")
            if letter == "," and depth == 0:
                used |= set(re.findall(r"^\s*(\w+)", entry))
                entry = ""
            else:
                entry += letter
    return used


SOURCES = sorted(path for path in ENGINE.rglob("*.rs") if path.name != "lib.rs")


def test_every_file_belongs_to_a_module_of_lib():
    top = {path.relative_to(ENGINE).with_suffix("").parts[0] for path in SOURCES}
    assert top == set(modules_in_order())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ENGINE).as_posix())
def test_modules_use_only_those_above_them(path):
    order = modules_in_order()
    own = order.index(path.relative_to(ENGINE).with_suffix("").parts[0])
    used = crate_imports(path.read_text(encoding="utf-8")) & set(order)
    below = sorted(name for name in used if order.index(name) > own)
    assert not below, f"uses {', '.join(below)}, which stand below it in lib.rs"


def test_braces_are_read():
    assert crate_imports("use crate::{family::{Card, Family}, link::Link};\nuse crate::jet;") == {
        "family",
        "link",
        "jet",
    }
    assert crate_imports("// use crate::family;\n#[cfg(test)]\nmod tests { use crate::fitting; }") == set()


def test_engine_knows_neither_python_nor_data_frames():
    manifest = (ROOT / "crates" / "ranef-engine" / "Cargo.toml").read_text(encoding="utf-8")
    assert not re.search(r"^(pyo3|numpy|polars|arrow)\b", manifest, re.M)


def catalogue_cards(folder: str) -> set[tuple[str, str]]:
    """(module, card) of every entry of a folder's catalogue."""
    text = (ENGINE / folder / "mod.rs").read_text(encoding="utf-8")
    body = re.search(r"static CATALOGUE[^=]*=\s*&\[(.*?)\n\];", text, re.S)
    assert body, f"{folder}/mod.rs has no CATALOGUE"
    return set(re.findall(r"card:\s*&(\w+)::(\w+)", body.group(1)))


def cards_defined(folder: str) -> set[tuple[str, str]]:
    """(module, card) of every card that a file of the folder defines."""
    found = set()
    for path in (ENGINE / folder).glob("*.rs"):
        code = without_comments_and_tests(path.read_text(encoding="utf-8"))
        found |= {(path.stem, name) for name in re.findall(r"^pub (?:static|const) (\w+): Card\b", code, re.M)}
    return found


FOLDERS = ["family", "covariance", "residual_correlation", "variance_function"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_card_is_in_the_catalogue(folder):
    cards = cards_defined(folder)
    assert cards
    assert cards == catalogue_cards(folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_declared(folder):
    text = (ENGINE / folder / "mod.rs").read_text(encoding="utf-8")
    declared = set(re.findall(r"^(?:pub )?mod (\w+);", text, re.M))
    folders = {path.parent.name for path in (ENGINE / folder).glob("*/mod.rs")}
    assert declared == {path.stem for path in (ENGINE / folder).glob("*.rs")} - {"mod"} | folders


def coupling_cards() -> set[tuple[str, str]]:
    """(module, card) of every coupling in the list that Python reads."""
    text = (ENGINE / "covariance" / "coupling" / "mod.rs").read_text(encoding="utf-8")
    body = re.search(r"static CARDS[^=]*=\s*&\[(.*?)\];", text, re.S)
    assert body
    return set(re.findall(r"&(\w+)::(\w+)", body.group(1)))


def test_every_coupling_is_listed():
    assert coupling_cards() == cards_defined("covariance/coupling")


def test_python_sees_the_whole_catalogue():
    listed = {
        _engine.families: catalogue_cards("family"),
        _engine.covariances: catalogue_cards("covariance") | coupling_cards(),
        _engine.residual_correlations: catalogue_cards("residual_correlation"),
        _engine.variance_functions: catalogue_cards("variance_function"),
    }
    for cards, expected in listed.items():
        assert len(cards()) == len(expected)
        assert len({card["name"] for card in cards()}) == len(cards())
