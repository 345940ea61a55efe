"""Which core runs is decided by the hashes of the sources: a build that is not of exactly these is passed over whole."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmd.compiled import MANIFEST, MODULES, PACKAGE, TAG, source_hash
from tests.acceptance.processes import clean_environment

NAMES = ("mmd/market/book.py", "mmd/market/steps.py", "mmd/types/market.py")
SAY = "import mmd, sys; print(mmd.CORE.name, mmd.CORE.stale, mmd.CORE.detail, len(sys.meta_path), sep=chr(10))"


def in_a_fresh_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(**environment), capture_output=True, text=True, timeout=60, check=False
    )


def core(folder: Path, choice: str = "auto") -> tuple[str, str, str, int]:
    done = in_a_fresh_process(SAY, MMD_CORE=choice, MMD_CORE_DIR=str(folder))
    assert done.returncode == 0, done.stderr
    name, stale, detail, finders = done.stdout.splitlines()
    return name, stale, detail, int(finders)


def a_build(folder: Path, *, changed: str = "", gone: str = "") -> None:
    """A manifest of the sources as they stand, but for one that was another when it was built."""
    sources = {name: source_hash((PACKAGE.parent / name).read_bytes()) for name in NAMES}
    if changed:
        sources[changed] = source_hash(b"what it was before")
    if gone:
        sources[gone] = source_hash(b"there is no such file any more")
    place = folder / TAG
    place.mkdir(parents=True)
    (place / MANIFEST).write_text(json.dumps({"modules": ["mmd.market.book"], "sources": sources}))


def test_without_a_build_the_sources_run(tmp_path: Path) -> None:
    name, stale, detail, _ = core(tmp_path)
    assert (name, stale) == ("pure", "False")
    assert str(tmp_path) in detail


def test_a_build_of_these_very_sources_is_used(tmp_path: Path) -> None:
    without = core(tmp_path)[3]
    a_build(tmp_path)
    assert core(tmp_path) == ("compiled", "False", str(tmp_path / TAG), without + 1)


@pytest.mark.parametrize("changed", NAMES)
def test_one_changed_source_and_none_of_the_build_is_used(tmp_path: Path, changed: str) -> None:
    without = core(tmp_path)[3]
    a_build(tmp_path, changed=changed)
    name, stale, detail, finders = core(tmp_path)
    assert (name, stale, finders) == ("pure", "True", without)
    assert changed in detail


def test_a_source_that_is_gone_makes_it_stale_too(tmp_path: Path) -> None:
    a_build(tmp_path, gone="mmd/market/gone.py")
    assert core(tmp_path)[:2] == ("pure", "True")


def test_pure_is_pure_whatever_was_built(tmp_path: Path) -> None:
    a_build(tmp_path)
    assert core(tmp_path, "pure")[0] == "pure"


def test_who_insists_on_the_compiled_core_gets_it_or_an_error(tmp_path: Path) -> None:
    refused = in_a_fresh_process(SAY, MMD_CORE="compiled", MMD_CORE_DIR=str(tmp_path))
    assert refused.returncode != 0
    assert "make compile" in refused.stderr
    a_build(tmp_path)
    assert core(tmp_path, "compiled")[0] == "compiled"
    again = tmp_path / "again"
    a_build(again, changed=NAMES[0])
    assert "stale" in in_a_fresh_process(SAY, MMD_CORE="compiled", MMD_CORE_DIR=str(again)).stderr


def test_a_choice_that_is_none_is_refused() -> None:
    done = in_a_fresh_process(SAY, MMD_CORE="fast")
    assert done.returncode != 0
    assert "auto, pure, compiled" in done.stderr


def test_the_doctor_tells_of_a_stale_build(tmp_path: Path) -> None:
    a_build(tmp_path, changed=NAMES[0])
    code = "import mmd; from mmd.daemon.doctor import _core; print(_core(mmd.CORE))"
    said = in_a_fresh_process(code, MMD_CORE_DIR=str(tmp_path)).stdout
    assert "status='warn'" in said
    assert "make compile" in said


@pytest.mark.parametrize("name", MODULES)
def test_what_is_compiled_defines_nothing_whose_making_compiling_loses(name: str) -> None:
    """A struct would lose its options, a model its fields, silently: they belong into a module of their own."""
    tree = ast.parse(PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py").read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
            assert not bases & {"Struct", "BaseModel", "NamedTuple", "Generic"}, node.name
            assert not node.keywords, node.name
    assert list(MODULES) == sorted(MODULES)
