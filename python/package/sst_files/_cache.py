"""Where pulled buckets are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def directory() -> Path:
    """`$SST_CACHE_DIR`, or the directory `sst-files` of the user's caches."""
    if chosen := os.environ.get("SST_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        parent = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = str(Path.home() / "Library" / "Caches")
    else:
        parent = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(parent) / "sst-files"
