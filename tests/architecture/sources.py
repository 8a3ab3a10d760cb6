"""Where the sources are, and what one module says about another."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "ranef"
ENGINE = ROOT / "crates" / "ranef-engine" / "src"

# The data's journey: a module may import from its own entry and from those before it (ARCHITECTURE.md tells why).
ORDER = (
    "_engine",
    "errors",
    "arguments",
    "frames",
    "links",
    "datasets",
    "data",
    "relatedness",
    "formula",
    "families",
    "covariances",
    "correlations",
    "variance_functions",
    "prior",
    "model",
    "assumptions",
    "memory",
    "fitting",
    "saving",
    "conditioning",
    "newdata",
    "simulation",
    "inference",
    "prediction",
    "interchange",
    "checks",
    "plots",
    "reports",
    "session",
    "sklearn",
    "cli",
    "__main__",
)


@dataclass(frozen=True)
class Import:
    """One import statement: who, what, and whether it stands inside a function."""

    importer: str
    imported: str
    line: int
    deferred: bool


def python_files() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """``ranef.formula.design`` for ``formula/design.py``; a package is named by its folder."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(path: Path) -> list[Import]:
    """Every import in a file, type-checking ones included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write the full name"
            # "from ranef import links" imports the module ranef.links.
            names = [f"ranef.{a.name}" for a in node.names] if node.module == "ranef" else [str(node.module)]
        else:
            continue
        found += [Import(module_name(path), name, node.lineno, id(node) in inside) for name in names]
    return found


def stage(module: str) -> str:
    """The entry of ORDER a module belongs to: the part after ``ranef.``."""
    return module.split(".")[1]
