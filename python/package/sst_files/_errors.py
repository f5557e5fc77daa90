"""The errors of the package. Each is a `SstError`, and a built-in error where one is expected."""

from __future__ import annotations


class SstError(Exception):
    """Every error that this package raises on purpose, except `TypeError` and `KeyboardInterrupt`."""


class FileError(SstError, OSError):
    """The operating system refused. `errno` and `filename` are set where they are known."""

    def __str__(self) -> str:
        # `OSError` shows no text where there is a file and no number.
        return super().__str__() if self.errno is not None else " ".join(map(str, self.args))


class NotFoundError(FileError, FileNotFoundError):
    """A file or directory is not there, or a place has no commit."""


class PermissionDeniedError(FileError, PermissionError):
    """The operating system forbids the access."""


class RemoteError(FileError):
    """A request to an object store failed, all its repetitions included."""


class CorruptionError(SstError, ValueError):
    """The bytes of a file are not those that a writer wrote."""

    #: The path of the damaged file; `None` if the damage is not in one file.
    file: str | None = None
    #: The number of the damaged block, if it is one of a table.
    block: int | None = None
    #: What is wrong, without the file and the block.
    cause: str = ""


class UnsupportedError(SstError, ValueError):
    """The file is of a later version, or of another implementation whose files are only read."""


class OutdatedError(SstError, RuntimeError):
    """A file that is needed was removed by a later commit, again and again. `refresh` helps."""


class WrongShardError(SstError, LookupError):
    """The directory holds a shard to which the key does not belong: ask the one that has it."""

    #: The number of the shard that the directory holds.
    index: int = 0
    #: The number of shards.
    count: int = 0


class MissingKeyError(SstError, KeyError):
    """`db[key]` of a key that is not there."""


class DuplicateKeyError(SstError, ValueError):
    """A key comes twice where `duplicates="error"` forbids it."""


class EntryError(SstError, ValueError):
    """An entry that cannot be written: a key that is too long, a null, a wrong order."""

    #: Which entry, from 0; `None` if that is not known.
    position: int | None = None


class LimitError(SstError, ValueError):
    """A value is longer than `max_value_bytes` allows."""


class OutOfMemoryError(SstError, MemoryError):
    """There is no memory for a block or a value."""


class LockedError(SstError, BlockingIOError):
    """Another process or object is writing to the directory."""

    #: The directory.
    directory: str = ""


class ConflictError(SstError, RuntimeError):
    """Another writer was faster, or source and target have different histories."""


class UsageError(SstError, ValueError):
    """Arguments that make no sense together, or name something that is not there."""


class ClosedError(SstError, ValueError):
    """The object was closed."""


class ForkError(SstError, RuntimeError):
    """The object belongs to the process that this one was forked from."""


class CommitLiveError(SstError, RuntimeError):
    """A commit is live, but a later step failed, such as a sync. Do not repeat the operation."""

    #: The number of the commit.
    commit: int = 0


class CancelledError(SstError):
    """The operation was cancelled."""


class InternalError(SstError, RuntimeError):
    """A bug of this package: please report it."""


__all__ = [
    "CancelledError",
    "ClosedError",
    "CommitLiveError",
    "ConflictError",
    "CorruptionError",
    "DuplicateKeyError",
    "EntryError",
    "FileError",
    "ForkError",
    "InternalError",
    "LimitError",
    "LockedError",
    "MissingKeyError",
    "NotFoundError",
    "OutOfMemoryError",
    "OutdatedError",
    "PermissionDeniedError",
    "RemoteError",
    "SstError",
    "UnsupportedError",
    "UsageError",
    "WrongShardError",
]
