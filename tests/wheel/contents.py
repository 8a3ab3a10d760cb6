"""What a wheel holds: every file of the package as it is in the sources, the engine once, the licences, nothing else.

Run by `make wheel`, or: python tests/wheel/contents.py WHEEL
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "python"
ENGINE = "ranef/_engine.abi3.so" if sys.platform != "win32" else "ranef/_engine.pyd"
# Files that nothing imports: a wheel without one of them installs, and fails when somebody needs it.
DATA = ("ranef/py.typed", "ranef/_engine.pyi", "ranef/reports/article/page.html", "ranef/reports/article/page.css")
LICENCES = ("LICENSE-MIT", "LICENSE-APACHE")


def package_files() -> dict[str, bytes]:
    """The files of the package by name; what interpreters and builds leave there is not part of it."""
    found = (path for path in (SOURCES / "ranef").rglob("*") if path.is_file())
    built = {".so", ".pyd", ".pyc"}
    return {path.relative_to(SOURCES).as_posix(): path.read_bytes() for path in found if path.suffix not in built}


def main() -> None:
    """Compare, and end with a sentence for each thing that is wrong."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        held = {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    about = {name for name in held if name.split("/")[0].endswith(".dist-info")}
    expected = package_files()
    tables = [name for name in expected if name.startswith("ranef/datasets/tables/")]
    wrong = [f"{name} is not in the sources" for name in DATA if name not in expected]
    wrong += [] if tables else ["the sources have no data sets"]
    wrong += [f"{name} is missing" for name in sorted(expected.keys() - held.keys())]
    wrong += [
        f"{name} is not that of the sources" for name in expected if held.get(name, expected[name]) != expected[name]
    ]
    wrong += [f"{name} does not belong there" for name in sorted(held.keys() - expected.keys() - about - {ENGINE})]
    wrong += [] if ENGINE in held else [f"{ENGINE} is missing"]
    paths = [f"{ROOT}/", f"{Path.home()}/"]
    wrong += [f"the engine holds the path {path}" for path in paths if path.encode() in held.get(ENGINE, b"")]
    wrong += [f"the licence {name} is missing" for name in LICENCES if not any(a.endswith(f"/{name}") for a in about)]
    if wrong:
        sys.exit("\n".join(wrong))
    size = sum(map(len, held.values())) / 1e6
    print(f"{Path(sys.argv[1]).name}: {len(held)} files, {len(tables)} of data sets, {size:.1f} MB unpacked")


if __name__ == "__main__":
    main()
