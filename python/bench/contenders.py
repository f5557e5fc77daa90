"""The stores that are compared, behind one interface."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Pairs = Sequence[tuple[bytes, bytes]]


class Contender:
    """A store: loaded from sorted pairs, then looked up."""

    name = ""

    def __init__(self, directory: Path) -> None:
        self.path = directory / self.name

    def clear(self) -> None:
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            self.path.unlink()

    def load(self, pairs: Pairs) -> None:
        raise NotImplementedError

    def open(self) -> Callable[[bytes], bytes | None]:
        """The function that looks one key up."""
        raise NotImplementedError

    def get_many(self, keys: list[bytes]) -> Any:
        get = self.get
        return [get(key) for key in keys]

    def items(self) -> Iterable[Any]:
        raise NotImplementedError

    def close(self) -> None:
        pass

    get: Callable[[bytes], bytes | None]


class Dict(Contender):
    name = "dict"

    def load(self, pairs: Pairs) -> None:
        # Copies, as every other contender makes them: a dict of the objects of the input would share
        # their memory and find each key already in the cache.
        self.data = {bytes(bytearray(key)): bytes(bytearray(value)) for key, value in pairs}

    def open(self) -> Callable[[bytes], bytes | None]:
        return self.data.get

    def items(self) -> Iterable[Any]:
        return self.data.items()


class Sst(Contender):
    name = "sst"

    def load(self, pairs: Any) -> None:
        import sst_files

        sst_files.load(self.path, pairs)

    def open(self) -> Callable[[bytes], bytes | None]:
        import sst_files

        self.db = sst_files.open(self.path)
        return self.db.get

    def get_many(self, keys: list[bytes]) -> Any:
        return self.db.get_many(keys)

    def items(self) -> Iterable[Any]:
        return self.db.items()

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()


class SstRaw(Sst):
    """Without compression: what suits data that fits into memory."""

    name = "sst, raw"

    def load(self, pairs: Any) -> None:
        import sst_files

        sst_files.load(self.path, pairs, compression="none")


class Lmdb(Contender):
    name = "lmdb"

    def load(self, pairs: Pairs) -> None:
        import lmdb

        with lmdb.open(str(self.path), map_size=1 << 32) as environment:
            with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                cursor.putmulti(pairs, append=True)

    def open(self) -> Callable[[bytes], bytes | None]:
        import lmdb

        self.environment = lmdb.open(str(self.path), map_size=1 << 32, readonly=True)
        self.transaction = self.environment.begin()
        return self.transaction.get

    def get_many(self, keys: list[bytes]) -> Any:
        with self.transaction.cursor() as cursor:
            return cursor.getmulti(keys)

    def items(self) -> Iterable[Any]:
        return self.transaction.cursor().iternext()

    def close(self) -> None:
        if hasattr(self, "transaction"):
            self.transaction.abort()
            self.environment.close()


class RocksDict(Contender):
    name = "rocksdict"

    def load(self, pairs: Pairs) -> None:
        from rocksdict import Options, Rdict, WriteBatch

        db = Rdict(str(self.path), Options(raw_mode=True))
        for start in range(0, len(pairs), 10_000):
            batch = WriteBatch(raw_mode=True)
            for key, value in pairs[start : start + 10_000]:
                batch.put(key, value)
            db.write(batch)
        db.flush()
        db.compact_range(None, None)
        db.close()

    def open(self) -> Callable[[bytes], bytes | None]:
        from rocksdict import AccessType, Options, Rdict

        self.db = Rdict(str(self.path), Options(raw_mode=True), access_type=AccessType.read_only())
        return self.db.get

    def get_many(self, keys: list[bytes]) -> Any:
        return self.db.get(keys)

    def items(self) -> Iterable[Any]:
        return self.db.items()

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()


class Plyvel(Contender):
    name = "plyvel"

    def load(self, pairs: Pairs) -> None:
        import plyvel

        db = plyvel.DB(str(self.path), create_if_missing=True, bloom_filter_bits=10)
        for start in range(0, len(pairs), 10_000):
            with db.write_batch() as batch:
                for key, value in pairs[start : start + 10_000]:
                    batch.put(key, value)
        db.compact_range()
        db.close()

    def open(self) -> Callable[[bytes], bytes | None]:
        import plyvel

        self.db = plyvel.DB(str(self.path), bloom_filter_bits=10, lru_cache_size=1 << 28)
        return self.db.get

    def items(self) -> Iterable[Any]:
        return self.db.iterator()

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()


class Cdbx(Contender):
    name = "cdbx"

    def load(self, pairs: Pairs) -> None:
        import cdbx

        with open(self.path, "w+b") as file:
            maker = cdbx.CDB.make(file)
            for key, value in pairs:
                maker.add(key, value)
            maker.commit().close()

    def open(self) -> Callable[[bytes], bytes | None]:
        import cdbx

        self.db = cdbx.CDB(str(self.path), mmap=True)
        return self.db.get

    def items(self) -> Iterable[Any]:
        return self.db.items()

    def close(self) -> None:
        if hasattr(self, "db"):
            self.db.close()


ALL: list[type[Contender]] = [Dict, Sst, SstRaw, Lmdb, RocksDict, Plyvel, Cdbx]
