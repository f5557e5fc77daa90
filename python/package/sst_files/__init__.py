"""Immutable, hash-sorted tables: load a data frame, look keys up, serve a bucket.

>>> import sst_files
>>> report = sst_files.load("fruit.db", {"apple": "red", "pear": "green"})
>>> db = sst_files.open("fruit.db")
>>> db["apple"]
b'red'

Reading: `open`, `Db`. Writing: `load`, `Writer`, `merge`, `compact`, `gather`, `rollback`. Checks:
`verify`, `inspect`, `certificate`, `diff`, `log`. Buckets: `push`, `pull`, `gc`, and URLs wherever a
path is taken. `sst_files.aio` has `open` and others for asyncio. All errors are `SstError`s.
"""

from __future__ import annotations

import os as _os
from collections.abc import Mapping as _Mapping
from importlib.metadata import version as _version

from . import _errors, _native
from ._errors import (
    CancelledError,
    ClosedError,
    CommitLiveError,
    ConflictError,
    CorruptionError,
    DuplicateKeyError,
    EntryError,
    FileError,
    ForkError,
    InternalError,
    LimitError,
    LockedError,
    MissingKeyError,
    NotFoundError,
    OutdatedError,
    OutOfMemoryError,
    PermissionDeniedError,
    RemoteError,
    SstError,
    UnsupportedError,
    UsageError,
    WrongShardError,
)
from ._follower import Follower
from ._native import (
    ArrowArray,
    ArrowBatch,
    Certificate,
    CommitReport,
    Db,
    Difference,
    Differences,
    LoadReport,
    MirrorReport,
    Progress,
    Scan,
    Statistics,
    VerifyReport,
    Writer,
    WriteReport,
    certificate,
    compact,
    diff,
    gather,
    gc,
    inspect,
    key_hash,
    key_shard,
    load,
    log,
    merge,
    open,
    pull,
    push,
    rollback,
    verify,
)

__version__ = _version("sst-files")

_Mapping.register(Db)

# A child must not touch the locks of its parent.
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_native._after_fork)

__all__ = [
    "ArrowArray",
    "ArrowBatch",
    "CancelledError",
    "Certificate",
    "ClosedError",
    "CommitLiveError",
    "CommitReport",
    "ConflictError",
    "CorruptionError",
    "Db",
    "Difference",
    "Differences",
    "DuplicateKeyError",
    "EntryError",
    "FileError",
    "Follower",
    "ForkError",
    "InternalError",
    "LimitError",
    "LoadReport",
    "LockedError",
    "MirrorReport",
    "MissingKeyError",
    "NotFoundError",
    "OutOfMemoryError",
    "OutdatedError",
    "PermissionDeniedError",
    "Progress",
    "RemoteError",
    "Scan",
    "SstError",
    "Statistics",
    "UnsupportedError",
    "UsageError",
    "VerifyReport",
    "WriteReport",
    "Writer",
    "WrongShardError",
    "certificate",
    "compact",
    "diff",
    "gather",
    "gc",
    "inspect",
    "key_hash",
    "key_shard",
    "load",
    "log",
    "merge",
    "open",
    "pull",
    "push",
    "rollback",
    "verify",
]
