"""R's ``update``: a new formula written as changes to an old one, the dots standing for what was there.

update("y ~ x + z + (1 | g)", ". ~ . - x")   is   "y ~ z + (1 | g)"
"""

from __future__ import annotations

from collections.abc import Iterable

from ranef.errors import FormulaError
from ranef.formula.parser import Binary, Call, Name, Node, Paren, Tree, Unary, parse
from ranef.formula.terms import Term, Terms, signed_items, terms_of, variables_of

__all__ = ["update_formula"]


def update_formula(old: str, new: str) -> str:
    """Write out the formula that ``new`` makes of ``old``.

    Parameters
    ----------
    old : str
        The formula to change.
    new : str
        The change: a dot on the left is the old response, a dot on the right the old terms, random-effects terms and
        offsets included. A side without a dot replaces the old one.

    Returns
    -------
    str
        With products expanded: ``a * b`` comes out as ``a + b + a:b``.

    Raises
    ------
    FormulaError
        When either cannot be read.

    Examples
    --------
    >>> update_formula("y ~ x + z + (1 | g)", ". ~ . - x + (1 | h)")
    'y ~ z + (1 | g) + (1 | h)'
    >>> update_formula("y ~ a * b", "log(.) ~ . - a:b - 1")
    'log(y) ~ 0 + a + b'
    """
    before, change = parse(old), parse(new)
    left = _left(before, change)
    if _has_dot(before.right):  # only the data can expand it: the change is appended as it is
        right = _opened(change, before.source[before.right.start : before.right.end])
    else:
        right = _written(terms_of(f"~ {_opened(change, _written(terms_of(before)))}"))
    return f"{left} ~ {right}" if left else f"~ {right}"


def _has_dot(node: Node) -> bool:
    return any(name.name == "." and not name.quoted for name in variables_of(node))


def _left(before: Tree, change: Tree) -> str:
    """Return the response: the new one, its dots replaced by the old one."""
    old = before.source[before.left.start : before.left.end] if before.left is not None else ""
    if change.left is None:
        return old
    text = change.source[change.left.start : change.left.end]
    for place in sorted(_dots(change.left), reverse=True):
        if not old:
            raise FormulaError.at(change.source, place, place + 1, "the old formula has no response for the dot")
        start = place - change.left.start
        around = text[:start].rstrip()[-1:] + text[start + 1 :].lstrip()[:1]
        bare = isinstance(before.left, Name | Call) or around in ("", "()")
        text = f"{text[:start]}{old if bare else f'({old})'}{text[start + 1 :]}"
    return text


def _opened(change: Tree, old: str) -> str:
    """Replace the dots on the right of a change by the old right side, and leave the rest as written.

    A dot that is a summand of its own takes in everything; one inside a product takes in the fixed effects only.
    """
    fixed = None
    summands = {item.start for _, item in signed_items(change.right) if _is_dot(item)}
    text = change.source[change.right.start : change.right.end]
    for place in sorted(_dots(change.right), reverse=True):
        if place in summands:
            put = old
        else:
            if fixed is None:
                tree = parse(f"~ {old}")
                fixed = old if _has_dot(tree.right) else _written_fixed(terms_of(tree).fixed)
            put = fixed
        start = place - change.right.start
        text = f"{text[:start]}({put}){text[start + 1 :]}"
    return text


def _is_dot(node: Node) -> bool:
    return isinstance(node, Name) and node.name == "." and not node.quoted


def _dots(node: Node) -> list[int]:
    """Return the places of the dots in a tree."""
    places: list[int] = []
    stack = [node]
    while stack:
        item = stack.pop()
        if _is_dot(item):
            places.append(item.start)
        elif isinstance(item, Binary):
            stack += [item.left, item.right]
        elif isinstance(item, Unary):
            stack.append(item.operand)
        elif isinstance(item, Paren):
            stack.append(item.inner)
        elif isinstance(item, Call):
            stack += [*item.args, *(value for _, value in item.keywords)]
    return places


def _written_fixed(terms: Iterable[Term]) -> str:
    """Write terms as a sum; a missing intercept is written as 0."""
    words = [term.text for term in terms if term.factors]
    intercept = any(not term.factors for term in terms)
    if not intercept:
        return " + ".join(["0", *words])
    return " + ".join(words) or "1"


def _written(terms: Terms) -> str:
    """Write the right side of a formula: fixed effects, smooths, offsets, random-effects terms."""
    rest = [smooth.text for smooth in terms.smooths] + [f"offset({node.text})" for node in terms.offsets]
    rest += [bar.text for bar in terms.bars]
    fixed = _written_fixed(terms.fixed)
    return " + ".join([fixed, *rest])
