"""Any data frame to columns: numbers as float64, everything else as a factor with its levels in a stated order.

The order of levels is decided here and nowhere else, so that pandas, polars and pyarrow give the same columns:

* a pandas categorical, a polars Enum, an ordered pyarrow dictionary: the declared order;
* text, a polars Categorical, other pyarrow dictionaries: sorted (their own order is that of appearance);
* true/false: False, True;
* numbers used as a factor: numerically, labelled ``3``, not ``3.0``.

Levels that no row uses are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ranef.errors import DataError, did_you_mean

__all__ = ["Column", "Factor", "Table", "label", "numbered"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
# Whole numbers below this are floating-point numbers too.
EXACT = 2.0**53


def label(value: Any) -> str:
    """Write a value as the label of a level.

    Examples
    --------
    >>> label(3.0), label(2.5), label(True), label("a")
    ('3', '2.5', 'True', 'a')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _most_counted(rows: int) -> int:
    return 2 * rows + 1000


def numbered(key: Codes, possible: int) -> tuple[Codes, Codes]:
    """Number the values of ``key`` that occur, in order: the number of each row, and the values.

    Parameters
    ----------
    key : int64 array (n,)
        From 0 to ``possible - 1``.
    possible : int

    Examples
    --------
    >>> [found.tolist() for found in numbered(np.array([5, 0, 5]), 6)]
    [[1, 0, 1], [0, 5]]
    """
    if possible > _most_counted(len(key)):
        codes, keys = pd.factorize(key, sort=True)
        return codes, np.asarray(keys, dtype=np.int64)
    # Counting is a single pass, hashing and sorting are several.
    used = np.bincount(key, minlength=possible) > 0
    keys = np.flatnonzero(used)
    if len(keys) == possible:
        return key, keys
    return (np.cumsum(used) - 1)[key], keys


@dataclass(frozen=True, slots=True)
class Factor:
    """A categorical column.

    Attributes
    ----------
    codes : int64 array (n,)
        Position of each row's level; -1 where it is missing.
    levels : tuple of str
        Their labels, in order.
    ordered : bool
        Whether the order means more than presentation (then contrasts are polynomial).
    boolean : bool
        Whether the levels are those of a true/false column; as a number it is 0 and 1.
    """

    codes: Codes
    levels: tuple[str, ...]
    ordered: bool = False
    boolean: bool = False

    @classmethod
    def of(cls, values: NDArray[Any]) -> Factor:
        """Make a factor of numbers, truth values or text: levels sorted, NaN and None missing."""
        values = np.asarray(values)
        if values.dtype == bool:
            return cls(values.astype(np.int64), ("False", "True"), boolean=True)
        if values.dtype.kind in "iu" and len(values):
            low, high = int(values.min()), int(values.max())
            if high - low < _most_counted(len(values)):
                # Unsigned numbers of 64 bits fit into signed ones once the least is subtracted.
                wide = values if values.dtype.kind == "u" else values.astype(np.int64, copy=False)
                key = (wide - wide.dtype.type(low) if low else wide).astype(np.int64, copy=False)
                codes, keys = numbered(key, high - low + 1)
                return cls(codes, tuple(label(low + int(k)) for k in keys))
        codes, found = pd.factorize(values, use_na_sentinel=True)
        if values.dtype.kind in "iuf":
            order = np.argsort(found)
        else:
            order = np.array(sorted(range(len(found)), key=[label(v) for v in found].__getitem__), dtype=np.int64)
        rank = np.empty(len(found) + 1, dtype=np.int64)
        rank[order] = np.arange(len(found))
        rank[-1] = -1  # a missing value's code -1 finds this last entry
        return cls(rank[codes], tuple(label(found[k]) for k in order))

    def take(self, rows: NDArray[np.intp] | None) -> Factor:
        """Keep some rows, then the levels that remain in use (both levels of a true/false column stay)."""
        codes = self.codes if rows is None else self.codes[rows]
        if self.boolean:
            return replace(self, codes=codes)
        # Without missing rows, which are the rule, nothing of the length of the data is copied.
        present = codes if codes.min(initial=0) >= 0 else codes[codes >= 0]
        used = np.bincount(present, minlength=len(self.levels)) > 0
        if used.all():
            return replace(self, codes=codes)
        place = np.concatenate([np.cumsum(used) - 1, [-1]])
        kept = tuple(level for level, keep in zip(self.levels, used, strict=True) if keep)
        return replace(self, codes=place[codes], levels=kept)

    def recode(self, levels: tuple[str, ...]) -> tuple[Codes, list[str]]:
        """Express the rows in other levels: their codes (-1 where there is none) and the labels not among them."""
        if levels == self.levels:
            return self.codes, []
        place = {level: k for k, level in enumerate(levels)}
        table = np.array([place.get(level, -1) for level in self.levels] + [-1], dtype=np.int64)
        unknown = [level for level in self.levels if level not in place]
        if unknown:
            used = set(np.unique(self.codes).tolist())
            unknown = [level for k, level in enumerate(self.levels) if level not in place and k in used]
        return table[self.codes], unknown

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Rows without a level."""
        return self.codes < 0


@dataclass(frozen=True, eq=False)
class Column:
    """One column as the model sees it: numbers, or a factor.

    Attributes
    ----------
    name : str
    reals : float64 array (n,) or None
        The values of a column of real numbers, NaN where missing.
    whole : integer array (n,) or None
        The values of a column of whole numbers: identifiers may exceed 2**53.
    absent : bool array (n,) or None
        Where `whole` is missing; None where it nowhere is.
    category : Factor or None
        The factor, when the column is not numeric.
    """

    name: str
    reals: Array | None = None
    whole: NDArray[Any] | None = None
    category: Factor | None = None
    absent: NDArray[np.bool_] | None = None

    @cached_property
    def numbers(self) -> Array | None:
        """The values of a numeric column as float64, NaN where missing; identifiers are never asked for them."""
        if self.whole is None:
            return self.reals
        found = self.whole.astype(np.float64)
        if self.absent is not None:
            found[self.absent] = np.nan
        return found

    @cached_property
    def factor(self) -> Factor:
        """The column as a factor, whatever it is."""
        if self.category is not None:
            return self.category
        if self.whole is not None and self.absent is not None:
            present = Factor.of(self.whole[~self.absent])
            codes = np.full(len(self.whole), -1, dtype=np.int64)
            codes[~self.absent] = present.codes
            return replace(present, codes=codes)
        return Factor.of(self.whole if self.whole is not None else self.reals)  # type: ignore[arg-type]

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Rows without a value."""
        if self.whole is not None:
            return np.zeros(len(self.whole), dtype=bool) if self.absent is None else self.absent
        return np.isnan(self.reals) if self.reals is not None else self.factor.missing

    def take(self, rows: NDArray[np.intp] | None) -> Column:
        """Keep some rows (None: all) and drop the levels they no longer use."""
        if rows is None:
            # Levels without a row were dropped when the column was read.
            return self
        return Column(
            self.name,
            None if self.reals is None else self.reals[rows],
            None if self.whole is None else self.whole[rows],
            None if self.category is None else self.category.take(rows),
            None if self.absent is None else self.absent[rows],
        )

    def check_finite(self, rows: NDArray[np.intp] | None = None) -> None:
        """Refuse infinities, naming the first row that has one."""
        if self.reals is None:
            return
        infinite = np.isinf(self.reals)
        if infinite.any():
            place = int(np.flatnonzero(infinite)[0])
            row = place if rows is None else int(rows[place])
            raise DataError(
                f"`{self.name}` is infinite ({self.reals[place]}) in row {row} (counting from 0); "
                "replace it or drop the row"
            )


class Table:
    """The caller's data frame, read column by column and never changed.

    Parameters
    ----------
    data : any eager frame narwhals reads, or a mapping of columns
        pandas, polars, pyarrow, ...
    what : str
        What to call it in error texts.

    Raises
    ------
    DataError
        When it is no frame, is lazy, or has two columns of one name.

    Examples
    --------
    >>> import pandas as pd
    >>> table = Table(pd.DataFrame({"x": [1, 2], "g": ["b", "a"]}))
    >>> table.column("g").factor.levels
    ('a', 'b')
    """

    def __init__(self, data: Any, what: str = "the data") -> None:
        self.what = what
        if isinstance(data, Mapping):
            try:
                data = pd.DataFrame(dict(data))
            except ValueError as error:
                raise DataError(f"{what} cannot be made a table: {error}") from error
        self.native = data
        pandas = isinstance(data, pd.DataFrame)
        names = data.columns if pandas else getattr(data, "column_names", ())
        _refuse_repeated(list(names), what)
        found = names if pandas else self.frame.columns
        self.names: tuple[str, ...] = tuple(name for name in found if isinstance(name, str))
        self._known = frozenset(self.names)
        self._columns: dict[str, Column] = {}

    @cached_property
    def frame(self) -> nw.DataFrame[Any]:
        """The data as narwhals sees them."""
        try:
            return nw.from_native(self.native, eager_only=True)
        except TypeError as error:
            kind = type(self.native).__name__
            if _is_lazy(self.native):
                raise DataError(
                    f"{self.what} are lazy ({kind}); collect them first, for example "
                    ".select(the columns you need).collect()"
                ) from error
            raise DataError(f"{self.what} must be a data frame (pandas, polars, pyarrow, ...), not {kind}") from error

    def __len__(self) -> int:
        return len(self.native if isinstance(self.native, pd.DataFrame) else self.frame)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def column(self, name: str) -> Column:
        """Read one column.

        Raises
        ------
        DataError
            When there is none of that name, or it holds neither numbers, truth values nor text.
        """
        if name not in self._columns:
            if name not in self._known:
                raise DataError(f"there is no column `{name}` in {self.what}; {did_you_mean(name, self.names)}")
            plain = _read_plain(self.native[name], name) if isinstance(self.native, pd.DataFrame) else None
            self._columns[name] = plain or _read(self.frame[name], name)
        return self._columns[name]

    def rows(self, kept: NDArray[np.intp] | None) -> Any:
        """Return those rows as a frame of the caller's kind (None: all of them)."""
        if kept is None:
            return self.native.copy(deep=False) if isinstance(self.native, pd.DataFrame) else self.native
        return nw.to_native(self.frame[kept.tolist() if len(kept) < 50 else kept])


def _refuse_repeated(names: list[Any], what: str) -> None:
    if len(set(names)) == len(names):
        return
    twice = next(name for name in names if names.count(name) > 1)
    raise DataError(f"{what} have {names.count(twice)} columns called `{twice}`; rename or drop all but one")


def _is_lazy(data: Any) -> bool:
    try:
        return isinstance(nw.from_native(data), nw.LazyFrame)
    except TypeError:
        return False


def _read_plain(series: pd.Series[Any], name: str) -> Column | None:
    """Read what pandas holds as a NumPy array or a categorical, the bulk of all columns; None for the rest.

    By way of narwhals such a column takes a third of a millisecond, more than the fit of a small model.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return Column(name, category=_pandas_categorical(series))
    if not isinstance(dtype, np.dtype):
        return None
    values = series.to_numpy()
    if dtype in (np.float64, np.float32):
        return Column(name, np.asarray(values, dtype=np.float64))
    if dtype.kind in "iu":
        return Column(name, whole=values)
    if dtype.kind == "b":
        return Column(name, category=Factor(values.astype(np.int64), ("False", "True"), boolean=True))
    return None


def _pandas_categorical(series: pd.Series[Any]) -> Factor:
    values: Any = series.array
    names = str if values.categories.dtype.kind in "iu" else label
    levels = tuple(map(names, values.categories.tolist()))
    return Factor(values.codes.astype(np.int64), levels, ordered=bool(values.ordered)).take(None)


def _read(series: nw.Series[Any], name: str) -> Column:
    """Numbers to float64, truth values and text to a factor, anything else to an error."""
    dtype = series.dtype
    if dtype.is_numeric():
        if dtype.is_integer():
            absent = np.asarray(series.is_null().to_numpy(), dtype=bool) if series.null_count() else None
            whole = np.asarray((series if absent is None else series.fill_null(0)).to_numpy())
            if whole.dtype.kind in "iu" and (absent is None or np.abs(whole.astype(np.float64)).max() >= EXACT):
                return Column(name, whole=whole, absent=absent)
        if not dtype.is_float() or series.null_count():
            series = series.cast(nw.Float64)
        return Column(name, np.asarray(series.to_numpy(), dtype=np.float64))
    if dtype == nw.Boolean:
        return Column(name, category=_boolean(series))
    if dtype == nw.Enum or dtype == nw.Categorical:
        return Column(name, category=_categorical(series))
    if dtype == nw.String:
        return Column(name, category=_text(series))
    if dtype == nw.Object or dtype == nw.Unknown:
        return _objects(series, name)
    advice = "convert it to numbers or text"
    if dtype.is_temporal():
        advice = "convert it to numbers (days since the first, say) or, for a factor, to text"
    raise DataError(f"`{name}` holds {dtype}, which a model cannot use; {advice}")


def _boolean(series: nw.Series[Any]) -> Factor:
    missing = np.asarray(series.is_null().to_numpy(), dtype=bool)
    if missing.any():
        values = np.array([value is True or value == 1 for value in series.fill_null(False).to_list()], dtype=np.int64)
    else:
        values = np.asarray(series.to_numpy(), dtype=np.int64)
    values[missing] = -1
    return Factor(values, ("False", "True"), boolean=True)


def _categorical(series: nw.Series[Any]) -> Factor:
    native = nw.to_native(series)
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        return _pandas_categorical(native)
    if isinstance(series.dtype, nw.Enum) and hasattr(native, "to_physical"):
        return Factor(_physical(native), tuple(series.dtype.categories)).take(None)
    if hasattr(native, "combine_chunks") and getattr(native.type, "ordered", False):
        combined = native.unify_dictionaries().combine_chunks()
        combined = combined.chunk(0) if hasattr(combined, "chunk") else combined
        codes = np.asarray(combined.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
        levels = tuple(label(value) for value in combined.dictionary.to_pylist())
        return Factor(codes, levels, ordered=True).take(None)
    return _text(series.cast(nw.String))


def _physical(native: Any) -> Codes:
    """Return the codes behind a polars Enum, -1 where it is null (they are unsigned: widen before marking)."""
    physical = native.to_physical()
    codes = physical.fill_null(0).to_numpy().astype(np.int64)
    codes[physical.is_null().to_numpy()] = -1
    return codes


def _text(series: nw.Series[Any]) -> Factor:
    native = nw.to_native(series)
    codes: NDArray[Any]
    if isinstance(native, pd.Series):
        codes, found = pd.factorize(native, use_na_sentinel=True)
        words = [str(value) for value in found]
    elif hasattr(native, "dictionary_encode"):
        encoded = native.dictionary_encode().unify_dictionaries()
        pieces = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
        codes = np.concatenate(pieces) if pieces else np.empty(0)
        words = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    else:
        words = sorted(series.drop_nulls().unique().to_list())
        if hasattr(native, "to_physical"):
            codes = _physical(nw.to_native(series.cast(nw.Enum(words))))
        else:
            codes = np.asarray(pd.Categorical(series.to_list(), categories=words).codes)
    order = sorted(range(len(words)), key=words.__getitem__)
    rank = np.full(len(words) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(words))
    return Factor(rank[np.asarray(codes, dtype=np.int64)], tuple(words[k] for k in order)).take(None)


def _differs(value: Any) -> bool:
    """Whether a value differs from itself, as those do that stand for missing ones."""
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # an array, say, whose elements answer one by one
        return False


def _objects(series: nw.Series[Any], name: str) -> Column:
    """Python objects of one plain kind: text, truth values or numbers, with None or NaN for missing."""
    values = series.to_list()
    missing = np.array([value is None or value is pd.NA or _differs(value) for value in values], dtype=bool)
    present = [value for value, gone in zip(values, missing, strict=True) if not gone]
    if all(isinstance(value, str) for value in present):
        filled = np.array([None if gone else value for value, gone in zip(values, missing, strict=True)], dtype=object)
        return Column(name, category=Factor.of(filled))
    if all(isinstance(value, bool | np.bool_) for value in present):
        codes = np.array([-1 if gone else int(v) for v, gone in zip(values, missing, strict=True)], dtype=np.int64)
        return Column(name, category=Factor(codes, ("False", "True"), boolean=True))
    real = int | float | np.integer | np.floating
    if all(isinstance(value, real) and not isinstance(value, bool) for value in present):
        numbers = [np.nan if gone else float(v) for v, gone in zip(values, missing, strict=True)]
        return Column(name, np.array(numbers))
    kinds = sorted({type(value).__name__ for value in present})
    raise DataError(f"`{name}` holds Python objects ({', '.join(kinds[:4])}); convert it to numbers or text")
