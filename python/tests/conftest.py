"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import sst_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a directory of tables may be made."""
    return tmp_path / "db"


@pytest.fixture
def fruit(path: Path) -> Path:
    """A directory of three entries."""
    sst_files.load(path, {"apple": "red", "pear": "green", "plum": "blue"})
    return path
