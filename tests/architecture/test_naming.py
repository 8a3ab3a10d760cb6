"""Files are named by the noun they define, public names are documented, and no file remembers a machine."""

import ast
import inspect
import re
import subprocess

import pytest

import ranef as rf
from sources import ENGINE, PACKAGE, ROOT, module_name, python_files

SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core", "tools", "_utils"}
TEXT = (".py", ".pyi", ".rs", ".toml", ".md", ".json", ".R", ".yml", ".yaml", ".csv", ".lock", ".cfg", "")
# Absolute paths of somebody's machine. /dev and /tmp are everyone's.
MACHINE_PATH = re.compile(r"(?<![\w.:/}])/(?:home|root|Users|work|mnt|opt|srv)/[\w.-]+")


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_name_says_nothing():
    sources = [*PACKAGE.rglob("*.py*"), *ENGINE.rglob("*.rs"), *(ROOT / "tests").rglob("*.py")]
    assert not [path for path in sources if path.stem in SAYS_NOTHING or path.parent.name in SAYS_NOTHING]


def test_no_machine_path_in_any_file():
    found = []
    for path in tracked_files():
        if path.suffix in TEXT:
            text = path.read_text(encoding="utf-8", errors="ignore")
            found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
    assert not found


@pytest.mark.parametrize("path", python_files(), ids=module_name)
def test_every_module_class_and_function_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [] if ast.get_docstring(tree) or not tree.body else ["the module"]

    def visit(parent, prefix):
        for node in parent.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                if node.name.startswith("_"):
                    continue
                # One-liners that a protocol prescribes, and overloads, explain themselves.
                if ast.get_docstring(node) is None and not overloaded(node) and public_api(prefix, node):
                    bare.append(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    visit(node, f"{prefix}{node.name}.")

    def overloaded(node):
        return any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)

    def public_api(prefix, node):
        return isinstance(node, ast.ClassDef) or prefix == "" or not prefix.startswith("_")

    visit(tree, "")
    assert not bare, f"{module_name(path)} lacks docstrings: {', '.join(bare)}"


def public_objects():
    for name in rf.__all__:
        value = getattr(rf, name)
        if name == "__version__":
            continue
        yield name, value
        if inspect.isclass(value):
            for attribute, member in inspect.getmembers(value):
                if not attribute.startswith("_") and (callable(member) or isinstance(member, property)):
                    yield f"{name}.{attribute}", member


@pytest.mark.parametrize(("name", "value"), [pytest.param(n, v, id=n) for n, v in public_objects()])
def test_every_public_name_is_documented(name, value):
    assert (inspect.getdoc(value) or "").strip(), name


def test_all_lists_what_the_root_gives():
    assert sorted(rf.__all__) == list(rf.__all__) or len(set(rf.__all__)) == len(rf.__all__)
    for name in rf.__all__:
        assert getattr(rf, name) is not None
    assert set(rf.__all__) <= set(dir(rf))
