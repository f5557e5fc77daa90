"""The extension module. `sst_files` exports what is public; `tests/test_stubs.py` compares this file
with the module."""

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from os import PathLike
from pathlib import Path
from types import NotImplementedType, TracebackType
from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, TypedDict, TypeVar, final, overload

from ._follower import Follower

__all__ = [
    "ArrowArray",
    "ArrowBatch",
    "Progress",
    "Db",
    "open",
    "Difference",
    "Differences",
    "diff",
    "_after_fork",
    "LoadReport",
    "load",
    "MirrorReport",
    "pull",
    "push",
    "CommitReport",
    "certificate",
    "compact",
    "gather",
    "gc",
    "inspect",
    "key_hash",
    "key_shard",
    "log",
    "merge",
    "rollback",
    "run",
    "verify",
    "spark_begin_job",
    "spark_commit",
    "spark_end_job",
    "spark_newest",
    "spark_outline",
    "spark_key_hashes",
    "spark_range_digest",
    "SparkBatches",
    "spark_lookup",
    "spark_scan",
    "SparkTaskReport",
    "spark_write_task",
    "Certificate",
    "Statistics",
    "VerifyReport",
    "Scan",
    "WriteReport",
    "Writer",
]

_T = TypeVar("_T")

_Path: TypeAlias = str | PathLike[str]
_Bytes: TypeAlias = bytes | bytearray | memoryview | str | int | SupportsIndex
_Duplicates: TypeAlias = Literal["newest", "keep", "error"]
_Mode: TypeAlias = Literal["replace", "append"]
_Compression: TypeAlias = Literal["lz4", "none"]

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: Any = None) -> Any: ...

class _NumpyArray(Protocol):
    @property
    def dtype(self) -> Any: ...
    def tolist(self) -> Any: ...

_Progress: TypeAlias = Callable[["Progress"], object] | bool | Any | None

class _TableFacts(TypedDict):
    sequence: int
    family: int
    entries: int | None
    bytes: int
    blocks: int
    min_hash: int
    max_hash: int
    filter_bytes: int

class _CommitFacts(TypedDict):
    path: str
    commit: int
    kind: str | None
    is_protected: bool
    shard: tuple[int, int] | None
    families: list[int]
    meta_files: list[int]
    certificates: list[Certificate]
    tables: list[_TableFacts]

class _LogEntry(TypedDict):
    commit: int
    kind: str | None
    is_current: bool
    is_complete: bool
    time: float | None
    tables: int
    entries: int
    bytes: int

@final
class ArrowArray:
    def __len__(self) -> int: ...
    @property
    def null_count(self) -> int: ...
    @property
    def type(self) -> str: ...
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def to_pylist(self) -> list[bytes | None] | list[str | None]: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

@final
class ArrowBatch:
    def __len__(self) -> int: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def keys(self) -> ArrowArray: ...
    @property
    def values(self) -> ArrowArray: ...
    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]: ...

@final
class Progress:
    @property
    def phase(self) -> str: ...
    @property
    def entries(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def total_entries(self) -> int | None: ...
    @property
    def total_bytes(self) -> int | None: ...

@final
class Certificate:
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @property
    def family(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def digest(self) -> str: ...

@final
class VerifyReport:
    @property
    def tables(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def blobs(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def certificates(self) -> int: ...
    @property
    def damage(self) -> list[Exception]: ...
    @property
    def is_intact(self) -> bool: ...
    def raise_for_damage(self) -> None: ...

@final
class Statistics:
    @property
    def lookups(self) -> int: ...
    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def tombstones(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def filter_skips(self) -> int: ...
    @property
    def tables_asked(self) -> int: ...
    @property
    def false_positives(self) -> int: ...
    @property
    def tables_opened(self) -> int: ...
    @property
    def tables_closed(self) -> int: ...
    @property
    def cache_blocks_loaded(self) -> int: ...
    @property
    def cache_used(self) -> int: ...
    @property
    def cache_capacity(self) -> int: ...

@final
class LoadReport:
    @property
    def commit(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def tombstones(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def tables(self) -> int: ...
    @property
    def blobs(self) -> int: ...
    @property
    def file_bytes(self) -> int: ...
    @property
    def spilled_bytes(self) -> int: ...
    @property
    def certificate(self) -> Certificate | None: ...

@final
class WriteReport:
    @property
    def commit(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def tables(self) -> int: ...
    @property
    def certificate(self) -> Certificate | None: ...

@final
class CommitReport:
    @property
    def commit(self) -> int | None: ...
    @property
    def entries(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def dropped_tombstones(self) -> int: ...
    @property
    def tables(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def certificate(self) -> Certificate | None: ...

@final
class MirrorReport:
    @property
    def commit(self) -> int: ...
    @property
    def changed(self) -> bool: ...
    @property
    def copied_files(self) -> int: ...
    @property
    def copied_bytes(self) -> int: ...
    @property
    def kept_files(self) -> int: ...

@final
class Difference:
    @property
    def change(self) -> Literal["added", "removed", "changed"]: ...
    @property
    def key(self) -> bytes: ...
    @property
    def old(self) -> bytes | None: ...
    @property
    def new(self) -> bytes | None: ...

@final
class Differences:
    def __iter__(self) -> Iterator[Difference]: ...
    def __next__(self) -> Difference: ...
    @property
    def counts(self) -> dict[str, int]: ...

@final
class Scan:
    def __iter__(self) -> Iterator[ArrowBatch]: ...
    def __next__(self) -> ArrowBatch: ...
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...

@final
class Db(Mapping[Any, bytes]):
    def __getitem__(self, key: _Bytes, /) -> bytes: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def keys(self) -> KeysView[bytes]: ...
    def values(self) -> ValuesView[bytes]: ...
    def items(self) -> ItemsView[bytes, bytes]: ...
    @overload
    def get(self, key: _Bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: _Bytes, default: _T) -> bytes | _T: ...
    def get_all(self, key: _Bytes) -> list[bytes]: ...
    def get_view(self, key: _Bytes) -> memoryview | None: ...
    @overload
    def get_many(
        self,
        keys: Iterable[_Bytes] | _ArrowArray | _ArrowStream | _NumpyArray,
        *,
        to: Literal["list"] = "list",
        text: bool = False,
    ) -> list[bytes | None]: ...
    @overload
    def get_many(
        self,
        keys: Iterable[_Bytes] | _ArrowArray | _ArrowStream | _NumpyArray,
        *,
        to: Literal["arrow"],
        text: bool = False,
    ) -> ArrowArray: ...
    def _iter_values(self) -> Iterator[bytes]: ...
    def _get_ready(self, key: _Bytes) -> bytes | NotImplementedType | None: ...
    def _iter_items(self) -> Iterator[tuple[bytes, bytes]]: ...
    def scan(
        self,
        *,
        hashes: tuple[int, int] | None = None,
        shard: tuple[int, int] | None = None,
        batch_rows: int = ...,
        text: bool = False,
    ) -> Scan: ...
    def refresh(self, *, progress: _Progress = None) -> bool: ...
    def follow(
        self,
        interval: float = 1.0,
        *,
        on_commit: Callable[[int], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> Follower: ...
    def verify(self, *, progress: _Progress = None) -> VerifyReport: ...
    def inspect(self) -> _CommitFacts: ...
    def certificate(self) -> Certificate | None: ...
    def statistics(self) -> Statistics: ...
    def families(self) -> list[int]: ...
    def with_family(self, family: int) -> Db: ...
    @property
    def family(self) -> int: ...
    @property
    def commit(self) -> int: ...
    @property
    def path(self) -> Path: ...
    @property
    def url(self) -> str | None: ...
    @property
    def entry_count(self) -> int | None: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Db: ...
    def __exit__(
        self,
        *_exception: type[BaseException] | BaseException | TracebackType | None,
    ) -> None: ...

@final
class Writer:
    def __new__(
        cls,
        path: _Path,
        *,
        mode: _Mode = "replace",
        family: int = 0,
        duplicates: Literal["error", "keep"] = "error",
        compression: _Compression = "lz4",
        certify: bool = False,
        keep_generations: int = 1,
    ) -> Writer: ...
    def add(self, key: _Bytes, value: _Bytes) -> None: ...
    def delete(self, key: _Bytes) -> None: ...
    def finish(self, *, progress: _Progress = None) -> WriteReport: ...
    def abandon(self) -> None: ...
    @property
    def entries(self) -> int: ...
    def __enter__(self) -> Writer: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        *_exception: BaseException | TracebackType | None,
    ) -> None: ...

def open(
    path: _Path,
    *,
    family: int = 0,
    shard: tuple[int, int] | None = None,
    cache_dir: _Path | None = None,
    cache_bytes: int | None = None,
    mmap: bool = True,
    max_open_files: int | None = None,
    max_value_bytes: int | None = None,
    statistics: bool = False,
    progress: _Progress = None,
) -> Db: ...
def load(
    path: _Path,
    data: (
        _ArrowStream
        | _ArrowArray
        | Mapping[Any, _Bytes | None]
        | Iterable[tuple[_Bytes, _Bytes | None]]
        | Iterable[Mapping[Any, Any]]
    ),
    *,
    key: str | int | None = None,
    value: str | int | None = None,
    mode: _Mode = "replace",
    family: int = 0,
    duplicates: _Duplicates = "newest",
    nulls: Literal["error", "skip", "delete"] = "error",
    memory_budget: int = ...,
    threads: int | None = None,
    temp_dir: _Path | None = None,
    compression: _Compression = "lz4",
    certify: bool = False,
    keep_generations: int = 1,
    blob_threshold: int | None = None,
    progress: _Progress = None,
) -> LoadReport: ...
def merge(
    inputs: _Path | Iterable[_Path],
    output: _Path,
    *,
    mode: _Mode = "replace",
    family: int | None = None,
    duplicates: _Duplicates = "newest",
    compression: _Compression = "lz4",
    certify: bool = False,
    keep_generations: int = 1,
    progress: _Progress = None,
) -> CommitReport: ...
def compact(
    path: _Path,
    *,
    family: int = 0,
    auto: bool = False,
    compression: _Compression = "lz4",
    keep_generations: int = 1,
    progress: _Progress = None,
) -> CommitReport: ...
def gather(
    fragments: _Path | Iterable[_Path],
    output: _Path,
    *,
    mode: _Mode = "replace",
    family: int = 0,
    overlap: Literal["refuse", "later-wins"] = "refuse",
    certify: bool = False,
    keep_generations: int = 1,
    progress: _Progress = None,
) -> CommitReport: ...
def rollback(
    path: _Path,
    generation: int | None = None,
    *,
    keep_generations: int = 1,
) -> CommitReport: ...
def diff(
    old: _Path,
    new: _Path,
    *,
    family: int | None = None,
    duplicates: _Duplicates = "newest",
) -> Differences: ...
def verify(path: _Path, *, progress: _Progress = None) -> VerifyReport: ...
def inspect(path: _Path) -> _CommitFacts: ...
def certificate(path: _Path, *, family: int = 0) -> Certificate | None: ...
def log(path: _Path) -> list[_LogEntry]: ...
def push(
    path: _Path,
    target: _Path,
    *,
    replace: bool = False,
    rate: int | None = None,
    progress: _Progress = None,
) -> MirrorReport: ...
def pull(
    source: _Path,
    path: _Path,
    *,
    shard: tuple[int, int] | None = None,
    keep: int = 1,
    replace: bool = False,
    rate: int | None = None,
    progress: _Progress = None,
) -> MirrorReport: ...
def gc(url: _Path, *, grace: float = 86400.0, keep_generations: int = 1) -> int: ...
def key_hash(key: _Bytes) -> int: ...
def key_shard(key: _Bytes, count: int) -> int: ...
@final
class SparkBatches:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...

@final
class SparkTaskReport:
    @property
    def report(self) -> bytes: ...
    @property
    def range(self) -> int | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def tombstones(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def tables(self) -> int: ...
    @property
    def bytes(self) -> int: ...

def spark_begin_job(path: _Path, *, job: int | None = None) -> int: ...
def spark_end_job(path: _Path, job: int) -> list[str]: ...
def spark_newest(path: _Path, family: int = 0) -> tuple[int, int] | None: ...
def spark_outline(report: bytes) -> bytes: ...
def spark_commit(
    path: _Path,
    reports: Iterable[bytes],
    *,
    job: int,
    mode: _Mode,
    family: int = 0,
    certify: bool = False,
    contents: Iterable[bytes] | None = None,
    base: int | None = None,
    check_base: bool = False,
    keep_generations: int = 1,
) -> tuple[CommitReport, list[str]]: ...
def spark_key_hashes(keys: object, ranges: int) -> ArrowBatch: ...
def spark_range_digest(
    path: _Path,
    report: bytes | None,
    *,
    base: int | None,
    range: int,
    ranges: int,
    family: int = 0,
) -> bytes: ...
def spark_scan(
    path: _Path,
    columns: Iterable[tuple[str, str]],
    *,
    commit: int,
    range: int,
    ranges: int,
    family: int = 0,
    batch_rows: int = 10_000,
) -> SparkBatches: ...
def spark_lookup(
    path: _Path,
    columns: Iterable[tuple[str, str]],
    keys: Iterable[bytes],
    *,
    commit: int,
    family: int = 0,
) -> SparkBatches: ...
def spark_write_task(
    path: _Path,
    batches: object,
    *,
    job: int,
    ranges: int,
    family: int = 0,
    duplicates: str = "error",
    nulls: str = "error",
    compression: str = "lz4",
    certify: bool = False,
) -> SparkTaskReport: ...
def run(arguments: list[str]) -> int: ...
def _after_fork() -> None: ...
