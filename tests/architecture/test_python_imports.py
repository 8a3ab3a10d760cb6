"""The order of the package's modules holds, and importing it stays cheap."""

import ast
import graphlib
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from sources import ORDER, PACKAGE, ROOT, imports_of, module_name, python_files, stage

FILES = python_files()
# The root gathers the public names and may look down.
ORDERED = [path for path in FILES if path != PACKAGE / "__init__.py"]

# Everything an analysis may need, and nothing that `import ranef` should pay for.
HEAVY = (
    "matplotlib",
    "scipy",
    "scipy.stats",
    "sklearn",
    "formulaic",
    "pandas",
    "polars",
    "pyarrow",
    "jinja2",
    "typer",
    "rich",
    "narwhals",
)


def ranef_imports(path):
    return [found for found in imports_of(path) if found.imported.split(".")[0] == "ranef"]


def test_every_module_has_its_place_in_the_order():
    stages = {stage(module_name(path)) for path in ORDERED}
    assert stages <= set(ORDER), f"not in the import order: {sorted(stages - set(ORDER))}"


@pytest.mark.parametrize("path", ORDERED, ids=module_name)
def test_imports_point_up_the_page_only(path):
    own = ORDER.index(stage(module_name(path)))
    wrong = [
        f"line {found.line} imports {found.imported}"
        for found in ranef_imports(path)
        if found.imported == "ranef" or ORDER.index(stage(found.imported)) > own
    ]
    assert not wrong, f"{module_name(path)}: {'; '.join(wrong)}"


def test_no_cycle_inside_any_folder():
    graph = {
        module_name(path): {f.imported for f in ranef_imports(path) if f.imported != module_name(path)}
        for path in ORDERED
    }
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", ORDERED, ids=module_name)
def test_no_import_of_ranef_hides_in_a_function(path):
    deferred = [f"line {found.line}: {found.imported}" for found in ranef_imports(path) if found.deferred]
    assert not deferred, f"{module_name(path)}: {'; '.join(deferred)}"


def test_at_most_one_module_knows_formulaic():
    knows = {module_name(p) for p in FILES for found in imports_of(p) if found.imported.split(".")[0] == "formulaic"}
    assert len(knows) <= 1, sorted(knows)


def test_the_command_line_libraries_stay_in_cli():
    for path in ORDERED:
        if stage(module_name(path)) != "cli":
            assert not {f.imported.split(".")[0] for f in imports_of(path)} & {"typer", "rich"}, module_name(path)


def fresh_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_nothing_heavy():
    loaded = ast.literal_eval(fresh_python("import sys, ranef; print(sorted(sys.modules))"))
    assert not set(HEAVY) & set(loaded)


def seconds_to_run(code: str) -> float:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT)
    return time.perf_counter() - began


@pytest.mark.skipif(find_spec("statsmodels") is None, reason="statsmodels is not installed")
def test_import_takes_less_than_half_of_statsmodels():
    # Both in fresh processes, in turns, so that a busy machine slows both; the first round warms the file cache.
    pairs = [(seconds_to_run("import ranef"), seconds_to_run("import statsmodels.formula.api")) for _ in range(4)][1:]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert ours < theirs / 2, f"{ours:.2f} s against {theirs:.2f} s"
