"""Frames and series of pandas, whose index is a column too, and frames that have no rows yet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from ._errors import UsageError


def of_pandas(data: Any, key: Any, value: Any) -> Any:
    """The two chosen columns of a frame or a series of pandas as a frame; `None` of all else.

    The index is a column that is chosen by its name, and the key of a series and of a frame with one
    column. Otherwise it is left out: pandas would hand it over behind the columns.
    """
    if hasattr(data, "collect_schema") and not hasattr(data, "__arrow_c_stream__"):
        raise TypeError("a lazy frame has no rows yet: give what its collect() returns")
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(data, pandas.DataFrame | pandas.Series):
        return None
    is_series = isinstance(data, pandas.Series)
    frame = data.to_frame("value" if data.name is None else data.name) if is_series else data
    names = list(frame.columns)
    if key is None and value is None and len(names) == 1 and frame.index.nlevels == 1:
        is_counted = isinstance(frame.index, pandas.RangeIndex) and frame.index.name is None
        if is_series or not is_counted:
            chosen = (frame.index.to_series(), frame.iloc[:, 0])
            return _frame(pandas, *chosen)
    if len(names) == 2:
        # One name chooses the other.
        if key is None and value is None:
            key, value = names
        elif key is None and (place := _place(names, value)) is not None:
            key = names[1 - place]
        elif value is None and (place := _place(names, key)) is not None:
            value = names[1 - place]
    shown = ", ".join(map(str, [*names, *(name for name in frame.index.names if name is not None)]))
    if key is None or value is None:
        raise UsageError(f"choose a key and a value of the columns {shown}")
    columns = []
    for name in (key, value):
        place = _place(names, name)
        if place is not None:
            columns.append(frame.iloc[:, place])
        elif name in frame.index.names:
            columns.append(frame.index.get_level_values(name).to_series())
        else:
            raise UsageError(f"there is no column {name!r} in {shown}")
    return _frame(pandas, *columns)


def _place(names: list[Any], chosen: Any) -> int | None:
    """The place of a column with a name or a number; `None` if there is none."""
    if chosen in names:
        return names.index(chosen)
    is_number = isinstance(chosen, int) and not isinstance(chosen, bool)
    return chosen if is_number and 0 <= chosen < len(names) else None


def _frame(pandas: Any, key: Any, value: Any) -> Any:
    columns = {"key": key.reset_index(drop=True), "value": value.reset_index(drop=True)}
    return pandas.DataFrame(columns, copy=False)


def pairs(frame: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of a frame of two columns, as objects of Python: without pyarrow, and of columns
    with objects of several types."""
    # Missing values are None in Arrow, and NaN, NaT or NA here.
    names = ("key", "value")
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in names]
    return zip(*(column.tolist() for column in columns), strict=True)
