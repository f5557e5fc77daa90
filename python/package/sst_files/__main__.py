"""The command `sst`, also as `python -m sst_files`."""

from __future__ import annotations

import sys

from ._native import run


def main() -> int:
    """Runs `sst` with the arguments of the process, and returns its exit code."""
    sys.stdout.flush()
    return run(["sst", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
