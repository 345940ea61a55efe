"""A wheel holds everything that `mmd` needs where there is no checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import mmd
from tests.acceptance.processes import clean_environment

pytestmark = pytest.mark.pages

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(**variables), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what is committed or about to be, so that nothing that lies about here gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in tracked("."):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, target, follow_symlinks=False)
    run(
        *(ENVIRONMENT / "uv", "build", "--quiet", "--wheel", "--offline", "--no-build-isolation"),
        *("--python", sys.executable, "-o", folder / "dist", source),
        cwd=folder,
    )
    [made] = (folder / "dist").glob("*.whl")
    return made


def tracked(*below: str) -> list[str]:
    """Files of the repository, new ones included."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *below, cwd=PROJECT)
    return [name for name in listed.split("\0") if name and (PROJECT / name).exists()]


def test_it_holds_every_file_of_the_package_and_the_bundles(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {name for name in tracked("mmd") if name != "mmd/models"} | {f"mmd/{name}" for name in tracked("models")}
    assert len(expected) > 300
    assert expected <= inside
    assert not any(name.startswith(("tests/", "bench/", "deploy/", "build/")) for name in inside)


def test_installed_elsewhere_it_trades_with_its_networks(wheel: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", fresh, cwd=tmp_path)
    python = fresh / "bin" / "python"
    # The versions that the lock file holds are those of this environment; its own way to a checkout is not taken over with them.
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    packages.joinpath("locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(ENVIRONMENT / "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel, cwd=tmp_path)

    assert run(fresh / "bin" / "mmd", "--version", cwd=tmp_path) == f"mmd {mmd.__version__}\n"
    where = run(python, "-c", "import mmd; print(mmd.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(fresh)
    summary = json.loads(run(fresh / "bin" / "mmd", "demo", "--seconds", "5", "--json", cwd=tmp_path))
    assert summary["exit_code"] == 0
    assert summary["stage_us"]["inference"]["n"] > 0
    assert [each.name for each in tmp_path.iterdir()] == ["venv"]


@pytest.mark.system
@pytest.mark.skipif(shutil.which("pipx") is None, reason="pipx is not installed (apt-get install pipx)")
@pytest.mark.timeout(600)
def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "PIPX_MAN_DIR": str(tmp_path / "man")}
    run("pipx", "install", "--python", sys.executable, wheel, cwd=tmp_path, **places)
    program = tmp_path / "bin" / "mmd"
    assert run(program, "--version", cwd=tmp_path) == f"mmd {mmd.__version__}\n"
    summary = json.loads(run(program, "demo", "--seconds", "5", "--json", cwd=tmp_path))
    assert summary["exit_code"] == 0
    assert "quote-v3" in run(program, "models", "list", "--json", cwd=tmp_path)
