"""Options of the data source, which come as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._errors import UsageError

READ_OPTIONS = ("path", "partitions", "family", "filters")
WRITE_OPTIONS = (
    "path",
    "partitions",
    "family",
    "duplicates",
    "nulls",
    "compression",
    "certify",
    "keep_generations",
    "job",
    "manifest",
)


def check_names(options: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Refuses options that do not exist: a misspelled one would be ignored otherwise."""
    for name in options:
        if name.lower() not in known:
            raise UsageError(f"the data source sst has no option {name!r}, but {', '.join(known)}")


def path_in(options: Mapping[str, str]) -> str:
    """The path or URL of the set."""
    path = options.get("path")
    if not path:
        raise UsageError("name the directory or the URL: save(path) or load(path)")
    return path


def number_in(options: Mapping[str, str], name: str) -> int | None:
    """An option that is a number from 0 on; `None` if it is not given."""
    text = options.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"the option {name}={text!r} is not a number")
    return int(text)


def family_in(options: Mapping[str, str]) -> int:
    """The key space."""
    # 0 is the first key space, and the default.
    return number_in(options, "family") or 0


def flag_in(options: Mapping[str, str], name: str) -> bool:
    """An option that is `true` or `false`."""
    text = options.get(name, "false").lower()
    if text not in ("true", "false"):
        raise UsageError(f"the option {name}={text!r} is neither true nor false")
    return text == "true"


@dataclass(frozen=True)
class WriteOptions:
    """What a job is asked to do."""

    path: str
    partitions: int
    overwrite: bool
    family: int
    duplicates: str
    nulls: str
    compression: str
    certify: bool
    keep_generations: int
    #: The number of a job that was begun before, if this is the same one again.
    job: int | None
    #: A file of the driver that gets what the tasks report, for a caller who publishes it.
    manifest: str | None

    @classmethod
    def of(cls, options: Mapping[str, str], overwrite: bool) -> WriteOptions:
        check_names(options, WRITE_OPTIONS)
        partitions = number_in(options, "partitions")
        if partitions is None:
            raise UsageError("the option partitions is the number of ranges given to prepare()")
        kept = number_in(options, "keep_generations")
        return cls(
            path=path_in(options),
            partitions=partitions,
            overwrite=overwrite,
            family=family_in(options),
            duplicates=options.get("duplicates", "error"),
            nulls=options.get("nulls", "error"),
            compression=options.get("compression", "lz4"),
            certify=flag_in(options, "certify"),
            keep_generations=1 if kept is None else kept,
            job=number_in(options, "job"),
            manifest=options.get("manifest"),
        )
