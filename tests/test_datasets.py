"""The example data sets: the same table from every backend, and a dictionary that agrees with it."""

import importlib
import math

import narwhals.stable.v2 as nw
import pandas as pd
import pytest

import ranef as rf
from ranef.datasets import describe_dataset

BACKENDS = ("pandas", "polars", "pyarrow")
NAMES = list(rf.list_datasets()["name"])

PROMISED = {
    "owls",
    "sleepstudy",
    "cbpp",
    "penicillin",
    "pastes",
    "dyestuff",
    "dyestuff2",
    "salamanders",
    "grouseticks",
    "contraception",
    "insteval",
    "verbagg",
}


def labels(column: nw.Series) -> list:
    return column.cast(nw.String()).to_list()


def test_the_promised_data_sets_are_there():
    assert set(NAMES) >= PROMISED


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_table_agrees_with_its_dictionary(name, backend):
    dictionary = describe_dataset(name)
    frame = nw.from_native(rf.load_dataset(name, backend=backend), eager_only=True)
    assert frame.columns == [column.name for column in dictionary.columns]
    assert len(frame) == dictionary.rows
    for column in dictionary.columns:
        values = frame[column.name]
        assert not values.is_null().any(), column.name
        if column.kind == "factor":
            assert values.dtype in (nw.Categorical, nw.Enum), column.name
            assert values.cat.get_categories().to_list() == list(column.levels), column.name
            assert set(labels(values)) <= set(column.levels)
        else:
            assert values.dtype == {"integer": nw.Int64, "number": nw.Float64}[column.kind], column.name


@pytest.mark.parametrize("name", NAMES)
def test_backends_give_the_same_values(name):
    first, *others = (nw.from_native(rf.load_dataset(name, backend=backend), eager_only=True) for backend in BACKENDS)
    for column in describe_dataset(name).columns:
        take = labels if column.kind == "factor" else nw.Series.to_list
        for other in others:
            assert take(other[column.name]) == take(first[column.name])


@pytest.mark.parametrize("name", NAMES)
def test_dictionary_is_complete(name):
    dictionary = describe_dataset(name)
    for text in (dictionary.title, dictionary.design, dictionary.published, dictionary.distributed, dictionary.licence):
        assert len(text) > 10
    assert all(column.meaning for column in dictionary.columns)
    page = str(dictionary)
    assert all(column.name in page for column in dictionary.columns)
    assert dictionary.published in page


def test_owls_holds_what_was_published():
    owls = rf.load_dataset("owls")
    assert owls["Nest"].nunique() == 27
    assert int(owls["SiblingNegotiation"].sum()) == 4025
    # A derived column of the source against its definition.
    assert (owls["logBroodSize"] - owls["BroodSize"].map(math.log)).abs().max() < 1e-12


def test_ordered_flag_is_kept_where_the_backend_has_one():
    assert rf.load_dataset("cake")["temperature"].cat.ordered
    assert not rf.load_dataset("cake")["recipe"].cat.ordered
    assert rf.load_dataset("cake", backend="pyarrow").schema.field("temperature").type.ordered


def test_label_that_looks_missing_stays_a_label():
    # "drug+" and "3+" need their text, and no level may be read as a missing value.
    assert list(rf.load_dataset("bacteria")["trt"].cat.categories) == ["placebo", "drug", "drug+"]
    assert list(rf.load_dataset("contraception")["livch"].cat.categories) == ["0", "1", "2", "3+"]


def test_each_call_gives_a_frame_of_its_own():
    first = rf.load_dataset("dyestuff")
    first.loc[0, "Yield"] = 0
    assert rf.load_dataset("dyestuff").loc[0, "Yield"] == 1545


def test_capitalisation_does_not_count():
    pd.testing.assert_frame_equal(rf.load_dataset("SleepStudy"), rf.load_dataset("sleepstudy"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_list_names_every_data_set(backend):
    frame = nw.from_native(rf.list_datasets(backend=backend), eager_only=True)
    assert frame["name"].to_list() == NAMES
    assert {"rows", "columns", "title", "published"} <= set(frame.columns)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(rf.DataError, match=r"`owlz`.*did you mean `owls`"):
        rf.load_dataset("owlz")


def test_unknown_backend_suggests_the_nearest():
    with pytest.raises(rf.DataError, match="`polar` is not a data frame backend: did you mean `polars`"):
        rf.load_dataset("owls", backend="polar")


@pytest.mark.parametrize(("module", "extra"), [("polars", "polars"), ("pyarrow", "arrow")])
def test_missing_library_says_how_to_get_it(monkeypatch, module, extra):
    real = importlib.import_module

    def without(name, *rest):
        if name == module:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ImportError, match=rf"pip install 'ranef\[{extra}\]'"):
        rf.load_dataset("owls", backend=module)
