"""Prior densities as users write them."""

import pytest

import ranef as rf


def test_priors_show_as_they_were_written():
    assert repr(rf.prior.normal(0, 2.5)) == "normal(0, 2.5)"
    assert repr(rf.prior.half_cauchy(2.5)) == "half_cauchy(2.5)"
    assert rf.prior.cauchy(0, 1).numbers == (1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: rf.prior.normal(0, 0), "prior.normal: sd=0: give a number above 0."),
        (lambda: rf.prior.student_t("3"), "prior.student_t: df='3': give a number above 0."),
        (lambda: rf.prior.cauchy(float("nan")), "prior.cauchy: location=nan: give a number."),
        (lambda: rf.prior.half_normal(-1), "prior.half_normal: scale=-1: give a number above 0."),
        (lambda: rf.prior.gamma(1, 0.5), "prior.gamma: shape=0.5: below 1 the density is infinite"),
        (lambda: rf.prior.lkj(0.5), "prior.lkj: shape=0.5: below 1 the density is infinite"),
    ],
)
def test_what_is_no_density_is_refused(make, says):
    with pytest.raises(rf.ModelError) as raised:
        make()
    assert str(raised.value).startswith(says)
