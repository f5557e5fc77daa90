"""A directory of tables behind one commit point (FORMAT.md, sections 1, 8 and 9)."""

import functools
import hashlib
import itertools
import re
import zlib
from typing import NamedTuple, Optional

import quotient_filter
from fields import Damage, Fields, UnknownVersion
from table import BLOCK_HEADER, Table, unframe

META_MAGIC = 0xFE4ADA4A
PROTECTION_MAGIC = b"SSTP"
PROTECTION_VERSIONS = (1, 2, 3)
PROTECTION_TRAILER = 12
"""Bytes behind the part that the length field counts: the length, the CRC-32 and the magic."""
TAIL = 16
"""Bytes between the core of version 3 and the trailer."""
SMALL = 4096
"""Bytes of a table that is worth remembering."""
ALL_HASHES, NO_HASHES = (0, 2**64 - 1), (2**64 - 1, 0)

TAG_LINEAGE, TAG_SHARD, TAG_BLOBS = 1, 2, 3
"""Of fields of the extension of version 3: the commits before, the shard that the directory holds, and the number of
blobs of each table."""

FILE_NAME = re.compile(r"(0[0-9]{7}|[1-9][0-9]{7,})\.(sst|blob|del|meta)")


class Description(NamedTuple):
    """What a meta file says about one table."""

    sequence: int
    block_count: int
    min_hash: int
    max_hash: int
    file_size: int
    flags: int
    filter: bytes


class Protection(NamedTuple):
    """The protection section of a meta file. `shard` has number, count, lowest and highest hash of a shard.

    `live_metas` has the checksum of each live meta file, `listed` its family and range of hashes where the list says so.
    `blob_parts` has the blobs of each table, and those that any table may refer to, where the extension says so.
    """

    version: int
    live_metas: dict
    listed: dict
    tables: list
    blobs: dict
    certificates: dict
    checksum: int
    commit: int
    blob_parts: Optional[tuple] = None
    shard: Optional[tuple] = None


class Meta(NamedTuple):
    """A meta file. Its checksum is the one from its trailer; without a protection section, that of the whole file."""

    name: str
    sequence: int
    family: int
    obsolete: list
    tables: list
    protection: Optional[Protection]
    checksum: int


class LiveTable(NamedTuple):
    """A table of the directory that is not obsolete, with the values of its blobs."""

    name: str
    family: int
    meta: str
    flags: int
    protected: bool
    entries: list


class Directory:
    """The live tables of a directory, decoded and completely checked."""

    def __init__(self, path):
        self.path = path
        self.files = {}
        for entry in path.iterdir():
            match = FILE_NAME.fullmatch(entry.name)
            if match:
                self.files[int(match[1]), match[2]] = entry
        self.current, self.protected = self._read_current()
        self.metas = self._live_metas()
        self._check_listed()
        newest = self.metas[-1].protection if self.metas else None
        self.shard = newest.shard if newest and self.metas[-1].sequence == self.current else None
        self.hashes = self.shard[2:] if self.shard else ALL_HASHES
        self.tables = [self._read_table(meta, index) for meta, index in self._live_tables()]
        self._check_blob_lists()
        self._check_certificates()

    def _read(self, sequence, kind):
        """Name and bytes of a file that something committed refers to."""
        name = f"{sequence:08}.{kind}"
        if sequence > self.current:
            raise Damage(f"{name}: in use, but CURRENT is {self.current}")
        if (sequence, kind) not in self.files:
            raise Damage(f"{name}: missing")
        return name, self.files[sequence, kind].read_bytes()

    def _read_current(self):
        """The highest committed sequence number, and whether it has its checksum."""
        if not (self.path / "CURRENT").exists():
            raise Damage("CURRENT: missing")
        data = (self.path / "CURRENT").read_bytes()
        if len(data) not in (4, 8):
            raise Damage(f"CURRENT: {len(data)} bytes long, not 4 or 8; perhaps of another revision of the format"
                         " (later ones write JSON)")
        fields = Fields(data, "CURRENT")
        current = fields.u32()
        if len(data) == 8 and fields.u32() != zlib.crc32(data[:4]):
            raise Damage("CURRENT: checksum does not match")
        return current, len(data) == 8

    def _live_metas(self):
        """The meta files that count, oldest first."""
        committed = sorted(sequence for sequence, kind in self.files if kind == "meta" and sequence <= self.current)
        newest = self._read_meta(self.current) if self.current in committed else None
        if not self.protected:
            if newest and newest.protection:
                raise Damage(f"CURRENT: without checksum, though {newest.name} is protected")
            deletable = self._deletable()
            return [self._read_meta(sequence) for sequence in committed if sequence not in deletable]
        if newest is None or newest.protection is None:
            raise Damage(f"CURRENT: has a checksum, but there is no protected {self.current:08}.meta")
        if newest.protection.commit != self.current:
            raise Damage(f"{newest.name}: is a part of the commit of {newest.protection.commit:08}.meta")
        return [self._read_listed(newest, *live) for live in sorted(newest.protection.live_metas.items())]

    def _deletable(self):
        """The sequence numbers in the committed `.del` files."""
        deletable = set()
        for sequence, kind in self.files:
            if kind == "del" and sequence <= self.current:
                name, data = self._read(sequence, kind)
                fields = Fields(data, name)
                while fields.remaining():
                    deletable.add(fields.u32())
        return deletable

    def _read_meta(self, sequence):
        return parse_meta(*self._read(sequence, "meta"), sequence)

    def _read_listed(self, newest, sequence, checksum):
        """A meta file that the protection section of the newest one lists."""
        if sequence == newest.sequence:
            return newest
        meta = self._read_meta(sequence)
        if meta.checksum != checksum:
            raise Damage(f"{meta.name}: checksum {meta.checksum:08x}, {newest.name} says {checksum:08x}")
        return meta

    def _check_listed(self):
        """Families and ranges of hashes in the list of the newest meta file are those of the meta files."""
        known = {table.sequence: (table.min_hash, table.max_hash) for meta in self.metas for table in meta.tables}
        newest = self.metas[-1] if self.metas else None
        families = {}
        for meta in self.metas:
            for table in meta.tables:
                families.setdefault(table.sequence, set()).add(meta.family)
        for meta in self.metas:
            named = [*meta.obsolete, *(table.sequence for table in meta.tables)]
            foreign = [table for table in named if families.get(table, set()) - {meta.family}]
            if foreign and meta.protection and meta.protection.version == 3 and self.protected:
                raise Damage(f"{meta.name}: names {foreign[0]:08}.sst, which is of another family")
            family, low, high = (newest.protection.listed if newest.protection else {}).get(
                meta.sequence, (meta.family, *ALL_HASHES))
            about = [known[table] for table in meta.obsolete if table in known]
            about += [(table.min_hash, table.max_hash) for table in meta.tables]
            if family != meta.family or any(hashes[0] < low or hashes[1] > high for hashes in about):
                raise Damage(f"{newest.name}: family or range of hashes of {meta.name} is not what it says")

    def _live_tables(self):
        """Meta file and position of each live description of a table that the directory needs, oldest first."""
        chain = [(meta.obsolete, [description.sequence for description in meta.tables]) for meta in self.metas]
        live = [(self.metas[place], index) for place, index in live_descriptions(chain)]
        low, high = self.hashes
        return [(meta, index) for meta, index in live
                if meta.tables[index].min_hash <= high and meta.tables[index].max_hash >= low]

    def _read_table(self, meta, index):
        """Decodes a table and checks it against its description. Of a shard, entries of other shards are left out."""
        description = meta.tables[index]
        low, high = self.hashes
        name, data = self._read(description.sequence, "sst")
        table = described_table(name, data, meta, index)
        entries = [self._with_blob(meta, entry) for entry in table.entries if low <= entry.hash <= high]
        return LiveTable(name, meta.family, meta.name, description.flags, meta.protection is not None, entries)

    def _with_blob(self, meta, entry):
        """The entry, with the value from its blob file if that is where it is (section 8)."""
        if entry.kind != "blob":
            return entry
        name, data = self._read(entry.blob, "blob")
        if meta.protection:
            expected = meta.protection.blobs.get(entry.blob)
            if expected is None:
                raise Damage(f"{meta.name}: the protection section does not list {name}")
            if expected != (len(data), data[:BLOCK_HEADER]):
                raise Damage(f"{name}: size or header is not what {meta.name} says")
        return entry._replace(value=unframe(data, name))

    def _check_blob_lists(self):
        """Blob files that a protection section lists are there. Entries refer to all of them in versions 1 and 2.

        A commit of version 3 may have taken over the list of a meta file that describes dead tables, too. If its extension
        says which tables refer to which blobs, they refer to no other.
        """
        for meta in self.metas:
            tables = [table for table in self.tables if table.meta == meta.name]
            listed = meta.protection.blobs if meta.protection else {}
            for blob, expected in listed.items():
                name, data = self._read(blob, "blob")
                if expected != (len(data), data[:BLOCK_HEADER]):
                    raise Damage(f"{name}: size or header is not what {meta.name} says")
                unframe(data, name)
            parts, of_any = (meta.protection and meta.protection.blob_parts) or ([], set())
            used = {table.name: {entry.blob for entry in table.entries if entry.kind == "blob"} for table in tables}
            for table, part in zip(meta.tables, parts):
                name = f"{table.sequence:08}.sst"
                if name in used and not used[name] <= part | of_any:
                    raise Damage(f"{meta.name}: {name} refers to other blobs than it says")
            if listed and meta.protection.version < 3 and len(tables) == len(meta.tables):
                unused = set(listed) - {entry.blob for table in tables for entry in table.entries}
                if unused:
                    raise Damage(f"{meta.name}: the protection section lists {min(unused):08}.blob, no entry does")

    def _check_certificates(self):
        """What the newest commit says of the live entries of each family is so (section 12). A shard says nothing."""
        protection = self.metas[-1].protection if self.metas and not self.shard else None
        for family, expected in (protection.certificates if protection else {}).items():
            newest_first = [table for table in reversed(self.tables) if table.family == family]
            found = content_digest(newest_first)
            if found != expected:
                raise Damage(f"{self.metas[-1].name}: the certificate of family {family} is of other entries")


def live_descriptions(chain):
    """Which descriptions count, oldest first: what was said of a table last (section 9).

    The chain has, for each meta file from the oldest to the newest, its obsolete numbers and those of its tables.
    """
    last = {}
    for place, (obsolete, described) in enumerate(chain):
        for sequence in obsolete:
            last[sequence] = None
        for index, sequence in enumerate(described):
            last[sequence] = (place, index)
    return sorted(live for live in last.values() if live is not None)


def content_digest(tables):
    """Number, bytes and digest of the live entries of tables, the newest of which comes first (section 12)."""
    known, entries, size, total = set(), 0, 0, 0
    for table in tables:
        ordinals = {}
        for entry in table.entries:
            ordinal = ordinals.get(entry.key, 0)
            ordinals[entry.key] = ordinal + 1
            if entry.key in known or entry.kind == "tombstone":
                continue
            kind = b"\x01" if ordinal == 0 else b"\x02" + ordinal.to_bytes(4, "big")
            value = hashlib.sha256(entry.value).digest()
            total += int.from_bytes(hashlib.sha256(kind + entry.key + value).digest(), "big")
            entries, size = entries + 1, size + len(entry.key) + len(entry.value)
        known.update(ordinals)
    return entries, size, (total % 2**256).to_bytes(32, "big")


def read_single(path):
    """Decodes a table that is in no directory, by the description beside it if there is one (section 9)."""
    beside = path.with_name(path.name + ".meta")
    if not beside.exists():
        return Table(path.name, path.read_bytes())
    meta = parse_meta(beside.name, beside.read_bytes(), None)
    if len(meta.tables) != 1:
        raise Damage(f"{beside.name}: describes {len(meta.tables)} tables, not one")
    return described_table(path.name, path.read_bytes(), meta, 0)


def described_table(name, data, meta, index):
    """Decodes a table and checks it against its description in a meta file."""
    description = meta.tables[index]
    if len(data) != description.file_size:
        raise Damage(f"{name}: {len(data)} bytes long, {meta.name} says {description.file_size}")
    entry_count, headers = meta.protection.tables[index] if meta.protection else (None, None)
    decode = _decoded if len(data) <= SMALL else _decoded.__wrapped__
    table = decode(name, data, None if headers is None else tuple(headers), description._replace(flags=0))
    if entry_count not in (None, len(table.entries)):
        raise Damage(f"{name}: {len(table.entries)} entries, {meta.name} says {entry_count}")
    return table


@functools.lru_cache(maxsize=256)
def _decoded(name, data, headers, description):
    """A table, checked against its description. One run may read thousands of directories with the same few small tables."""
    table = Table(name, data, headers)
    _check_description(name, table, description)
    return table


def parse_meta(name, data, sequence):
    """Decodes a `.meta` file (section 9). `sequence` is None for a description of a single table, where numbers mean nothing."""
    fields = Fields(data, name)
    if fields.u32() != META_MAGIC:
        raise Damage(f"{name}: not a meta file")
    family = fields.u32()
    obsolete = [fields.u32() for _ in _count(fields, 4)]
    rows = [(fields.u32(), fields.u16(), fields.u64(), fields.u64(), fields.u64(), fields.u32(), fields.u32())
            for _ in _count(fields, 38)]
    ends = [row[-1] for row in rows] + [fields.u32()]
    if ends != sorted(ends):
        raise Damage(f"{name}: a filter ends before the one in front of it")
    filters = [fields.take(end - start) for start, end in zip([0] + ends, ends)]
    if filters[-1]:
        quotient_filter.QuotientFilter(filters[-1], f"{name}: used-keys filter")
    tables = [Description(*row[:-1], filter_bytes) for row, filter_bytes in zip(rows, filters)]
    for description in tables:
        if description.min_hash > description.max_hash:
            raise Damage(f"{name}: the lowest hash of {description.sequence:08}.sst is above its highest")
    protection = _parse_protection(name, data, fields.position, sequence, tables, filters)
    described = [*(table.sequence for table in tables), *(protection.blobs if protection else ())]
    if sequence is not None and any(number >= sequence for number in described):
        raise Damage(f"{name}: describes file {max(described):08}, which is not older than itself")
    checksum = protection.checksum if protection else zlib.crc32(data)
    return Meta(name, sequence, family, obsolete, tables, protection, checksum)


def _count(fields, item_size):
    """The range of a u32 count of items that are still to be read."""
    count = fields.u32()
    if count * item_size > fields.remaining():
        raise Damage(f"{fields.where}: {count} items of {item_size} bytes in {fields.remaining()} bytes")
    return range(count)


def _parse_protection(name, data, start, sequence, tables, filters):
    """Decodes the protection section, None if nothing is behind the filter area."""
    where = f"{name}: protection section"
    size = len(data) - start - PROTECTION_TRAILER
    if size == -PROTECTION_TRAILER:
        return None
    if size < 0 or data[-4:] != PROTECTION_MAGIC:
        raise Damage(f"{where}: {len(data) - start} bytes behind the filter area are none")
    trailer = Fields(data[start + size:], where)
    if trailer.u32() != size:
        raise Damage(f"{where}: its length does not match")
    checksum = trailer.u32()
    if checksum != zlib.crc32(data[:-8]):
        raise Damage(f"{where}: checksum {zlib.crc32(data[:-8]):08x}, the file says {checksum:08x}")
    fields = Fields(data[start:start + size], where)
    version = fields.u32()
    if version not in PROTECTION_VERSIONS:
        raise UnknownVersion(f"{where}: version {version} is not known here")
    if version == 3:
        return _parse_headed(where, data, fields, sequence, tables, filters, checksum)
    rows = [(fields.u32(), fields.u32()) for _ in _count(fields, 8)]
    _check_list(where, rows, sequence)
    entry_counts_and_headers = [
        (fields.u64(), [fields.take(BLOCK_HEADER) for _ in range(table.block_count)]) for table in tables]
    blobs = _unique(where, [(fields.u32(), (fields.u64(), fields.take(BLOCK_HEADER))) for _ in _count(fields, 20)])
    certificates = {}
    if version == 2:
        certificates = _certificates(where, fields)
        if not certificates:
            raise Damage(f"{where}: certificates are missing")
    fields.finish()
    return Protection(version, dict(rows), {}, entry_counts_and_headers, blobs, certificates, checksum, sequence)


def _parse_headed(where, data, fields, sequence, tables, filters, checksum):
    """Decodes a protection section of version 3 behind its version."""
    tail = Fields(data[len(data) - PROTECTION_TRAILER - TAIL:], where)
    start_size, start_checksum, core_size, core_checksum = (tail.u32() for _ in range(4))
    core_start = len(data) - PROTECTION_TRAILER - TAIL - core_size
    if core_start < len(data) - PROTECTION_TRAILER - len(fields.data) + fields.position:
        raise Damage(f"{where}: its core is longer than itself")
    core = Fields(data[core_start:core_start + core_size], f"{where}: core")
    start = len(data) - PROTECTION_TRAILER - len(fields.data) - sum(map(len, filters))
    for name, covered, expected in (
        ("start of the file", data[:start_size], start_checksum),
        ("core", data[core_start:core_start + core_size + 12], core_checksum),
    ):
        if zlib.crc32(covered) != expected:
            raise Damage(f"{where}: checksum of the {name} does not match")
    if start_size != start:
        raise Damage(f"{where}: the start of the file has {start} bytes, not {start_size}")
    if core.u32() != 3:
        raise Damage(f"{where}: the core is of another version")
    core.u32()  # The kind of the commit: any number.
    commit = core.u32()
    live_count, live_checksum, blob_count, blob_checksum, used_keys = (core.u32() for _ in range(5))
    checks = [(core.u64(), core.u32(), core.u32()) for _ in tables]
    certificates = _certificates(where, core)
    extension = _extension(Fields(core.take(core.u32()), f"{where}: extension"))
    shard = _shard(extension.get(TAG_SHARD))
    core.finish()
    headers = [fields.take(BLOCK_HEADER * table.block_count) for table in tables]
    blobs, listed = fields.take(20 * blob_count), fields.take(28 * live_count)
    if fields.position != len(fields.data) - TAIL - core_size:
        raise Damage(f"{where}: bytes that nothing counts")
    areas = [(f"filter of {table.sequence:08}.sst", area, check[1]) for table, area, check in zip(tables, filters, checks)]
    areas += [(f"headers of {table.sequence:08}.sst", area, check[2])
              for table, area, check in zip(tables, headers, checks)]
    areas += [("used-keys filter", filters[-1], used_keys), ("blobs", blobs, blob_checksum),
              ("live meta files", listed, live_checksum)]
    for name, area, expected in areas:
        if zlib.crc32(area) != expected:
            raise Damage(f"{where}: checksum of the {name} does not match")
    rows = Fields(listed, where)
    rows = [(rows.u32(), rows.u32(), rows.u32(), rows.u64(), rows.u64()) for _ in range(live_count)]
    if any(row[3] > row[4] and row[3:] != NO_HASHES for row in rows):
        raise Damage(f"{where}: the lowest hash of a meta file is above its highest")
    is_part = sequence is not None and commit != sequence
    if is_part and (rows or certificates or commit < sequence):
        raise Damage(f"{where}: a part of a commit lists live meta files or certificates, or is newer than the commit")
    if not is_part:
        _check_list(where, [row[:2] for row in rows], sequence)
    blobs = Fields(blobs, where)
    blobs = [(blobs.u32(), (blobs.u64(), blobs.take(BLOCK_HEADER))) for _ in range(blob_count)]
    blob_parts = _blob_parts(where, extension.get(TAG_BLOBS), [number for number, _ in blobs], len(tables))
    blobs = _alike(where, blobs)
    parts = [(check[0], [area[at:at + BLOCK_HEADER] for at in range(0, len(area), BLOCK_HEADER)])
             for check, area in zip(checks, headers)]
    return Protection(3, {row[0]: row[1] for row in rows}, {row[0]: row[2:] for row in rows}, parts, blobs, certificates,
                      checksum, commit, blob_parts, shard)


def _extension(fields):
    """The values of the fields that came later than the rest of version 3, by tag. Other tags are of later builds."""
    values = {}
    while fields.remaining():
        tag, value = fields.u32(), Fields(fields.take(fields.u32()), fields.where)
        if tag <= max(values, default=-1):
            raise Damage(f"{fields.where}: tag {tag} behind tag {max(values)}")
        values[tag] = value
    lineage = values.get(TAG_LINEAGE)
    while lineage and lineage.remaining():
        lineage.u32(), lineage.u32()
    return values


def _shard(value):
    """Number, count, lowest and highest hash of a shard, if a field of the extension has them."""
    if value is None:
        return None
    shard = (value.u32(), value.u32(), value.u64(), value.u64())
    value.take(12)  # Number and checksums of the source's meta file.
    value.finish()
    if shard[0] >= shard[1] or shard[2] > shard[3]:
        raise Damage(f"{value.where}: shard {shard[0]} of {shard[1]} with hashes {shard[2]:016x} to {shard[3]:016x}")
    return shard


def _blob_parts(where, counts, numbers, table_count):
    """The blobs of each table and the rest of the list, if a field of the extension has the numbers of blobs."""
    if counts is None:
        if len(set(numbers)) != len(numbers):
            raise Damage(f"{where}: lists a file twice")
        return None
    ends = [0, *itertools.accumulate(counts.u32() for _ in range(table_count))]
    counts.finish()
    if ends[-1] > len(numbers):
        raise Damage(f"{where}: more blobs of tables than blobs")
    return [set(numbers[start:end]) for start, end in itertools.pairwise(ends)], set(numbers[ends[-1]:])


def _check_list(where, rows, sequence):
    """Numbers and checksums of the live meta files ascend, and end with the meta file itself."""
    if [row[0] for row in rows] != sorted({row[0] for row in rows}):
        raise Damage(f"{where}: live meta files are not in ascending order")
    if sequence is not None and (not rows or rows[-1] != (sequence, 0)):
        raise Damage(f"{where}: does not list itself as newest meta file")


def _certificates(where, fields):
    """Certificates by their families, which ascend."""
    rows = [(fields.u32(), (fields.u64(), fields.u64(), fields.take(32))) for _ in _count(fields, 52)]
    if [row[0] for row in rows] != sorted({row[0] for row in rows}):
        raise Damage(f"{where}: certificates are not in ascending order")
    return dict(rows)


def _alike(where, pairs):
    """The pairs as a dictionary; a number that comes twice has the same value both times."""
    known = dict(pairs)
    if any(known[number] != value for number, value in pairs):
        raise Damage(f"{where}: lists two files under one number")
    return known


def _unique(where, pairs):
    """The pairs as a dictionary; no number may come twice."""
    if len(dict(pairs)) != len(pairs):
        raise Damage(f"{where}: lists a file twice")
    return dict(pairs)


def _check_description(name, table, description):
    """Checks a table against its description, and its filter against its hashes (sections 9 and 10)."""
    hashes = [entry.hash for entry in table.entries]
    if len(table.blocks) != description.block_count:
        raise Damage(f"{name}: {len(table.blocks)} blocks, the meta file says {description.block_count}")
    if (hashes[0], hashes[-1]) != (description.min_hash, description.max_hash):
        raise Damage(f"{name}: hashes from {hashes[0]:016x} to {hashes[-1]:016x}, the meta file says "
                     f"{description.min_hash:016x} to {description.max_hash:016x}")
    if not description.filter:
        return
    where = f"{name}: filter"
    quotients = quotient_filter.QuotientFilter(description.filter, where)
    for key_hash in hashes:
        if not quotients.may_contain(key_hash):
            raise Damage(f"{where}: denies hash {key_hash:016x}")
    if description.filter != quotient_filter.build(hashes):
        raise Damage(f"{where}: is not the filter of the hashes in the table")
