"""Memory and threads: fits too large are refused beforehand, many fits leave nothing behind and agree side by side."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef as rf
from models import data
from ranef import memory
from ranef.families import as_family
from ranef.model import build_model

# Bytes by which the resident memory may grow over a hundred fits: 50 kB a fit, less than the data, matrices and records
# of one fit together. The allocator's own noise is well below.
MOST_GROWTH = 5_000_000
STATUS = Path("/proc/self/status")


def model_of(formula, frame, **settings):
    arguments = {"formula": formula, **settings}
    linear = {"family": as_family("gaussian"), "linear": True, "reml": True}
    return build_model(formula, frame, arguments=arguments, **linear, **settings)


def crossed(levels):
    """Every level of `item` met by one level of `person`, which has the more levels: dense of order `levels`."""
    person = np.r_[np.zeros(levels, int), np.arange(1, levels + 101)]
    item = np.r_[np.arange(levels), np.zeros(levels + 100, int)]
    y = np.arange(len(person)) % 7.0
    return pd.DataFrame({"y": y, "person": person.astype(str), "item": item.astype(str)})


def places(counts):
    """Groups with so many places each."""
    group = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(group))
    return pd.DataFrame({"y": rows % 7.0, "x": rows * 1.0, "z": (rows % 13) * 1.0, "g": group.astype(str)})


def size_of(model, text):
    return {need.part: need.size for need in memory.needs(model)}[text]


# -- estimates against closed forms ------------------------------------------------------------------------------------


def test_columns_of_rows():
    parts = memory.needs(model_of("Reaction ~ Days + (Days | Subject)", data("sleepstudy")))
    assert [(part.part, part.size) for part in parts] == [
        ("the fixed effects of cond", 180 * 8),
        ("(Days | Subject)", 180 * 8),
    ]


def test_crossed_factors_are_dense():
    parts = memory.needs(model_of("y ~ 1 + (1 | person) + (1 | item)", crossed(2000)))
    assert parts[-1].part == "(1 | item)"
    assert parts[-1].size == 2 * 8 * 2000**2


def test_nested_factors_are_sparse():
    """A finer factor within a coarser meets one level of it: one number for each of its levels."""
    fine = np.arange(6000)
    frame = pd.DataFrame({"y": fine % 7.0, "coarse": (fine // 3).astype(str), "fine": (fine // 2 * 2).astype(str)})
    parts = memory.needs(model_of("y ~ 1 + (1 | coarse / fine)", frame))
    assert "crossed" in parts[-1].why
    assert parts[-1].size == 8


@pytest.mark.parametrize("structure", ["exp", "gau", "mat"])
def test_places(structure):
    text = f"{structure}(x + z | g)"
    assert size_of(model_of(f"y ~ 1 + {text}", places([30, 40])), text) == 2 * 8 * (30**2 + 40**2)


@pytest.mark.parametrize("structure", ["exp", "gau"])
def test_residuals(structure):
    """The largest group counts: the others take its place in turn."""
    text = f"{structure}(x + z | g)"
    assert size_of(model_of("y ~ 1", places([30, 40]), correlation=text), text) == 2 * 8 * 40**2


def test_many_levels_are_not_counted_as_columns():
    frame = pd.DataFrame({"y": np.arange(3000) % 7.0, "f": (np.arange(3000) % 1000).astype(str), "g": "a"})
    frame.loc[::2, "g"] = "b"
    assert memory.needs(model_of("y ~ f + (1 | g)", frame)) == []


def test_estimates_are_lower_bounds():
    """A fit holds what was estimated, and more: the system's own count of the peak of a process of its own."""
    if not STATUS.exists():
        pytest.skip("the system does not tell the size of a process")
    formula, frame = "y ~ 1 + (1 | person) + (1 | item)", crossed(1500)
    needed = sum(part.size for part in memory.needs(model_of(formula, frame)))
    code = f"""
import sys, pandas as pd, ranef as rf
from pathlib import Path
frame = pd.read_csv(sys.stdin, dtype={{"person": str, "item": str}})
before = Path("{STATUS}").read_text()
rf.lmm("{formula}", frame, control=rf.Control(max_iter=1))
print(before, Path("{STATUS}").read_text())
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    said = subprocess.run(command, input=frame.to_csv(index=False), capture_output=True, text=True, check=True).stdout
    resident_before, peak_after = re.findall(r"VmRSS:\s*(\d+)", said)[0], re.findall(r"VmHWM:\s*(\d+)", said)[1]
    assert 1024 * (int(peak_after) - int(resident_before)) > needed > 30_000_000


# -- what there is -----------------------------------------------------------------------------------------------------


def written(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system of files of our own."""
    monkeypatch.setattr(memory, "MEMORY_TABLE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path / "groups")
    written(tmp_path, {"meminfo": "MemTotal: 9000 kB\nMemAvailable: 4000 kB\nSwapFree: 500 kB\n"})
    return tmp_path


def test_memory_and_swap(system):
    assert memory.available_bytes() == 1024 * 4500


def test_control_group(system):
    """The tightest group counts, and pages of files give way."""
    statistics = "anon 5\ninactive_file 300\nactive_file 200\n"
    group = {"memory.max": "max\n", "memory.current": "7000\n", "memory.stat": statistics}
    written(system, {"cgroup": "0::/job/step\n", **{f"groups/job/step/{k}": v for k, v in group.items()}})
    assert memory.available_bytes() == 1024 * 4500
    written(system, {f"groups/job/{k}": v for k, v in (group | {"memory.max": "10000\n"}).items()})
    assert memory.available_bytes() == 10000 - 7000 + 500


def test_control_group_of_the_first_version(system):
    group = {
        "memory.limit_in_bytes": "10000\n",
        "memory.usage_in_bytes": "9000\n",
        "memory.stat": "total_inactive_file 1\ntotal_active_file 2\n",
    }
    written(system, {"cgroup": "4:cpu,cpuacct:/x\n3:memory:/docker/abc\n"})
    written(system, {f"groups/memory/{k}": v for k, v in group.items()})
    assert memory.available_bytes() == 1003


def test_system_that_says_nothing(system, monkeypatch):
    (system / "meminfo").unlink()
    monkeypatch.delattr(os, "sysconf")
    assert memory.available_bytes() is None


def test_fit_that_has_no_room(monkeypatch):
    frame = crossed(1200)
    monkeypatch.setattr(memory, "available_bytes", lambda: 20_000_000)
    with pytest.raises(rf.ModelError, match=r"\(1 \| item\) needs 23 MB"):
        rf.lmm("y ~ 1 + (1 | person) + (1 | item)", frame)


@pytest.mark.parametrize("available", [None, 10**12])
def test_fit_that_has_room(available, monkeypatch):
    model = model_of("y ~ 1 + (1 | person) + (1 | item)", crossed(1200))
    monkeypatch.setattr(memory, "available_bytes", lambda: available)
    memory.require_memory(model)


# -- many fits ---------------------------------------------------------------------------------------------------------


def resident():
    """Bytes of this process in memory."""
    return 1024 * int(re.findall(r"VmRSS:\s*(\d+)", STATUS.read_text())[0])


def linear():
    return rf.lmm("Reaction ~ Days + (Days | Subject)", data("sleepstudy"))


def counts():
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return rf.glmm(formula, data("cbpp"), family="binomial")


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell the size of a process")
@pytest.mark.parametrize("fit", [linear, counts])
def test_fits_leave_nothing_behind(fit):
    for _ in range(20):
        fit()
    before = resident()
    for _ in range(100):
        fit()
    assert resident() - before < MOST_GROWTH


def test_threads_agree_to_the_last_bit():
    def numbers(fit):
        found = fit()
        parts = (found.loglik, found.sigma, found.tidy()["estimate"], found.tidy()["std_error"], found.fitted())
        return np.concatenate([np.ravel(np.asarray(part, float)) for part in parts]).tobytes()

    jobs = [linear, counts] * 16
    serial = {fit: numbers(fit) for fit in (linear, counts)}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(numbers, jobs))
    assert together == [serial[fit] for fit in jobs]
