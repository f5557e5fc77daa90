"""For asyncio: the calls of the package that may wait, in threads.

>>> import asyncio
>>> from sst_files import aio
>>> async def main():
...     async with await aio.open("fruit.db") as db:
...         return await db.get("apple")
>>> asyncio.run(main())                                                  # doctest: +SKIP
b'red'

`get` and `contains` answer at once what is in memory, in a microsecond. All else is done by a thread,
which takes 50: what has to be read from disk or decompressed, many keys at once, and whatever takes
long. A call that is cancelled is finished by its thread; only its result is lost.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from . import _native
from ._native import ArrowBatch, Db

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _threaded(function: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    @functools.wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.to_thread(function, *args, **kwargs)

    return call


def _method(name: str) -> Any:
    function: Callable[Concatenate[Db, ...], Any] = getattr(Db, name)

    async def call(self: AsyncDb, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, self.db, *args, **kwargs)

    call.__name__ = name
    call.__qualname__ = f"AsyncDb.{name}"
    call.__doc__ = function.__doc__
    return call


class AsyncDb:
    """A `Db` whose methods are awaited. `db` is the set itself."""

    def __init__(self, db: Db) -> None:
        self.db = db

    async def get(self, key: Any, default: Any = None) -> Any:
        """As `Db.get`: at once if the answer is in memory, else by a thread."""
        found = self.db._get_ready(key)
        if found is NotImplemented:
            return await asyncio.to_thread(self.db.get, key, default)
        return default if found is None else found

    async def contains(self, key: Any) -> bool:
        """As `key in db`: at once if the answer is in memory, else by a thread."""
        found = self.db._get_ready(key)
        if found is NotImplemented:
            return await asyncio.to_thread(self.db.__contains__, key)
        return found is not None

    get_all = _method("get_all")
    get_many = _method("get_many")
    get_view = _method("get_view")
    count = _method("__len__")
    refresh = _method("refresh")
    verify = _method("verify")
    certificate = _method("certificate")

    async def items(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """The pairs of key and value, in the order of the hashes of keys."""
        iterator = await asyncio.to_thread(self.db._iter_items)
        while page := await asyncio.to_thread(_page, iterator):
            for pair in page:
                yield pair

    async def scan(self, **kwargs: Any) -> AsyncIterator[ArrowBatch]:
        """The batches of `Db.scan`."""
        scan = await asyncio.to_thread(functools.partial(self.db.scan, **kwargs))
        while (batch := await asyncio.to_thread(next, scan, None)) is not None:
            yield batch

    async def follow(self, interval: float = 1.0) -> AsyncGenerator[int, None]:
        """Refreshes the set every `interval` seconds, and gives the number of each new commit. An
        error of a refresh ends it: catch it, and follow again."""
        while True:
            await asyncio.sleep(interval)
            if await asyncio.to_thread(self.db.refresh):
                yield self.db.commit

    async def close(self) -> None:
        """As `Db.close`."""
        await asyncio.to_thread(self.db.close)

    async def __aenter__(self) -> AsyncDb:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<sst_files.aio.AsyncDb of {self.db!r}>"


def _page(iterator: Any) -> list[tuple[bytes, bytes]]:
    page = []
    for pair in iterator:
        page.append(pair)
        if len(page) == 1024:
            break
    return page


async def open(path: Any, **kwargs: Any) -> AsyncDb:
    """As `sst_files.open`, for asyncio."""
    return AsyncDb(await asyncio.to_thread(_native.open, path, **kwargs))


load = _threaded(_native.load)
merge = _threaded(_native.merge)
compact = _threaded(_native.compact)
gather = _threaded(_native.gather)
rollback = _threaded(_native.rollback)
push = _threaded(_native.push)
pull = _threaded(_native.pull)
verify = _threaded(_native.verify)

__all__ = [
    "AsyncDb",
    "compact",
    "gather",
    "load",
    "merge",
    "open",
    "pull",
    "push",
    "rollback",
    "verify",
]
