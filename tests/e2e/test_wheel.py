"""The wheel: what is in it, and that it works where neither the clone nor its folder is at hand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
PACKAGES = ("adapter", "mappings", "schemas")
DATA = {".csv", ".toml", ".xsl", ".html", ".json", ".md", ".xml", ".yml"}

pytestmark = pytest.mark.long


def run(*command: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is versioned or new, so that the clone stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=REPO)
    if listed.returncode:
        pytest.skip("not a git clone, so it is not known which files are the source")
    source = folder / "source"
    for name in filter(None, listed.stdout.split("\0")):
        if (REPO / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((REPO / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "dist", source]
    if setuptools_version() >= needed_setuptools():
        command.insert(4, "--no-build-isolation")
    done = run(*command, cwd=folder)
    if done.returncode and re.search(r"No matching distribution found for setuptools|No module named pip", done.stderr):
        pytest.skip("no setuptools new enough here, and no registry to get it from")
    assert done.returncode == 0, done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


def setuptools_version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return int(version("setuptools").split(".")[0])
    except PackageNotFoundError:
        return 0


def needed_setuptools() -> int:
    found = re.search(r'"setuptools>=(\d+)"', (REPO / "pyproject.toml").read_text("utf-8"))
    assert found
    return int(found[1])


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    names = {n for n in zipfile.ZipFile(wheel).namelist() if not n.endswith("/")}
    inside = {n for n in names if ".dist-info/" not in n}
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *PACKAGES, cwd=REPO)
    source = {n for n in listed.stdout.split("\0") if n and (REPO / n).is_file()}
    wanted = {n for n in source if Path(n).suffix in DATA | {".py"} or Path(n).name == "py.typed"}
    assert sorted(source - wanted) == []  # a new kind of file: decide whether it ships
    assert sorted(wanted - inside) == []
    assert sorted(inside - wanted) == []
    assert "adapter/py.typed" in inside
    assert any(n.endswith("licenses/LICENSE") for n in names)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An empty environment with the wheel in it, and this one's packages. Returns its bin and the variables to set."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    site = next((folder / "lib").glob("python*/site-packages"))
    done = run(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps",
               "--no-index", wheel, cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    import numpy

    # behind the environment's own packages; a path on PYTHONPATH reads no .pth file, so no editable clone comes in
    return folder / "bin", {"PYTHONPATH": f"{site}:{Path(numpy.__file__).parents[1]}"}


def test_the_installed_command_works_from_the_root_folder(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    binaries, env = installed
    command, root = binaries / "fhir2cdisc", Path("/")
    where = run(
        binaries / "python", "-c", "import adapter, mappings, schemas; print(adapter.__file__)", cwd=root, **env
    )
    assert str(binaries.parent) in where.stdout, where.stderr
    demo, out = tmp_path / "demo", tmp_path / "out"
    made = run(command, "demo", "--subjects", "10", "--out", demo, cwd=root, **env)
    assert made.returncode == 0, made.stderr
    arguments = ("--enrolment", demo / "enrolment.csv", "--workers", "2", "--out", out)
    built = run(command, "build", demo / "fhir", *arguments, cwd=root, **env)
    assert built.returncode == 3, built.stderr  # the demo has faults planted in it
    assert "Traceback" not in built.stderr
    assert (out / "sdtm" / "define.xml").is_file()
    assert (out / "sdtm" / "define2-1.xsl").is_file()
    for name in ("domains", "trials", "doctor"):
        done = run(command, name, cwd=root, **env)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_the_installed_and_the_cloned_program_make_the_same_datasets(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    binaries, env = installed
    run(binaries / "fhir2cdisc", "demo", "--subjects", "10", "--out", tmp_path / "demo", cwd=Path("/"), **env)
    common = (tmp_path / "demo" / "fhir", "--enrolment", tmp_path / "demo" / "enrolment.csv", "--workers", "1", "--out")
    run(binaries / "fhir2cdisc", "build", *common, tmp_path / "a", cwd=Path("/"), **env)
    run(sys.executable, REPO / "cli.py", "build", *common, tmp_path / "b", cwd=Path("/"))
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / n / "sdtm").iterdir()} for n in "ab")
    assert a
    assert a == b
