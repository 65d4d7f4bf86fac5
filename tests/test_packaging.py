"""The package holds what the repository says it holds: folders, wheel, sdist, version, pins, light imports."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("envs", "agents", "algorithms", "benchmarks")  # top folders that are subpackages of walras
IN_SDIST = {
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    "setup.cfg",
}
WRITTEN_BY_SETUPTOOLS = {"PKG-INFO", "setup.cfg"}
HEAVY = {"torch", "stable_baselines3", "pyspiel", "matplotlib", "ray"}
IMPORT = "import walras"
HELP = """
import runpy, sys
sys.argv = ["walras", "--help"]
try:
    runpy.run_module("walras", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""


def settings() -> configparser.ConfigParser:
    """The parsed setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def project() -> dict[str, object]:
    """The table `project` of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def is_source(path: Path) -> bool:
    """Whether a path is a file that people wrote."""
    return path.is_file() and path.parent.name != "__pycache__" and not path.name.startswith(".")


def package_files() -> dict[str, str]:
    """Each file of the package: its path in the repository -> its path in the wheel."""
    files = {
        f"src/walras/{path.name}": f"walras/{path.name}" for path in (ROOT / "src/walras").iterdir() if is_source(path)
    }
    for part in PARTS:
        for path in filter(is_source, (ROOT / part).rglob("*")):
            relative = path.relative_to(ROOT).as_posix()
            files[relative] = f"walras/{relative}"
    return files


def files_beside() -> set[str]:
    """Tests and documentation, as far as people wrote them."""
    built = ("docs/_build/", "docs/api/", "docs/games.md")
    paths = [path for part in ("tests", "docs") for path in (ROOT / part).rglob("*") if is_source(path)]
    return {name for path in paths if not (name := path.relative_to(ROOT).as_posix()).startswith(built)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that people wrote: a build leaves traces, and reads those of earlier builds."""
    copy = tmp_path_factory.mktemp("sources")
    for name in sorted({*package_files(), *files_beside(), *IN_SDIST}):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    return copy


def build(sources: Path, kind: str, target: Path) -> Path:
    """Build a `wheel` or an `sdist` with the setuptools of this environment and return the file."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=sources, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "absent from the `packages` configuration" not in done.stdout + done.stderr
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(sources, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the sdist, as an installer without wheels would do."""
    folder = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, folder)
    (unpacked,) = folder.iterdir()
    return build(unpacked, "wheel", tmp_path_factory.mktemp("wheel"))


def test_setup_cfg_lists_exactly_the_folders_that_are_packages() -> None:
    listed = settings()["options"]["packages"].split()
    found = {"walras"}
    for part in PARTS:
        inits = [ROOT / part / "__init__.py", *(ROOT / part).rglob("__init__.py")]
        found |= {".".join(("walras", *path.parent.relative_to(ROOT).parts)) for path in inits}
    assert sorted(listed) == sorted(found)


def test_every_folder_with_files_is_a_package() -> None:
    folders = {(ROOT / name).parent for name in package_files()}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_links_for_path_based_tools_agree_with_setup_cfg() -> None:
    mapping = dict(re.split(r"\s*=\s*", line) for line in settings()["options"]["package_dir"].strip().splitlines())
    assert mapping == {"": "src", **{f"walras.{part}": part for part in PARTS}}
    for part in PARTS:
        assert (ROOT / "src/walras" / part).resolve() == ROOT / part


def test_wheel_holds_exactly_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {name.split("/", 1)[1] for name in archive.namelist() if ".dist-info/" in name}
    assert names == set(package_files().values())
    assert metadata == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}


def test_sdist_holds_exactly_the_package_its_tests_its_docs_and_its_papers(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.split("/", 1)[1] for member in archive.getmembers() if member.isfile()}
    written = {name for name in names if name in WRITTEN_BY_SETUPTOOLS or name.startswith("src/walras.egg-info/")}
    assert names - written == (set(package_files()) | files_beside() | IN_SDIST) - WRITTEN_BY_SETUPTOOLS


def test_the_installed_package_is_this_one() -> None:
    installed = importlib.metadata.version("walras")
    assert installed == project()["version"]


def test_version_is_the_newest_of_the_changelog_and_that_of_the_citation() -> None:
    version = project()["version"]
    changelog = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    citation = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert changelog[0] == version
    assert citation == [version]


def test_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project()["license"] == "Apache-2.0"
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text and "END OF TERMS AND CONDITIONS" in text


def test_every_requirement_is_pinned_to_a_version_it_allows() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions: dict[str, str] = {}
    for pin in pins:
        (specifier,) = pin.specifier
        assert specifier.operator == "==" and "+" not in specifier.version, f"not a plain pin: {pin}"
        versions[canonicalize_name(pin.name)] = specifier.version
    table = project()
    extras = table["optional-dependencies"]
    assert isinstance(extras, dict) and isinstance(table["dependencies"], list)
    for text in [*table["dependencies"], *(text for extra in extras.values() for text in extra)]:
        requirement = Requirement(text)
        if requirement.name == "walras":
            assert requirement.extras <= extras.keys()
            continue
        assert canonicalize_name(requirement.name) in versions, f"constraints.txt has no pin for {requirement}"
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, (
            f"the pin does not satisfy {requirement}"
        )
    assert versions["torch"] == "2.13.0"


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import walras", "walras --help"])
def test_nothing_heavy_is_loaded_by(code: str, tmp_path: Path) -> None:
    code += f"\nimport sys\nprint('loaded:', *sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.slow
def test_the_wheel_runs_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from the environment of the tests, by a path file; walras itself from the wheel alone."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv/bin/python"
    install: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        tmp_path / "site",
        wheel,
    ]
    subprocess.run(install, check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    dependencies = Path(pytest.__file__).parents[1]
    (site / "paths.pth").write_text(f"{tmp_path / 'site'}\n{dependencies}\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = subprocess.run(
        [python, "-c", "import walras, walras.benchmarks; print(walras.__file__); print(walras.benchmarks.__file__)"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert where == [str(tmp_path / "site/walras/__init__.py"), str(tmp_path / "site/walras/benchmarks/__init__.py")]
    listing = subprocess.run(
        [python, "-m", "walras", "list", "--json"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "walras/SealedBidAuction-v0" in listing.stdout
