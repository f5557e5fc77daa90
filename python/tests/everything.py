"""The child of `test_misuse.py`: calls everything with everything, and counts. Prints each exception that
is of no allowed kind, then the numbers of calls, of exceptions, and of those of no allowed kind."""

from __future__ import annotations

import contextlib
import inspect
import io
import itertools
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

import sst_files
from sst_files import aio

#: What a wrong call may raise. `RuntimeError` and `LookupError` stand for those of iterators and tuples.
ALLOWED = (
    sst_files.SstError,
    TypeError,
    ValueError,
    OverflowError,
    AttributeError,
    LookupError,
    OSError,
    StopIteration,
    BufferError,
    RecursionError,
    ZeroDivisionError,
    # `progress=True` without tqdm.
    ImportError,
)


class Hostile:
    """Fails in every way that Python asks it for."""

    def __iter__(self) -> Iterator[Any]:
        raise ZeroDivisionError

    def __index__(self) -> int:
        raise ZeroDivisionError

    def __fspath__(self) -> str:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError

    def __getitem__(self, key: Any) -> Any:
        raise ZeroDivisionError

    def __call__(self, *args: Any) -> Any:
        raise ZeroDivisionError

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise ZeroDivisionError

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        raise ZeroDivisionError

    @property
    def dtype(self) -> Any:
        raise ZeroDivisionError


def things() -> list[Any]:
    """One of each kind, made anew."""
    sst_files.load("a.db", {"apple": "red", "pear": "green"})
    db = sst_files.open("a.db")
    closed = sst_files.open("a.db")
    closed.close()
    used = db.scan()
    pa.table(used)
    recursive: list[Any] = []
    recursive.append(recursive)
    return [
        None,
        True,
        0,
        -1,
        3,
        2**31,
        2**64,
        -(2**70),
        1.5,
        float("nan"),
        float("inf"),
        "",
        "apple",
        "a.db",
        "no.db",
        "\0",
        "\ud800",
        "s3://",
        "file:///\0",
        "newest",
        "append",
        "arrow",
        b"",
        b"apple",
        b"\xff" * 70_000,
        bytearray(b"apple"),
        memoryview(b"apple")[::2],
        memoryview(b""),
        [],
        [None],
        ["apple", 7, b"x"],
        [("a", "b")],
        [("a",)],
        recursive,
        (),
        (0, 3),
        (3, 0),
        (1, 2, 3),
        {},
        {"a": "b"},
        {1: None},
        {1, 2},
        range(3),
        iter([1, 2]),
        (number for number in ("a", 1)),
        object(),
        Hostile(),
        Hostile,
        len,
        print,
        lambda *args: args[7],
        ValueError("x"),
        io.BytesIO(b"x"),
        np.array([1, 2]),
        np.array([b"apple"]),
        np.array(["apple"]),
        np.zeros((2, 2)),
        np.array([(1, 2)], dtype="i4,i4"),
        np.array(7),
        np.array([], dtype="V0"),
        np.datetime64("2020"),
        pa.array(["apple", None]),
        pa.array([1.5]),
        pa.array([[1]]),
        pa.table({"k": ["a"], "v": ["b"]}),
        pa.table({}),
        pa.schema({"k": pa.string()}),
        pa.array(["a"]).__arrow_c_array__(),
        pa.table({"k": ["a"]}).__arrow_c_stream__(),
        db,
        closed,
        db.scan(),
        used,
        iter(db),
        db.items(),
        db.get_view("apple"),
        db.get_many(["apple"], to="arrow"),
        next(db.scan()),
        db.statistics(),
        db.verify(),
        sst_files.diff("a.db", "a.db"),
        sst_files.Db,
        sst_files,
        sys,
        os.path,
    ]


def callables() -> list[tuple[str, Callable[..., Any]]]:
    """All that can be called."""
    found: list[tuple[str, Callable[..., Any]]] = []
    for name in sst_files.__all__:
        value = getattr(sst_files, name)
        found.append((name, value))
        if inspect.isclass(value) and not issubclass(value, Exception):
            for attribute in dir(value):
                if callable(getattr(value, attribute)) and attribute not in SKIPPED:
                    found.append((f"{name}.{attribute}", getattr(value, attribute)))
    found += [(f"aio.{name}", getattr(aio, name)) for name in aio.__all__]
    return found


#: Methods of `object` that are not ours, and those that wait on purpose.
SKIPPED = {"__class__", "__init_subclass__", "__subclasshook__", "__new__", "__getstate__", "mro"}


def methods(things: list[Any]) -> list[tuple[str, Callable[..., Any]]]:
    """The bound methods of the objects of this package."""
    found = []
    for thing in things:
        if type(thing).__module__.startswith("sst_files"):
            for name in dir(thing):
                if name in SKIPPED or name in ("__setattr__", "__delattr__"):
                    continue
                with contextlib.suppress(*ALLOWED):
                    value = getattr(thing, name)
                    if callable(value):
                        found.append((f"<{type(thing).__name__}>.{name}", value))
    return found


def keywords(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [it.name for it in parameters if it.kind is it.KEYWORD_ONLY]


class Counts:
    """How calls have ended."""

    def __init__(self) -> None:
        self.calls = self.raised = self.bad = 0

    def call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.calls += 1
        try:
            result = function(*args, **kwargs)
            if inspect.iscoroutine(result):
                result.close()
            elif isinstance(result, sst_files.Follower):
                result.stop()
        except ALLOWED as error:
            self.raised += 1
            if isinstance(error, sst_files.InternalError):
                self.bad += 1
                print(f"{name}{args!r:.200} {kwargs!r:.200}: {error!r:.300}")
        except BaseException as error:
            self.raised += 1
            self.bad += 1
            print(f"{name}{args!r:.200} {kwargs!r:.200}: {error!r:.300}")


def main() -> None:
    os.environ["SST_CACHE_DIR"] = os.path.abspath("cache")
    random.seed(1)
    counts = Counts()
    made = things()
    functions = callables() + methods(made)
    for name, function in functions:
        counts.call(name, function)
        for thing in made:
            counts.call(name, function, thing)
    made = things()
    functions = callables() + methods(made)
    pairs = list(itertools.product(made, repeat=2))
    for name, function in functions:
        for pair in random.sample(pairs, 60):
            counts.call(name, function, *pair)
        for keyword in keywords(function):
            for thing in random.sample(made, 12):
                counts.call(name, function, "a.db", {"a": "b"}, **{keyword: thing})
                counts.call(name, function, "apple", **{keyword: thing})
    # What is left is whole.
    sst_files.load("a.db", {"apple": "red"})
    assert sst_files.open("a.db")["apple"] == b"red"
    print(counts.calls, counts.raised, counts.bad)


if __name__ == "__main__":
    main()
