"""A set against a dict, through random histories of commits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import sst_files

# Few keys, so that commits overwrite and delete those of others.
KEYS = st.one_of(
    st.sampled_from([b"", b"a", b"b", b"\0", b"\xff\xff", "é".encode()]),
    st.binary(max_size=3),
    st.binary(min_size=200, max_size=300),
)
VALUES = st.one_of(st.binary(max_size=40), st.integers(0, 9000).map(lambda n: bytes([n % 251]) * n))
RECORDS = st.lists(st.tuples(KEYS, VALUES), max_size=30)
CHANGES = st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=30)


class SetAgainstDict(RuleBasedStateMachine):
    """Each rule commits to the directory and to the model."""

    @initialize(records=RECORDS)
    def begin(self, records: list[tuple[bytes, bytes]]) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.path = Path(self.temporary.name) / "db"
        self.history: list[dict[bytes, bytes]] = [dict(records)]
        sst_files.load(self.path, records, keep_generations=9)
        self.db = sst_files.open(self.path)

    @property
    def model(self) -> dict[bytes, bytes]:
        return self.history[-1]

    def changed(self, model: dict[bytes, bytes]) -> None:
        self.history.append(model)
        assert self.db.refresh()

    @rule(records=RECORDS, blob_threshold=st.sampled_from([None, 10, 1000]))
    def replace(self, records: list[tuple[bytes, bytes]], blob_threshold: int | None) -> None:
        sst_files.load(self.path, iter(records), blob_threshold=blob_threshold, keep_generations=9)
        self.changed(dict(records))

    @rule(records=RECORDS, compression=st.sampled_from(["lz4", "none"]))
    def replace_from_arrow(self, records: list[tuple[bytes, bytes]], compression: Any) -> None:
        columns = [pa.array([record[part] for record in records], pa.binary()) for part in (0, 1)]
        table = pa.table(columns, names=["k", "v"])
        sst_files.load(self.path, table, compression=compression, keep_generations=9)
        self.changed(dict(records))

    @rule(changes=CHANGES, certify=st.booleans())
    def append(self, changes: list[tuple[bytes, bytes | None]], certify: bool) -> None:
        sst_files.load(
            self.path, changes, mode="append", nulls="delete", certify=certify, keep_generations=9
        )
        model = dict(self.model)
        for key, value in changes:
            model.pop(key, None)
            if value is not None:
                model[key] = value
        self.changed(model)

    @rule(records=RECORDS, mode=st.sampled_from(["replace", "append"]))
    def write(self, records: list[tuple[bytes, bytes]], mode: Any) -> None:
        new = dict(records)
        with sst_files.Writer(self.path, mode=mode, keep_generations=9) as writer:
            for key in sorted(new, key=lambda key: (sst_files.key_hash(key), key)):
                writer.add(key, new[key])
        self.changed(new if mode == "replace" else self.model | new)

    @rule()
    def compact(self) -> None:
        if sst_files.compact(self.path, keep_generations=9).commit is not None:
            assert self.db.refresh()

    @rule()
    def roll_back(self) -> None:
        if len(self.history) > 1:
            sst_files.rollback(self.path, keep_generations=9)
            self.changed(self.history[-2])

    @rule(keys=st.lists(KEYS, max_size=20))
    def look_up(self, keys: list[bytes]) -> None:
        expected = [self.model.get(key) for key in keys]
        assert self.db.get_many(keys) == expected
        assert [self.db.get(key) for key in keys] == expected
        assert [key in self.db for key in keys] == [key in self.model for key in keys]
        assert self.db.get_many(keys, to="arrow").to_pylist() == expected
        views = [self.db.get_view(key) for key in keys]
        assert [None if view is None else bytes(view) for view in views] == expected

    @invariant()
    def has_the_same_entries(self) -> None:
        if not hasattr(self, "db"):
            return
        assert len(self.db) == len(self.model)
        assert dict(self.db.items()) == self.model
        table = pa.table(self.db.scan(batch_rows=7))
        assert dict(zip(*table.to_pydict().values(), strict=True)) == self.model

    def teardown(self) -> None:
        if hasattr(self, "db"):
            assert sst_files.verify(self.path).is_intact
            self.db.close()
            self.temporary.cleanup()


TestSetAgainstDict = SetAgainstDict.TestCase
TestSetAgainstDict.settings = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
