#!/usr/bin/env python3
"""Prints all entries of a `.sst` file, or of the live tables of a directory, after checking every byte.

usage: decode.py FILE|DIR... [--json] [--digest]

  --json     one JSON document for each path instead of tab-separated lines
  --digest   one digest for each table instead of its entries

Several paths are decoded one after the other, each behind a line `## PATH`; damage in one does not end the run.

Exit code: 0 if everything is as docs/FORMAT.md says, 2 for damage, 3 for wrong usage, a failed read, or a directory of a
later build.
"""

import argparse
import hashlib
import json
import pathlib
import sys

from directory import Directory, read_single
from fields import Damage, UnknownVersion

EXIT_DAMAGE = 2
EXIT_USAGE = 3


class Arguments(argparse.ArgumentParser):
    """A parser whose complaint about usage is one line and an exit code of its own."""

    def error(self, message):
        fail(EXIT_USAGE, f"{message} (usage: decode.py FILE|DIR... [--json] [--digest])")


def digest(entries):
    """SHA-256 over the entries in order: u64 hash, u32 key length, key, one letter, and what the letter calls for.

    `v`: u32 length and bytes of a value that is in the table; `b`: u32 blob number; `d`: nothing, a tombstone.
    """
    sha = hashlib.sha256()
    for entry in entries:
        sha.update(entry.hash.to_bytes(8, "big") + len(entry.key).to_bytes(4, "big") + entry.key)
        if entry.kind == "blob":
            sha.update(b"b" + entry.blob.to_bytes(4, "big"))
        elif entry.kind == "tombstone":
            sha.update(b"d")
        else:
            sha.update(b"v" + len(entry.value).to_bytes(4, "big") + entry.value)
    return sha.hexdigest()


def describe(path, digests):
    """What is in `path`, ready for JSON: the kind of thing it is, and its tables with entries or digests."""
    if path.is_dir():
        directory = Directory(path)
        heads = [{"file": table.name, "meta": table.meta, "family": table.family, "flags": table.flags,
                  "protected": table.protected} for table in directory.tables]
        contents = [table.entries for table in directory.tables]
        result = {"current": directory.current, "protected": directory.protected}
    else:
        heads = [{"file": path.name}]
        contents = [read_single(path).entries]
        result = {}
    result["tables"] = [
        head | {"count": len(entries)}
        | ({"digest": digest(entries)} if digests else {"entries": [describe_entry(entry) for entry in entries]})
        for head, entries in zip(heads, contents)]
    return result


def describe_entry(entry):
    """An entry with its bytes in hex; `blob` and `value` only where there are such."""
    described = {"hash": f"{entry.hash:016x}", "key": entry.key.hex(), "kind": entry.kind}
    if entry.blob is not None:
        described["blob"] = entry.blob
    if entry.value is not None:
        described["value"] = entry.value.hex()
    return described


def lines(result):
    """The description as tab-separated lines: a head behind `#` for each table, then its entries or its digest."""
    for table in result["tables"]:
        if "digest" in table:
            described = (str(table["flags"]), table["meta"]) if "flags" in table else ()
            yield "\t".join((table["digest"], str(table["count"]), table["file"], *described))
            continue
        yield "# " + " ".join(f"{name}={value}" for name, value in table.items() if name != "entries")
        for entry in table["entries"]:
            blob = [f"b:{entry['blob']}"] if "blob" in entry else []
            value = [f"x:{entry['value']}"] if "value" in entry else []
            yield "\t".join([entry["hash"], entry["key"], entry["kind"], *(blob + value or ["-"])])


def fail(code, message):
    """Ends the program with one line."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def show(path, given):
    """Prints what is in one path. Returns the exit code, having told what is wrong on standard error."""
    try:
        result = describe(path, given.digest)
    except Damage as damage:
        print(f"error: {damage}", file=sys.stderr)
        return EXIT_DAMAGE
    except (OSError, UnknownVersion) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    if given.json:
        print(json.dumps(result, indent=1))
    else:
        for line in lines(result):
            print(line)
    return 0


def main():
    """The command line."""
    arguments = Arguments(add_help=True, description="Prints all entries of .sst files and directories.")
    arguments.add_argument("paths", type=pathlib.Path, nargs="+", metavar="FILE|DIR")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--digest", action="store_true")
    given = arguments.parse_args()
    worst = 0
    for path in given.paths:
        if len(given.paths) > 1:
            print(f"## {path}")
        worst = max(worst, show(path, given))
    sys.exit(worst)


if __name__ == "__main__":
    main()
