"""Whatever users can name has a place on a reference page, and a docstring to fill it."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import ranef
import ranef.session

PAGES = Path(__file__).parents[2] / "docs" / "reference"
DIRECTIVE = re.compile(r"^::: (?P<name>ranef[\w.]*)\n(?P<options>(?:    .*\n)*)", re.M)


def named(dotted: str):
    """What a dotted name of a reference page stands for."""
    module, _, name = dotted.rpartition(".")
    try:
        return import_module(dotted)
    except ImportError:
        return getattr(import_module(module), name)


SHOWN = {
    match["name"]: (named(match["name"]), match["options"])
    for page in sorted(PAGES.glob("*.md"))
    for match in DIRECTIVE.finditer(page.read_text(encoding="utf-8"))
}
OBJECTS = [shown for shown, _ in SHOWN.values()]


@pytest.mark.parametrize("name", sorted(set(ranef.__all__) - {"__version__"}))
def test_public_name_is_on_a_reference_page(name):
    assert any(shown is getattr(ranef, name) for shown in OBJECTS), (
        f"add `::: ranef.{name}` to a page of docs/reference"
    )


def test_what_users_hold_is_on_a_reference_page():
    """Classes of the session but for the steps that make up `Fit`, which its page shows as its own."""
    steps = set(ranef.Fit.__mro__)
    for info in pkgutil.iter_modules(ranef.session.__path__, "ranef.session."):
        module = import_module(info.name)
        for name, value in vars(module).items():
            held = inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
            if held and value not in steps and info.name != "ranef.session.tabled":
                assert value in OBJECTS, f"add `::: {info.name}.{name}` to a page of docs/reference"


def test_page_of_the_fit_shows_inherited_methods():
    assert "inherited_members: true" in SHOWN["ranef.Fit"][1]


@pytest.mark.parametrize("name", sorted(name for name, (shown, _) in SHOWN.items() if inspect.isclass(shown)))
def test_every_member_has_a_docstring(name):
    """Without one a member is not shown. Fields of dataclasses are described in the class's own docstring."""
    shown = SHOWN[name][0]
    assert inspect.getdoc(shown)
    fields = getattr(shown, "__dataclass_fields__", {})
    ours = {member for cls in shown.__mro__ if cls.__module__.startswith("ranef") for member in vars(cls)}
    bare = [
        member
        for member in sorted(ours - set(fields))
        if not member.startswith("_") and not (getattr(shown, member).__doc__ or "").strip()
    ]
    assert not bare
    described = inspect.getdoc(shown)
    for cls in shown.__mro__:
        described += inspect.getdoc(cls) or ""
    undescribed = [field for field in fields if not field.startswith("_") and not re.search(rf"\b{field}\b", described)]
    assert not undescribed
