"""What is said of files that are no saved fits, and of fits that cannot be saved."""

import re

import pytest

import ranef as rf
from models import grouped, sleepstudy


def saved(path):
    sleepstudy().save(path)
    return bytearray(path.read_bytes())


def changed(path):
    content = saved(path)
    content[300] ^= 8
    path.write_bytes(content)
    rf.load(path)


def cut(path):
    path.write_bytes(saved(path)[:-500])
    rf.load(path)


def foreign(path):
    path.write_text("y,x\n1,2\n")
    rf.load(path)


def too_large(path):
    saved(path)
    rf.load(path, max_bytes=1000)


def columns(path):
    sleepstudy().save(path, columns="usd")


def matrix(path):
    rf.lmm("y ~ x + (1 | g)", grouped(1), matrices={"A": object()}).save(path)


CALLS = {f.__name__: f for f in (changed, cut, foreign, too_large, columns, matrix)}


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name, tmp_path, snapshot):
    path = tmp_path / "fit.ranef"
    with pytest.raises(rf.SavedFitError) as caught:
        CALLS[name](path)
    # How many bytes a fit takes hangs on the last digits of its numbers.
    text = re.sub(r"\b1\d,?\d{3}\b", "<size>", str(caught.value).replace(str(path), "fit.ranef"))
    snapshot(f"saved_fit_{name}", f"SavedFitError: {text}")
