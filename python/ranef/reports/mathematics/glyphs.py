"""How symbols are spelled: in LaTeX and in Unicode."""

from __future__ import annotations

from typing import NamedTuple


class Glyph(NamedTuple):
    """A symbol in LaTeX and in Unicode."""

    latex: str
    character: str


#: Greek letters by name; Latin ones are themselves.
LETTERS = {
    name: Glyph(rf"\{name}", character)
    for name, character in zip(
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "epsilon",
            "zeta",
            "eta",
            "theta",
            "iota",
            "kappa",
            "lambda",
            "mu",
            "nu",
            "xi",
            "pi",
            "rho",
            "sigma",
            "tau",
            "upsilon",
            "phi",
            "chi",
            "psi",
            "omega",
            "Gamma",
            "Delta",
            "Theta",
            "Lambda",
            "Xi",
            "Pi",
            "Sigma",
            "Phi",
            "Psi",
            "Omega",
        ],
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        strict=True,
    )
} | {"epsilon": Glyph(r"\varepsilon", "ε"), "ell": Glyph(r"\ell", "ℓ")}

#: Signs between other things. What has spaces around it in plain text is in SPACED.
SIGNS = {
    "+": Glyph("+", "+"),
    "-": Glyph("-", "−"),
    "minus": Glyph("-", "−"),
    "=": Glyph("=", "="),
    "!=": Glyph(r"\neq", "≠"),
    "<": Glyph("<", "<"),
    ">": Glyph(">", ">"),
    "<=": Glyph(r"\leq", "≤"),
    ">=": Glyph(r"\geq", "≥"),
    "~": Glyph(r"\sim", "∼"),
    "in": Glyph(r"\in", "∈"),
    "given": Glyph(r"\mid", "|"),
    "propto": Glyph(r"\propto", "∝"),
    "neighbours": Glyph(r"\leftrightarrow", "↔"),
    "times": Glyph(r"\times", "×"),
    "kronecker": Glyph(r"\otimes", "⊗"),
    "sum": Glyph(r"\sum", "∑"),
    ",": Glyph(",", ","),
    "...": Glyph(r"\ldots", "…"),
    "transposed": Glyph(r"\top", "⊤"),
    "prime": Glyph(r"\prime", "′"),
    "cdot": Glyph(r"\cdot", "·"),
    ":": Glyph(":", ":"),
    "and": Glyph(r"\wedge", "∧"),
    "thin": Glyph(r"\,", " "),
    "quad": Glyph(r"\quad", "   "),
}

SPACED = frozenset(
    {
        ":",
        "+",
        "-",
        "=",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
        "~",
        "in",
        "given",
        "propto",
        "neighbours",
        "times",
        "kronecker",
        "and",
    }
)
