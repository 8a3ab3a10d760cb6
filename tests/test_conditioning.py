"""The ranef= argument names terms by group or by text."""

from types import SimpleNamespace

import pytest

import ranef as rf
from ranef.conditioning import kept_terms

TERMS = [
    SimpleNamespace(group="g", text="(1 | g)", smooth=None),
    SimpleNamespace(group="g", text="(0 + x | g)", smooth=None),
    SimpleNamespace(group="batch:cask", text="(1 | batch/cask)", smooth=None),
]


@pytest.mark.parametrize(
    ("ranef", "kept"),
    [
        (True, [True, True, True]),
        (False, [False, False, False]),
        ([], [False, False, False]),
        (["g"], [True, True, False]),
        ("g", [True, True, False]),
        (["(0+x|g)"], [False, True, False]),
        (["1 | g", "batch : cask"], [True, False, True]),
    ],
)
def test_terms_are_kept(ranef, kept):
    assert kept_terms(TERMS, ranef) == kept


@pytest.mark.parametrize("ranef", [True, False, [], ["g"]])
def test_a_smooth_is_always_kept(ranef):
    smooth = SimpleNamespace(group="s(x)", text="s(x, k=5)", smooth="s(x)")
    assert kept_terms([*TERMS, smooth], ranef)[-1]


@pytest.mark.parametrize("wrong", [3, None])
def test_what_names_no_terms_is_refused(wrong):
    with pytest.raises(rf.ModelError, match="give True, False, or the terms to keep"):
        kept_terms(TERMS, wrong)


def test_a_name_without_a_term_is_refused_with_the_names_there_are():
    with pytest.raises(rf.ModelError, match=r"ranef='h' names no random-effects term; terms: 'g' or '\(1 \| g\)'"):
        kept_terms(TERMS, ["h"])
