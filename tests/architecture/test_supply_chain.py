"""What is built from others' work comes from where the lock files say, and nothing of it is fetched at build time."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
LOCKS = ["Cargo.lock", "crates/ranef-engine/fuzz/Cargo.lock"]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_crate_has_its_origin_and_its_checksum(lock):
    packages = tomllib.loads((ROOT / lock).read_text())["package"]
    others = [package for package in packages if not package["name"].startswith("ranef")]
    assert len(others) > 20
    assert {package.get("source") for package in others} == {CRATES_IO}
    assert all(re.fullmatch("[0-9a-f]{64}", package["checksum"]) for package in others)


def test_ranef_runs_nothing_while_it_is_built():
    manifests = [path for path in (ROOT / "crates").rglob("Cargo.toml") if "target" not in path.parts]
    assert len(manifests) == 3
    for manifest in manifests:
        assert "build" not in tomllib.loads(manifest.read_text())["package"]
        assert not manifest.with_name("build.rs").exists()


def test_development_has_one_version_of_everything():
    lines = [line for line in (ROOT / "requirements-dev.lock").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    assert [line for line in lines if not re.fullmatch(r"[\w.\[\]-]+==[\w.!+]+", line)] == []


def test_build_scripts_that_were_looked_at_belong_to_crates_that_are_used():
    allowed = tomllib.loads((ROOT / "deny.toml").read_text())["bans"]["build"]["allow-build-scripts"]
    used = {package["name"] for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    assert sorted(set(allowed) - used) == []
    assert allowed == sorted(allowed)
