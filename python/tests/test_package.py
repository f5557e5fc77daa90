"""The package: its stubs, its command, its documentation."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import sst_files
from sst_files import _errors, _native

ROOT = Path(__file__).parents[1]


def test_stubs_are_those_of_the_module() -> None:
    """Names, parameters and defaults: mypy's `stubtest` compares them with what can be inspected."""
    # Spark is no requirement of the package, nor of these tests.
    allowed = ROOT / "tests" / "stubtest-allowed.txt"
    command = [sys.executable, "-m", "mypy.stubtest", "sst_files", f"--allowlist={allowed}"]
    command += ["--mypy-config-file=pyproject.toml", "--ignore-unused-allowlist"]
    command += ["--ignore-disjoint-bases"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    if "unrecognized arguments" in ended.stderr:
        ended = subprocess.run(command[:-1], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_stubs_and_tests_are_typed() -> None:
    for checked in (["-p", "sst_files"], ["tests", "--exclude", "test_spark"]):
        command = [sys.executable, "-m", "mypy", "--strict", *checked]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    package = Path(sst_files.__file__).parent
    assert (package / "py.typed").exists() and (package / "_native.pyi").exists()


def test_everything_public_is_documented() -> None:
    for name in sst_files.__all__:
        value = getattr(sst_files, name)
        assert inspect.getdoc(value), name
        if inspect.isclass(value) and value.__module__ == "sst_files":
            for attribute, member in vars(value).items():
                if not attribute.startswith("_"):
                    assert inspect.getdoc(member), f"{name}.{attribute}"


def test_errors_are_a_hierarchy_with_cousins() -> None:
    cousins = {
        "FileError": OSError,
        "NotFoundError": FileNotFoundError,
        "PermissionDeniedError": PermissionError,
        "CorruptionError": ValueError,
        "LockedError": OSError,
        "MissingKeyError": KeyError,
        "WrongShardError": LookupError,
        "UsageError": ValueError,
        "OutOfMemoryError": MemoryError,
    }
    for name in _errors.__all__:
        error = getattr(_errors, name)
        assert issubclass(error, sst_files.SstError) and error is getattr(sst_files, name)
    for name, cousin in cousins.items():
        assert issubclass(getattr(sst_files, name), cousin), name


def test_errors_of_requests_show_their_text() -> None:
    error = sst_files.RemoteError("refused")
    error.filename = "s3://bucket/object"
    assert str(error) == "refused"


def test_the_version_is_one() -> None:
    assert sst_files.__version__ == "0.1.0"
    version = subprocess.run(
        [sys.executable, "-m", "sst_files", "--version"], capture_output=True, text=True
    )
    assert version.stdout == f"sst {sst_files.__version__}\n" and version.returncode == 0


def test_the_command(fruit: Path) -> None:
    sst = Path(sysconfig.get_path("scripts")) / "sst"

    def run(*arguments: str | Path) -> tuple[int, str]:
        ended = subprocess.run([sst, *arguments], capture_output=True, text=True)
        return ended.returncode, ended.stdout

    assert run("get", fruit, "apple") == (0, "apple\tred\n")
    assert run("get", fruit, "fig")[0] == 1
    assert run("get", fruit / "none", "fig")[0] == 3
    assert run("verify", fruit, "--quiet") == (0, "")
    assert _native.run(["sst", "verify", str(fruit), "--quiet"]) == 0


def test_fronts_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block of Python in the README is run as it stands."""
    pytest.importorskip("pandas")
    text = (ROOT / "README.md").read_text()
    block = text.split("```python\n", 1)[1].split("```", 1)[0]
    assert len(block.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    exec(block, {})


def test_errors_of_the_crates_have_exceptions_of_their_own() -> None:
    """Only what cannot happen is an InternalError."""
    internal = {"Internal", "HandleLost", "HandlesOpen", "Failed"}
    source = (ROOT / "src" / "errors.rs").read_text()
    public = "".join(path.read_text() for path in (ROOT.parent / "docs" / "api").glob("*.txt"))
    kinds = {"StoreError", "PublishError", "ReadError", "MergeError", "BulkError", "WriteError"}
    found = re.findall(r"^pub [a-z_:]+::([A-Za-z]+)::([A-Z][A-Za-z]*)\b(?!::)", public, re.MULTILINE)
    variants = {(kind, name) for kind, name in found if kind in kinds and name not in internal}
    assert {kind for kind, _ in variants} == kinds
    missing = {f"{kind}::{name}" for kind, name in variants} - set(
        re.findall(r"\b[A-Z][A-Za-z]*Error::[A-Z][A-Za-z]*", source)
    )
    assert not missing


def test_the_page_on_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its section on Python is run as it stands."""
    text = (ROOT.parent / "docs" / "OPERATIONS.md").read_text()
    section = text.split("## From Python\n", 1)[1]
    monkeypatch.chdir(tmp_path)
    exec(section.split("```py\n", 1)[1].split("```", 1)[0], {})
