"""Tests of the decoder: its parts, all vectors, and damage that must be reported."""

import itertools
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zlib

import quotient_filter
from decode import digest
from directory import Directory, live_descriptions, parse_meta
from fields import Damage, UnknownVersion
from lz4_block import decompress
from table import Entry, Table
from xxh3 import xxh3_64

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "vectors"
REFERENCE = VECTORS / "reference"


def reference_cases():
    """The cases of the reference vectors."""
    return json.loads((REFERENCE / "manifest.json").read_text())["cases"]


def reference_entries(case):
    """The entries that a reference table was written from."""
    for line in (REFERENCE / case["input"]).read_text().splitlines():
        key_hash, key, kind, value = line.split("\t")[:4]
        head = int(key_hash, 16), bytes.fromhex(key)
        if kind == "blob":
            yield Entry(*head, "blob", None, int(value.removeprefix("b:")))
        elif kind == "deleted":
            yield Entry(*head, "tombstone")
        else:
            yield Entry(*head, kind.replace("raw", "medium"), reference_value(value))


def reference_value(text):
    """The value that a spec in column 4 stands for."""
    kind, *arguments = text.split(":")
    if kind == "x":
        return bytes.fromhex(arguments[0])
    size = int(arguments[1])
    if kind == "f":
        return bytes.fromhex(arguments[0]) * size
    words = splitmix64(int(arguments[0], 16))
    random_size = size if kind == "r" else size // 2
    random = b"".join(itertools.islice(words, -(-random_size // 8)))[:random_size]
    return (random + next(words) * (size // 8 + 1))[:size]


def splitmix64(state):
    """The generator of the random bytes in the vectors, eight at a time."""
    mask = (1 << 64) - 1
    while True:
        state = state + 0x9E3779B97F4A7C15 & mask
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & mask
        yield (mixed ^ mixed >> 31).to_bytes(8, "big")


def be(size, *numbers):
    """The numbers as big-endian integers of `size` bytes."""
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def frame(payload):
    """A block, or a blob file, that is stored as it is."""
    return be(4, 0, zlib.crc32(payload)) + payload


def table_file(*payloads):
    """A `.sst` file of these block payloads."""
    blocks = [frame(payload) for payload in payloads]
    return b"".join(blocks) + be(4, *itertools.accumulate(map(len, blocks)))


def key_block(*entries):
    """A key block of kind 1 of (hash, key, entry type, value reference)."""
    stored = [be(8, key_hash) + key + reference for key_hash, key, _, reference in entries]
    positions = itertools.accumulate([0] + [len(entry) for entry in stored[:-1]])
    table = b"".join(be(1, entry[2]) + be(3, position) for entry, position in zip(entries, positions))
    return be(1, 1) + be(3, len(entries)) + table + b"".join(stored)


def index_block(first, *others):
    """An index block: the first key block, then (hash, key block) for each other one."""
    return be(1, 0) + be(2, first) + b"".join(be(8, key_hash) + be(2, number) for key_hash, number in others)


INLINE_1, SMALL, BLOB, TOMBSTONE, MEDIUM = 9, 0, 1, 2, 3


def entry(key_hash, key=b"k", entry_type=INLINE_1, reference=b"v"):
    """An entry for `key_block`, by default an inline value of one byte."""
    return key_hash, key, entry_type, reference


def small(block, size, offset):
    """The value reference of a small value."""
    return be(2, block, size) + be(4, offset)


class Xxh3Test(unittest.TestCase):
    def test_keys_of_the_reference_vectors(self):
        lengths = set()
        for case in reference_cases():
            if not case["custom_hashes"]:
                for expected in reference_entries(case):
                    lengths.add(len(expected.key))
                    self.assertEqual(xxh3_64(expected.key), expected.hash, expected.key.hex())
        for low, high in ((0, 0), (1, 3), (4, 8), (9, 16), (17, 128), (241, 1024), (1025, 1 << 20)):
            self.assertTrue(any(low <= length <= high for length in lengths), f"no key of {low} to {high} bytes")

    def test_lengths_that_no_vector_has(self):
        for length, expected in ((129, 0xEC7642B431BA3E5A), (200, 0xF42A8864FEAF0703), (240, 0x375A384D957FE865)):
            self.assertEqual(xxh3_64(bytes(range(length))), expected, length)


class Lz4Test(unittest.TestCase):
    def test_sequences(self):
        for stored, expected in (
            ("00", b""),
            ("30 616263", b"abc"),
            ("f000" + "61" * 15, b"a" * 15),
            ("14 61 0100 50 6161616162", b"a" * 9 + b"aaaab"),
            ("3f 616263 0300 00 50 7878787879", b"abc" * 7 + b"a" + b"xxxxy"),
        ):
            self.assertEqual(decompress(bytes.fromhex(stored), len(expected), "test"), expected, stored)

    def test_damage(self):
        for name, stored, size in (
            ("no token", "", 0),
            ("literals past the end", "30 61", 3),
            ("ends behind a match", "14 61 0100", 9),
            ("match 0 bytes back", "14 61 0000 50 6161616161", 14),
            ("match from before the start", "14 61 0200 50 6161616161", 14),
            ("match past the stated size", "1f 61 0100 ff ff 00 00", 40),
            ("length that does not end", "1f 61 0100 ffff", 300),
            ("longer than stated", "30 616263", 2),
            ("shorter than stated", "30 616263", 4),
            ("more than any block can hold", "30 616263", 1021),
        ):
            with self.subTest(name), self.assertRaises(Damage):
                decompress(bytes.fromhex(stored), size, "test")


class VectorTest(unittest.TestCase):
    def test_reference_tables_decode_to_their_input(self):
        for case in reference_cases():
            with self.subTest(case=case["name"]):
                table = Table(case["file"], (REFERENCE / case["file"]).read_bytes())
                self.assertEqual(table.entries, list(reference_entries(case)))
                self.assertEqual(len(table.blocks), case["block_count"])
                self.assertEqual(f"{table.entries[0].hash:016x}", case["min_hash"])
                self.assertEqual(f"{table.entries[-1].hash:016x}", case["max_hash"])
                found = {(entry.hash, entry.key) for entry in table.entries}
                for key_hash, key in case["absent"]:
                    self.assertNotIn((int(key_hash, 16), bytes.fromhex(key)), found)

    def test_reference_filters(self):
        for case in reference_cases():
            with self.subTest(case=case["name"]):
                stored = bytes.fromhex(case["amqf"])
                hashes = [entry.hash for entry in reference_entries(case)]
                self.assertEqual(quotient_filter.build(hashes), stored)
                check_filter(self, stored, hashes, (key_hash * 0x9E3779B97F4A7C15 for key_hash in range(2000)))

    def test_turbopack_tables_have_the_expected_digests(self):
        for name in ("turbopack-tiny", "turbopack-session"):
            with self.subTest(directory=name):
                expected = json.loads((VECTORS / name / "expected.json").read_text())
                directory = Directory(VECTORS / name)
                self.assertFalse(directory.protected)
                self.assertEqual(directory.current, expected["current"])
                self.assertEqual(
                    [(table.name, table.meta, table.family, table.flags, len(table.entries), digest(table.entries))
                     for table in directory.tables],
                    [(f"{table['sequence']:08}.sst", table["meta"], table["family"], table["flags"], table["entries"],
                      table["sha256"]) for table in expected["ssts"]])


def check_filter(test, stored, hashes, others):
    """Queries must answer exactly what the set of fingerprints says, for hashes in the filter and others."""
    queried = quotient_filter.QuotientFilter(stored, "test")
    mask = (1 << queried.quotient_bits + queried.remainder_bits) - 1
    fingerprints = {key_hash & mask for key_hash in hashes}
    test.assertEqual(queried.count, len(fingerprints))
    for key_hash in itertools.chain(hashes, others):
        test.assertEqual(queried.may_contain(key_hash), key_hash & mask in fingerprints, f"{key_hash:x}")


class FilterTest(unittest.TestCase):
    def test_runs_that_wrap_around_and_offsets_above_a_byte(self):
        for first in (0, (1 << 17) - 500, (1 << 16) + 7):
            hashes = [first + step for step in range(900)]
            check_filter(self, quotient_filter.build(hashes), hashes, range(0, 1 << 18, 31))

    def test_shapes_that_no_filter_has(self):
        def stored(buffer_size, count, *tail):
            return bytes([buffer_size]) + bytes(buffer_size) + bytes([count, *tail])

        quotient_filter.QuotientFilter(stored(81, 64, 6, 7, 0), "test")
        quotient_filter.QuotientFilter(stored(81, 0, 6, 7, 1, 9), "test")
        for name, arguments in {
            "too many fingerprints": (81, 65, 6, 7, 0),
            "buffer too small": (80, 0, 6, 7, 0),
            "buffer too large": (82, 0, 6, 7, 0),
            "less than a block": (81, 0, 5, 7, 0),
            "no remainders": (25, 0, 6, 0, 0),
            "option byte 2": (81, 0, 6, 7, 2, 9, 9),
            "unused bytes": (81, 0, 6, 7, 0, 0),
        }.items():
            with self.subTest(name), self.assertRaises(Damage):
                quotient_filter.QuotientFilter(stored(*arguments), "test")

    def test_hostile_bytes_end(self):
        stored = quotient_filter.build([5, 1 << 40])
        for at in range(len(stored)):
            for byte in (0x00, 0x7F, 0xFF):
                damaged = stored[:at] + bytes([byte]) + stored[at + 1:]
                try:
                    hostile = quotient_filter.QuotientFilter(damaged, "test")
                    for key_hash in range(0, 1 << 13, 97):
                        hostile.may_contain(key_hash)
                except Damage:
                    pass


class TableTest(unittest.TestCase):
    """Tables with valid checksums that break one rule each."""

    def test_every_bit_of_a_file_counts(self):
        stored = (REFERENCE / "single-small.sst").read_bytes()
        for bit in range(8 * len(stored)):
            damaged = bytearray(stored)
            damaged[bit // 8] ^= 1 << bit % 8
            with self.subTest(bit=bit), self.assertRaises(Damage):
                Table("test", bytes(damaged))

    def test_offsets_out_of_order(self):
        stored = table_file(key_block(entry(1)), key_block(entry(2)), index_block(0, (2, 1)))
        first, second = stored[-12:-8], stored[-8:-4]
        for name, offsets in {
            "swapped": second + first,
            "equal": first + first,
            "less than a header": be(4, 7) + second,
            "past the offset table": first + be(4, len(stored)),
        }.items():
            with self.subTest(name), self.assertRaises(Damage):
                Table("test", stored[:-12] + offsets + stored[-4:])

    def test_truncated_files(self):
        stored = (REFERENCE / "mixed-types.sst").read_bytes()
        for size in range(len(stored)):
            with self.subTest(size=size), self.assertRaises(Damage):
                Table("test", stored[:size])

    def test_well_formed_tables(self):
        for name, stored in {
            "two key blocks": table_file(key_block(entry(1)), key_block(entry(2)), index_block(0, (2, 1))),
            "values of one key": table_file(key_block(entry(1), entry(1), entry(1, b"k", TOMBSTONE, b"")),
                                            index_block(0)),
            "small values": table_file(b"onetwo", key_block(entry(1, b"k", SMALL, small(0, 3, 0)),
                                                            entry(2, b"k", SMALL, small(0, 3, 3))), index_block(1)),
            "inline value of 247 bytes": table_file(key_block(entry(1, b"k", 255, bytes(247))), index_block(0)),
        }.items():
            with self.subTest(name):
                Table("test", stored)

    def test_broken_rules(self):
        last = index_block(0)
        value_entry = entry(1, b"k", SMALL, small(0, 3, 0))
        for name, stored in {
            "hashes descend": table_file(key_block(entry(2), entry(1)), last),
            "keys descend": table_file(key_block(entry(1, b"b"), entry(1, b"a")), last),
            "tombstone before a value": table_file(key_block(entry(1, b"k", TOMBSTONE, b""), entry(1)), last),
            "one hash in two key blocks": table_file(
                key_block(entry(1, b"a")), key_block(entry(1, b"b")), index_block(0, (1, 1))),
            "index names another first hash": table_file(
                key_block(entry(1)), key_block(entry(3)), index_block(0, (2, 1))),
            "key blocks out of file order": table_file(
                key_block(entry(2)), key_block(entry(1)), index_block(1, (2, 0))),
            "index names itself": table_file(key_block(entry(1)), index_block(1)),
            "index block with half an entry": table_file(key_block(entry(1)), last + b"\0"),
            "index block of another kind": table_file(key_block(entry(1)), b"\1" + last[1:]),
            "no entries": table_file(key_block(), last),
            "no key block": table_file(last),
            "block that nothing refers to": table_file(b"unused", key_block(entry(1)), index_block(1)),
            "unused bytes before a small value": table_file(
                b"_one", key_block(entry(1, b"k", SMALL, small(0, 3, 1))), index_block(1)),
            "unused bytes behind a small value": table_file(b"one_", key_block(value_entry), index_block(1)),
            "small values overlap": table_file(
                b"four", key_block(value_entry, entry(2, b"k", SMALL, small(0, 2, 2))), index_block(1)),
            "small value past the block": table_file(b"on", key_block(value_entry), index_block(1)),
            "medium value used twice": table_file(b"one", key_block(
                entry(1, b"k", MEDIUM, be(2, 0)), entry(2, b"k", MEDIUM, be(2, 0))), index_block(1)),
            "value block used as medium and small": table_file(b"one", key_block(
                entry(1, b"k", MEDIUM, be(2, 0)), entry(2, b"k", SMALL, small(0, 3, 0))), index_block(1)),
            "key block used as value": table_file(key_block(entry(1, b"k", MEDIUM, be(2, 0))), last),
            "value in a block past the end": table_file(key_block(entry(1, b"k", MEDIUM, be(2, 9))), last),
            "invalid type": table_file(key_block(entry(1, b"k", 7, b"")), last),
            "invalid key block kind": table_file(be(1, 5) + be(3, 1) + be(1, 1, INLINE_1) + b"kv", last),
            "positions descend": table_file(be(1, 2) + be(3, 3) + be(4, 0, 2, 1) + bytes(20), last),
            "position past the block": table_file(be(1, 2) + be(3, 2) + be(4, 8 << 24, 8 << 24 | 3) + b"ab", last),
            "entry shorter than its value": table_file(key_block(entry(1, b"", 20, b"")), last),
            "fixed entries that don't fill the block": table_file(
                be(1, 4) + be(3, 2) + be(1, 1, INLINE_1) + b"kvkvk", last),
            "first position not 0": table_file(be(1, 1) + be(3, 1) + be(1, INLINE_1) + be(3, 1) + be(8, 1, 1), last),
            "compressed index block": compressed_index_block(),
        }.items():
            with self.subTest(name), self.assertRaises(Damage):
                Table("test", stored)


def compressed_index_block():
    """A table whose index block is sound but compressed."""
    keys, stored = frame(key_block(entry(1))), b"\x30" + index_block(0)
    index = be(4, 3, zlib.crc32(stored)) + stored
    return keys + index + be(4, len(keys), len(keys) + len(index))


class DirectoryTest(unittest.TestCase):
    """Directories with a protection section, made here from the text of section 9."""

    def setUp(self):
        self.path = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.path)

    def write(self, name, data):
        (self.path / name).write_bytes(data)

    def commit(self, sequence, tables=(), blobs=(), live=(), obsolete=(), protected=True, family=0, lie=None,
               version=1, newest=None, hashes=(0, 2**64 - 1), extension=None):
        """Writes CURRENT and a meta file for tables and blobs that are there. Returns the meta file's checksum.

        `lie` changes the protection section before it is sealed; the core of version 3 takes a list that it may change.
        `newest` is the number of the commit that a part belongs to, `hashes` the range that the list has of this file.
        `extension` is that of version 3; by default it has a field that no build knows.
        """
        descriptions, filters, section, apart = b"", b"", b"", []
        for number in tables:
            stored = (self.path / f"{number:08}.sst").read_bytes()
            entries = Table("test", stored).entries
            own_filter = quotient_filter.build([entry.hash for entry in entries])
            filters += own_filter
            ends = stored[int.from_bytes(stored[-4:], "big"):]
            starts = [0] + [int.from_bytes(ends[at:at + 4], "big") for at in range(0, len(ends) - 4, 4)]
            descriptions += (be(4, number) + be(2, len(starts)) + be(8, entries[0].hash, entries[-1].hash, len(stored))
                             + be(4, 2, len(filters)))
            headers = b"".join(stored[start:start + 8] for start in starts)
            section += be(8, len(entries)) + headers
            apart.append((len(entries), own_filter, headers))
        meta = (bytes.fromhex("fe4ada4a") + be(4, family, len(obsolete), *obsolete, len(tables)) + descriptions
                + be(4, len(filters)) + filters)
        if version == 3:
            listed = [row if len(row) == 5 else (*row, family, 0, 2**64 - 1) for row in live]
            listed = [] if newest else sorted([*listed, (sequence, 0, family, *hashes)])
            meta = self.headed(meta, len(filters), apart, blobs, listed, newest or sequence, lie,
                               be(4, 99, 3) + b"new" if extension is None else extension)
        elif protected:
            live = sorted([*live, (sequence, 0)])
            section = be(4, 1, len(live), *itertools.chain(*live)) + section + be(4, len(blobs))
            for number in blobs:
                stored = (self.path / f"{number:08}.blob").read_bytes()
                section += be(4, number) + be(8, len(stored)) + stored[:8]
            section = lie(section) if lie else section
            meta += section + be(4, len(section))
            meta += be(4, zlib.crc32(meta)) + b"SSTP"
        self.write(f"{sequence:08}.meta", meta)
        if newest:
            return zlib.crc32(meta[:-8])
        self.write("CURRENT", be(4, sequence) + (be(4, zlib.crc32(be(4, sequence))) if protected else b""))
        return zlib.crc32(meta[:-8])

    def headed(self, meta, filter_size, tables, blobs, listed, commit, lie, extension):
        """The meta file with a section of version 3."""
        start = meta[:len(meta) - filter_size]
        blob_area, list_area = b"", b""
        for number in blobs:
            stored = (self.path / f"{number:08}.blob").read_bytes()
            blob_area += be(4, number) + be(8, len(stored)) + stored[:8]
        for sequence, checksum, family, low, high in listed:
            list_area += be(4, sequence, checksum, family) + be(8, low, high)
        core = [be(4, 3, 1, commit, len(listed), zlib.crc32(list_area), len(blobs), zlib.crc32(blob_area), 0)]
        core += [be(8, count) + be(4, zlib.crc32(own_filter), zlib.crc32(headers)) for count, own_filter, headers in tables]
        core += [be(4, 0), be(4, len(extension)) + extension]
        areas = [be(4, 3), *(headers for _, _, headers in tables), blob_area, list_area]
        if lie:
            lie(core, areas)
        core = b"".join(core)
        core += be(4, len(start), zlib.crc32(start), len(core))
        section = b"".join(areas) + core + be(4, zlib.crc32(core))
        meta += section + be(4, len(section))
        return meta + be(4, zlib.crc32(meta)) + b"SSTP"

    def fill_headed(self):
        """A commit of version 1, then one of version 3 that is two meta files and describes the first table again."""
        self.write("00000001.blob", frame(b"a blob"))
        self.write("00000002.sst", table_file(b"value", key_block(
            entry(1, b"k", SMALL, small(0, 5, 0)), entry(2, b"k", BLOB, be(4, 1))), index_block(1)))
        self.write("00000003.sst", table_file(key_block(entry(1, b"old")), index_block(0)))
        first = self.commit(4, tables=[2, 3], blobs=[1])
        self.write("00000005.sst", table_file(key_block(entry(7)), index_block(0)))
        part = self.commit(6, tables=[2], blobs=[1], version=3, newest=7)
        self.commit(7, tables=[5], obsolete=[3], version=3, hashes=(1, 7),
                    live=[(4, first), (6, part, 0, 1, 2)])

    def fill(self):
        """Two commits: a table with a small value and a blob, then one with a tombstone."""
        self.write("00000001.blob", frame(b"a blob"))
        self.write("00000002.sst", table_file(b"value", key_block(
            entry(1, b"k", SMALL, small(0, 5, 0)), entry(2, b"k", BLOB, be(4, 1))), index_block(1)))
        first = self.commit(3, tables=[2], blobs=[1])
        self.write("00000004.sst", table_file(key_block(entry(1, b"k", TOMBSTONE, b"")), index_block(0)))
        self.commit(5, tables=[4], live=[(3, first)])

    def shard(self, index, count, low, high):
        """A `lie` that makes a commit that of a shard."""
        field = be(4, 2, 36, index, count) + be(8, low, high) + be(4, 7, 8, 9)
        return lambda core, areas: core.__setitem__(-1, be(4, len(field)) + field)

    def test_a_shard(self):
        self.write("00000001.blob", frame(b"a blob"))
        self.write("00000002.sst", table_file(key_block(
            entry(1, b"k", BLOB, be(4, 1)), entry(2, b"k"), entry(9, b"k", BLOB, be(4, 77))), index_block(0)))
        self.write("00000003.sst", table_file(key_block(entry(7)), index_block(0)))
        # The blob of hash 9 is one of another shard.
        self.commit(4, tables=[2, 3], blobs=[1], version=3, lie=self.shard(0, 2, 0, 5))
        directory = Directory(self.path)
        self.assertEqual(directory.shard, (0, 2, 0, 5))
        self.assertEqual([[entry.hash for entry in table.entries] for table in directory.tables], [[1, 2]])
        for lie in (self.shard(2, 2, 0, 5), self.shard(0, 2, 5, 0)):
            self.commit(4, tables=[2, 3], blobs=[1], version=3, lie=lie)
            with self.assertRaises(Damage):
                Directory(self.path)
        self.commit(4, tables=[2, 3], blobs=[1], version=3)
        with self.assertRaises(Damage):
            Directory(self.path)

    def assert_damaged(self, name, data):
        """Replaces a file (or with None removes it), expects damage, and puts it back."""
        kept = (self.path / name).read_bytes()
        if data is None:
            (self.path / name).unlink()
        else:
            self.write(name, data)
        with self.assertRaises(Damage, msg=name):
            Directory(self.path)
        self.write(name, kept)

    def test_protected_directory(self):
        self.fill()
        directory = Directory(self.path)
        self.assertTrue(directory.protected)
        self.assertEqual([table.entries for table in directory.tables], [
            [Entry(1, b"k", "small", b"value"), Entry(2, b"k", "blob", b"a blob", 1)],
            [Entry(1, b"k", "tombstone")]])

    def test_directory_of_several_versions_and_of_a_commit_of_several_meta_files(self):
        self.fill_headed()
        directory = Directory(self.path)
        self.assertEqual([(table.name, table.meta) for table in directory.tables],
                         [("00000002.sst", "00000006.meta"), ("00000005.sst", "00000007.meta")])
        self.assertEqual(directory.tables[0].entries[1], Entry(2, b"k", "blob", b"a blob", 1))
        # A part is no commit.
        self.assert_damaged("CURRENT", be(4, 6, zlib.crc32(be(4, 6))))

    def test_sealed_lies_of_a_section_of_version_3(self):
        self.write("00000001.sst", table_file(key_block(entry(9)), index_block(0)))

        def replace(parts, index, data):
            parts[index] = data

        for name, hashes, lie in (
            ("another version in the core", (9, 9), lambda core, areas: replace(core, 0, be(4, 2) + core[0][4:])),
            ("tag 1 behind tag 2", (9, 9), lambda core, areas: replace(core, -1, be(4, 16, 2, 0, 1, 0))),
            ("past the end", (9, 9), lambda core, areas: replace(core, -1, be(4, 10, 99, 3) + b"ne")),
            ("unused bytes in the core", (9, 9), lambda core, areas: core.append(b"x")),
            ("unused bytes", (9, 9), lambda core, areas: areas.append(b"x")),
            ("a checksum of another filter", (9, 9),
             lambda core, areas: replace(core, 1, core[1][:8] + be(4, 1) + core[1][12:])),
            ("a checksum of other headers", (9, 9), lambda core, areas: replace(core, 1, core[1][:12] + be(4, 1))),
            ("another number of entries", (9, 9), lambda core, areas: replace(core, 1, be(8, 2) + core[1][8:])),
            ("a range that ends too early", (0, 8), None),
            ("a range that starts too late", (10, 12), None),
            ("a range turned around", (10, 9), None),
        ):
            with self.subTest(name):
                self.commit(2, tables=[1], version=3, hashes=hashes, lie=lie)
                with self.assertRaises(Damage):
                    Directory(self.path)
        self.commit(2, tables=[1], version=3, hashes=(9, 9))
        Directory(self.path)

    def test_a_version_to_come_is_no_damage(self):
        self.write("00000001.sst", table_file(key_block(entry(9)), index_block(0)))
        for version, lie in (
            (1, lambda section: be(4, 4) + section[4:]),
            (3, lambda core, areas: areas.__setitem__(0, be(4, 4))),
        ):
            with self.subTest(version):
                self.commit(2, tables=[1], version=version, hashes=(9, 9), lie=lie)
                with self.assertRaises(UnknownVersion):
                    Directory(self.path)

    def test_every_bit_of_a_meta_file_of_version_3_counts(self):
        self.fill_headed()
        for name in ("00000006.meta", "00000007.meta"):
            stored = (self.path / name).read_bytes()
            for bit in range(8 * len(stored)):
                damaged = bytearray(stored)
                damaged[bit // 8] ^= 1 << bit % 8
                with self.assertRaises(Damage):
                    parse_meta(name, bytes(damaged), int(name[:8]))
            for size in range(0, len(stored), 7):
                self.assert_damaged(name, stored[:size])

    def test_every_bit_of_a_protected_directory_counts(self):
        self.fill()
        for file in sorted(self.path.iterdir()):
            stored = file.read_bytes()
            for bit in range(8 * len(stored)):
                damaged = bytearray(stored)
                damaged[bit // 8] ^= 1 << bit % 8
                self.assert_damaged(file.name, bytes(damaged))

    def test_every_truncation_of_a_protected_directory_is_found(self):
        self.fill()
        for file in sorted(self.path.iterdir()):
            stored = file.read_bytes()
            self.assert_damaged(file.name, None)
            for size in range(len(stored)):
                self.assert_damaged(file.name, stored[:size])

    def test_another_file_under_the_name_of_a_live_one(self):
        self.fill()
        self.assert_damaged("00000001.blob", frame(b"b blob"))
        self.assert_damaged("00000002.sst", (self.path / "00000004.sst").read_bytes())
        self.assert_damaged("00000002.sst", (self.path / "00000002.sst").read_bytes().replace(
            frame(b"value"), frame(b"eulav")))

    def test_sealed_lies_of_a_protection_section(self):
        self.write("00000001.blob", frame(b"a blob"))
        self.write("00000002.blob", frame(b"no entry names it"))
        self.write("00000003.sst", table_file(key_block(entry(1, b"k", BLOB, be(4, 1))), index_block(0)))
        self.commit(4, tables=[3], blobs=[1])
        Directory(self.path)
        itself, count_at = be(4, 4, 0), 16
        for name, blobs, lie in (
            ("another version", [1], lambda section: be(4, 2) + section[4:]),
            ("does not list itself", [1], lambda section: section.replace(itself, be(4, 3, 0), 1)),
            ("gives itself a checksum", [1], lambda section: section.replace(itself, be(4, 4, 1), 1)),
            ("lists a later meta file", [1], lambda section: be(4, 1, 2) + itself + be(4, 5, 0) + section[16:]),
            ("lists a meta file twice", [1], lambda section: be(4, 1, 2) + itself + itself + section[16:]),
            ("another number of entries", [1],
             lambda section: section[:count_at] + be(8, 2) + section[count_at + 8:]),
            ("unused bytes", [1], lambda section: section + bytes(4)),
            ("a blob too few", [], None),
            ("a blob too many", [1, 2], None),
            ("a blob twice", [1, 1], None),
        ):
            with self.subTest(name):
                self.commit(4, tables=[3], blobs=blobs, lie=lie)
                with self.assertRaises(Damage):
                    Directory(self.path)

    def test_a_list_that_does_not_ascend(self):
        self.write("00000001.sst", table_file(key_block(entry(1)), index_block(0)))
        first = self.commit(2, tables=[1])
        second = self.commit(3, tables=[1], live=[(2, first)])
        swapped = be(4, 1, 3, 3, second, 2, first, 4, 0)
        self.commit(4, live=[(2, first), (3, second)], lie=lambda section: swapped + section[len(swapped):])
        with self.assertRaises(Damage):
            Directory(self.path)

    def test_numbers_that_are_not_below_that_of_their_meta_file(self):
        self.write("00000001.sst", table_file(key_block(entry(1)), index_block(0)))
        self.write("00000003.sst", table_file(key_block(entry(1)), index_block(0)))
        self.write("00000004.blob", frame(b"a blob"))
        for version in (1, 3):
            for tables, blobs in (([3], []), ([1], [4])):
                with self.subTest(version=version, tables=tables):
                    first = self.commit(2, tables=tables, blobs=blobs, version=version)
                    self.commit(5, live=[(2, first)], version=version)
                    with self.assertRaisesRegex(Damage, "not older"):
                        Directory(self.path)

    def test_parts_and_their_commits(self):
        self.write("00000001.sst", table_file(key_block(entry(1)), index_block(0)))
        for commit, is_right in ((5, True), (2, False)):
            with self.subTest(commit):
                part = self.commit(4, tables=[1], version=3, newest=commit)
                self.commit(5, version=3, live=[(4, part)])
                if is_right:
                    self.assertEqual(len(Directory(self.path).tables), 1)
                else:
                    with self.assertRaises(Damage):
                        Directory(self.path)

    def test_tables_of_other_families(self):
        for number in (1, 2):
            self.write(f"{number:08}.sst", table_file(key_block(entry(number)), index_block(0)))
        first = self.commit(3, tables=[1], version=3)
        # Version 1 may name tables of any family, version 3 may not.
        self.commit(4, tables=[2], obsolete=[1], family=1, live=[(3, first)])
        self.assertEqual([table.name for table in Directory(self.path).tables], ["00000002.sst"])
        for tables, obsolete in (([2], [1]), ([1, 2], [])):
            with self.subTest(tables=tables):
                self.commit(4, tables=tables, obsolete=obsolete, family=1, version=3, live=[(3, first, 0, 0, 2**64 - 1)])
                with self.assertRaisesRegex(Damage, "of another family"):
                    Directory(self.path)

    def test_blobs_of_dead_tables_that_a_commit_has_taken_over(self):
        self.write("00000001.blob", frame(b"a blob"))
        self.write("00000002.sst", table_file(key_block(entry(9)), index_block(0)))
        self.commit(4, tables=[2], blobs=[1], version=3)
        self.assertEqual(len(Directory(self.path).tables), 1)
        self.assert_damaged("00000001.blob", None)
        self.assert_damaged("00000001.blob", frame(b"b blob"))
        self.commit(4, tables=[2], blobs=[1], version=1)
        with self.assertRaises(Damage):
            Directory(self.path)

    def test_the_blobs_of_each_table(self):
        self.write("00000001.blob", frame(b"a blob"))
        self.write("00000002.blob", frame(b"another"))
        self.write("00000003.sst", table_file(key_block(entry(1, b"k", BLOB, be(4, 1))), index_block(0)))
        self.write("00000004.sst", table_file(key_block(
            entry(5, b"k", BLOB, be(4, 1)), entry(6, b"k", BLOB, be(4, 2))), index_block(0)))
        for blobs, counts in (
            ((1, 1, 2), (1, 2)),
            ((1, 2), (0, 0)),  # Both blobs may be of any table.
            ((1, 1, 2), (1, 1)),
            ((1, 2, 1), (1, 1)),
        ):
            with self.subTest(f"{blobs} {counts}"):
                self.commit(9, tables=[3, 4], blobs=blobs, version=3, extension=be(4, 3, 8, *counts))
                self.assertEqual(len(Directory(self.path).tables), 2)
        for blobs, extension in (
            ((1, 1, 2), be(4, 3, 8, 2, 1)),
            ((2, 1), be(4, 3, 8, 1, 1)),  # The first table refers to blob 1 alone.
            ((1, 1, 2), be(4, 3, 8, 1, 3)),
            ((1, 2), be(4, 3, 4, 0)),
            ((1, 2), be(4, 3, 12, 0, 0, 0)),
            ((1, 2), be(4, 3, 8, 0)),
            ((1, 2), be(4, 3, 8, 0, 0, 3, 8, 0, 0)),
            ((1, 2), be(4, 4, 0, 3, 8, 0, 0)),
            ((1, 2), b"new"),
            ((1, 1, 2), b""),  # Without counts, no blob comes twice.
        ):
            with self.subTest(f"{blobs} {extension}"), self.assertRaises(Damage):
                self.commit(9, tables=[3, 4], blobs=blobs, version=3, extension=extension)
                Directory(self.path)

    def test_every_bit_of_an_unprotected_meta_file_is_checked_against_the_tables(self):
        self.write("00000001.sst", table_file(key_block(entry(1)), key_block(entry(2)), index_block(0, (2, 1))))
        self.commit(2, tables=[1], protected=False)
        stored = (self.path / "00000002.meta").read_bytes()
        family, flags = range(4, 8), range(46, 50)
        for bit in range(8 * len(stored)):
            if bit // 8 not in (*family, *flags):
                damaged = bytearray(stored)
                damaged[bit // 8] ^= 1 << bit % 8
                self.assert_damaged("00000002.meta", bytes(damaged))

    def test_current_of_another_revision(self):
        self.commit(1, protected=False)
        Directory(self.path)
        for data in (b"", be(4, 1)[:3], be(4, 1) + b"\n", b'{"version":1}'):
            self.assert_damaged("CURRENT", data)

    def test_table_or_blob_that_is_not_committed(self):
        for name, stored in (("00000003.sst", table_file(key_block(entry(1)), index_block(0))),
                             ("00000001.sst", table_file(key_block(entry(1, b"k", BLOB, be(4, 3))), index_block(0)))):
            with self.subTest(name):
                self.write(name, stored)
                self.write("00000003.blob", frame(b"a blob"))
                self.commit(2, tables=[int(name[:8])], protected=False)
                with self.assertRaises(Damage):
                    Directory(self.path)

    def test_what_was_said_of_a_table_last_counts(self):
        for chain, live in (
            ([], []),
            ([([], [1, 2]), ([1], [1, 3]), ([3], [])], [(0, 1), (1, 0)]),
            ([([5], []), ([], [5])], [(1, 0)]),
            ([([7], [7, 8, 7])], [(0, 1), (0, 2)]),
        ):
            with self.subTest(chain):
                self.assertEqual(live_descriptions(chain), live)

    def test_table_that_is_described_again_by_the_meta_file_that_names_it_obsolete(self):
        self.write("00000001.sst", table_file(key_block(entry(1)), index_block(0)))
        self.commit(2, tables=[1], protected=False)
        self.commit(3, tables=[1], protected=False, obsolete=[1])
        self.assertEqual([table.meta for table in Directory(self.path).tables], ["00000003.meta"])
        self.commit(4, protected=False, obsolete=[1])
        self.assertEqual(Directory(self.path).tables, [])

    def test_obsolete_deletable_and_uncommitted_files_are_ignored(self):
        for number in (1, 2, 3):
            self.write(f"{number:08}.sst", table_file(key_block(entry(number)), index_block(0)))
            self.commit(number + 3, tables=[number], protected=False, obsolete=[1] if number == 2 else [])
        self.write("00000007.del", be(4, 6))
        self.write("00000008.del", be(4, 5))
        self.write("00000009.meta", b"left over")
        self.write("CURRENT", be(4, 7))
        self.assertEqual([table.name for table in Directory(self.path).tables], ["00000002.sst"])

    def test_the_original_may_go_on_in_a_directory_of_ours(self):
        self.fill()
        self.write("00000006.sst", table_file(key_block(entry(7)), index_block(0)))
        self.commit(7, tables=[6], protected=False, family=1)
        directory = Directory(self.path)
        self.assertFalse(directory.protected)
        self.assertEqual([(table.family, table.protected) for table in directory.tables],
                         [(0, True), (0, True), (1, False)])


class CommandLineTest(unittest.TestCase):
    def run_decoder(self, *arguments):
        """Exit code, output and number of lines on standard error."""
        command = [sys.executable, HERE / "decode.py", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, len(done.stderr.splitlines())

    def test_a_description_beside_a_table(self):
        with tempfile.TemporaryDirectory() as temporary:
            path = pathlib.Path(temporary)
            test = DirectoryTest()
            test.path = path
            for number in (1, 2):
                test.write(f"{number:08}.sst", table_file(key_block(entry(number)), index_block(0)))
            for tables, code in (([1], 0), ([2], 2), ([1, 2], 2)):
                with self.subTest(tables):
                    test.commit(3, tables=tables, version=3)
                    shutil.copy(path / "00000003.meta", path / "00000001.sst.meta")
                    self.assertEqual(self.run_decoder(path / "00000001.sst")[0], code)
            (path / "00000001.sst.meta").write_bytes(b"damaged")
            self.assertEqual(self.run_decoder(path / "00000001.sst")[0], 2)

    def test_output(self):
        file = REFERENCE / "single-inline.sst"
        code, output, complaints = self.run_decoder(file)
        self.assertEqual((code, complaints), (0, 0))
        self.assertEqual(output.splitlines()[1], "384d070cd5d829e2\t6b657931\tinline\tx:76616c31")
        described = json.loads(self.run_decoder(file, "--json")[1])
        self.assertEqual(described["tables"][0]["entries"],
                         [{"hash": "384d070cd5d829e2", "key": "6b657931", "kind": "inline", "value": "76616c31"}])

    def test_exit_codes(self):
        with tempfile.TemporaryDirectory() as directory:
            damaged = pathlib.Path(directory) / "damaged.sst"
            damaged.write_bytes(b"no table")
            for arguments, expected in (([damaged], 2), ([directory], 2), ([damaged.with_name("missing")], 3), ([], 3),
                                        (["--unknown", damaged], 3)):
                with self.subTest(arguments=arguments):
                    code, output, complaints = self.run_decoder(*arguments)
                    self.assertEqual((code, output, complaints), (expected, "", 1))


if __name__ == "__main__":
    unittest.main()
