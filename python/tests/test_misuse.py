"""Everything with everything: each public callable, with arguments of all kinds, in a child whose end is
looked at. A wrong call raises an exception; none brings the process down, and none hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHILD = Path(__file__).with_name("everything.py")


def test_everything_with_everything(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(CHILD)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    calls, raised, bad = (int(word) for word in ended.stdout.split()[-3:])
    assert calls > 10_000 and raised > calls // 2 and bad == 0, ended.stdout[-4000:]
