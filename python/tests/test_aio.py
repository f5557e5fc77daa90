"""The variants for asyncio."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import sst_files
from sst_files import aio


def test_everything_is_awaited(path: Path) -> None:
    async def work() -> None:
        report = await aio.load(path, {str(number): number for number in range(3000)})
        assert report.entries == 3000
        async with await aio.open(path) as db:
            assert await db.get("7") == b"7" and await db.get("x", b"-") == b"-"
            assert await db.get_many([1, "x"]) == [b"1", None]
            assert await db.contains("7") and await db.count() == 3000
            assert (await db.get_view("7")) == b"7" and await db.get_all("7") == [b"7"]
            assert len([pair async for pair in db.items()]) == 3000
            assert sum([len(batch) async for batch in db.scan(batch_rows=700)]) == 3000
            values = await asyncio.gather(*(db.get(number) for number in range(100)))
            assert values == [str(number).encode() for number in range(100)]
            assert (await db.verify()).is_intact and await db.certificate() is None
            following = asyncio.create_task(anext(db.follow(0.01)))
            await aio.load(path, {"a": "1"}, mode="append")
            assert await asyncio.wait_for(following, 30) == db.db.commit
            assert await db.get("a") == b"1" and not await db.refresh()
        with pytest.raises(sst_files.ClosedError):
            await db.get("a")
        with pytest.raises(FileNotFoundError):
            await aio.open(path / "none")
        assert (await aio.compact(path)).commit is not None
        assert (await aio.verify(path)).is_intact

    asyncio.run(work())
