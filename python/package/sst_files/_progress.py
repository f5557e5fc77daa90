"""What may be given as `progress=`: a function, a bar of tqdm, or `True`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from ._native import Progress


class _Bar:
    """Moves a bar of tqdm. Each phase starts it anew."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._phase: str | None = None

    def __call__(self, progress: Progress) -> None:
        bar = self._bar
        is_bytes = progress.entries == 0 and progress.bytes > 0
        done = progress.bytes if is_bytes else progress.entries
        total = progress.total_bytes if is_bytes else progress.total_entries
        if progress.phase != self._phase:
            self._phase = progress.phase
            bar.reset()
            bar.set_description(progress.phase)
        if total is not None:
            bar.total = total
        bar.update(max(done - bar.n, 0))


def callback(progress: Any) -> Callable[[Progress], None] | None:
    """The function that is called with each `Progress`; `None` for `False`."""
    if progress is None or progress is False:
        return None
    if progress is True:
        try:
            tqdm = importlib.import_module("tqdm.auto").tqdm
        except ImportError as error:
            raise ImportError("progress=True needs tqdm: pip install tqdm") from error
        return _Bar(tqdm(unit=" entries"))
    if hasattr(progress, "update") and hasattr(progress, "reset"):
        return _Bar(progress)
    if callable(progress):
        function: Callable[[Progress], None] = progress
        return function
    raise TypeError(f"progress: not True, a function or a bar of tqdm: {progress!r}")
