"""Characters to words: every token knows its place in the text, so that an error can point at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ranef.errors import FormulaError

__all__ = ["Kind", "Token", "tokenize"]


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a formula.

    Attributes
    ----------
    kind : Kind
    text : str
        The word; a quoted name or string without its quotes, an operator in its one spelling (``**`` for ``^``).
    start, end : int
        Its half-open span in the formula.
    quoted : bool
        Whether a name stood in backquotes (then it is always a column, never a function or constant).
    """

    kind: Kind
    text: str
    start: int
    end: int
    quoted: bool = False


# A name may hold letters of any script, digits, dots and underscores; it starts with a letter, "_" or "." + non-digit.
_NAME = re.compile(r"(?:[^\W\d]|\.(?![0-9]))[\w.]*")
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?L?")
_OPERATOR = re.compile(r"%[^%\s]*%|\*\*|\|\||&&|==|!=|<=|>=|[-+*/:^~|&!<>=(),{}\[\]]")
_ONE_SPELLING = {"^": "**", "&&": "&"}
_WORD_OPERATORS = {"in": "%in%", "and": "&", "or": "|", "not": "!"}
_INFIX_WORDS = ("%in%", "%%")


def tokenize(source: str) -> list[Token]:
    """Split a formula into tokens, the last of kind END.

    Parameters
    ----------
    source : str
        The formula.

    Returns
    -------
    list of Token

    Raises
    ------
    FormulaError
        At a character that no formula contains, and at a quote that is not closed.

    Examples
    --------
    >>> [token.text for token in tokenize("y ~ `my x`^2")]
    ['y', '~', 'my x', '**', '2', '']
    """
    tokens: list[Token] = []
    place = 0
    while place < len(source):
        char = source[place]
        if char.isspace():
            place += 1
            continue
        if char in "`'\"":
            token = _quoted(source, place)
        elif match := _NAME.match(source, place):
            word = match.group()
            if word in _WORD_OPERATORS:
                token = Token(Kind.OPERATOR, _WORD_OPERATORS[word], place, match.end())
            else:
                token = Token(Kind.NAME, word, place, match.end())
        elif match := _NUMBER.match(source, place):
            token = Token(Kind.NUMBER, match.group(), place, match.end())
        elif match := _OPERATOR.match(source, place):
            word = match.group()
            if word.startswith("%") and word not in _INFIX_WORDS:
                raise FormulaError.at(source, place, match.end(), f"`{word}` is not an operator here; %in% and %% are")
            token = Token(Kind.OPERATOR, _ONE_SPELLING.get(word, word), place, match.end())
        else:
            hint = " (name the column alone and pass its frame as data)" if char in "$@" else ""
            raise FormulaError.at(source, place, place + 1, f"a formula cannot contain {char!r}{hint}")
        tokens.append(token)
        place = token.end
    tokens.append(Token(Kind.END, "", len(source), len(source)))
    return tokens


def _quoted(source: str, start: int) -> Token:
    """Read a string, or a name in backquotes; a backslash takes the next character as it is."""
    quote = source[start]
    letters: list[str] = []
    place = start + 1
    while place < len(source) and source[place] != quote:
        if source[place] == "\\" and place + 1 < len(source):
            place += 1
        letters.append(source[place])
        place += 1
    if place >= len(source):
        raise FormulaError.at(source, start, start + 1, f"the quote {quote} is never closed")
    text = "".join(letters)
    if quote != "`":
        return Token(Kind.STRING, text, start, place + 1)
    if not text:
        raise FormulaError.at(source, start, place + 1, "there is no name between the backquotes")
    return Token(Kind.NAME, text, start, place + 1, quoted=True)
