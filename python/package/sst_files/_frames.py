"""Frames of pandas where pyarrow is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._errors import UsageError


def pairs(frame: Any, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of two columns of a frame."""
    names = list(frame.columns)
    if key is None and value is None and len(names) == 2:
        key, value = names
    if key is None or value is None:
        raise UsageError(f"choose a key and a value of the columns {', '.join(map(str, names))}")
    for name in (key, value):
        if name not in names:
            raise UsageError(f"there is no column {name!r} in {', '.join(map(str, names))}")
    # Missing values are None in Arrow, and NaN, NaT or NA here.
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in (key, value)]
    return zip(*(column.tolist() for column in columns), strict=True)
