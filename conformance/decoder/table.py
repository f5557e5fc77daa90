"""A `.sst` file: one static sorted table (FORMAT.md, sections 2 to 6)."""

import zlib
from typing import NamedTuple, Optional

from fields import Damage, Fields
from lz4_block import decompress
from xxh3 import xxh3_64

BLOCK_HEADER = 8
MAX_BLOCKS = 65535
MAX_EMPTY_ENTRIES = 65535

KIND_INDEX = 0
VARIABLE_KINDS, FIXED_KINDS = (1, 2), (3, 4)
KINDS_WITH_HASHES = (1, 3)

TYPE_SMALL, TYPE_BLOB, TYPE_TOMBSTONE, TYPE_MEDIUM, TYPE_INLINE = 0, 1, 2, 3, 8
REFERENCE_SIZES = {TYPE_SMALL: 8, TYPE_BLOB: 4, TYPE_TOMBSTONE: 0, TYPE_MEDIUM: 2}


class Entry(NamedTuple):
    """One entry. `value` is None for a tombstone, and for a blob until its file is read."""

    hash: int
    key: bytes
    kind: str
    value: Optional[bytes] = None
    blob: Optional[int] = None


class Block:
    """One block of the file, with what its bytes are used for."""

    def __init__(self, where, framed):
        self.where = where
        self.compressed = framed[:4] != bytes(4)
        self.role = None
        self.used = 0
        self.payload = unframe(framed, where)

    def claim(self, role):
        """States that the block is of this kind; only small values may share one."""
        if self.role is not None and (self.role, role) != ("small", "small"):
            raise Damage(f"{self.where}: used as {self.role} block and again as {role} block")
        self.role = role
        return self.payload

    def small_value(self, offset, size):
        """A slice of a small value block. Values lie in the order of their entries, without gaps (section 5)."""
        payload = self.claim("small")
        if offset + size > len(payload):
            raise Damage(f"{self.where}: a value ends at {offset + size}, the block at {len(payload)}")
        if offset != self.used:
            raise Damage(f"{self.where}: a value starts at {offset}, the one before it ends at {self.used}")
        self.used = offset + size
        return payload[offset:self.used]

    def finish(self):
        """States that every byte of the block has been used."""
        if self.role is None:
            raise Damage(f"{self.where}: nothing refers to it")
        if self.role == "small" and self.used != len(self.payload):
            raise Damage(f"{self.where}: {len(self.payload) - self.used} unused bytes at the end")


class Table:
    """A decoded and completely checked table."""

    def __init__(self, name, data, headers=None):
        """`headers` are the copies of all block headers, where a meta file has them (section 9)."""
        self.blocks = _split(name, data, headers)
        self.entries = []
        for first_hash, key_block in _key_blocks(self.blocks):
            self._add_key_block(first_hash, key_block)
        for block in self.blocks:
            block.finish()

    def _add_key_block(self, first_hash, block):
        """Resolves the entries of a key block and checks their order (section 2) and place (sections 4 and 6)."""
        for at, (key_hash, key, entry_type, reference) in enumerate(_key_entries(block)):
            where = f"{block.where}: entry {at}"
            if key_hash is None:
                key_hash = xxh3_64(key)
            if at == 0 and first_hash not in (None, key_hash):
                raise Damage(f"{where}: hash {key_hash:016x}, the index block says {first_hash:016x}")
            if self.entries:
                _check_order(where, self.entries[-1], key_hash, key)
                if at == 0 and self.entries[-1].hash == key_hash:
                    raise Damage(f"{where}: entries with one hash are split across two key blocks")
            self.entries.append(Entry(key_hash, key, *self._resolve(where, entry_type, reference)))

    def _resolve(self, where, entry_type, reference):
        """Kind, value and blob number of an entry."""
        if entry_type >= TYPE_INLINE:
            return "inline", reference
        if entry_type == TYPE_TOMBSTONE:
            return "tombstone", None
        fields = Fields(reference, where)
        if entry_type == TYPE_BLOB:
            return "blob", None, fields.u32()
        index = fields.u16()
        if index >= len(self.blocks):
            raise Damage(f"{where}: refers to block {index} of {len(self.blocks)}")
        if entry_type == TYPE_MEDIUM:
            return "medium", self.blocks[index].claim("medium")
        size = fields.u16()
        return "small", self.blocks[index].small_value(fields.u32(), size)


def unframe(framed, where):
    """The payload behind a block header, which is also the header of a blob file (sections 3 and 8)."""
    header = Fields(framed[:BLOCK_HEADER], where)
    uncompressed_size, checksum = header.u32(), header.u32()
    stored = framed[BLOCK_HEADER:]
    if zlib.crc32(stored) != checksum:
        raise Damage(f"{where}: checksum {zlib.crc32(stored):08x}, the header says {checksum:08x}")
    return decompress(stored, uncompressed_size, where) if uncompressed_size else stored


def _split(name, data, headers):
    """The blocks, cut along the offset table, whose place its own last number tells (section 3)."""
    table_at = int.from_bytes(data[-4:], "big")
    table_size = len(data) - table_at
    if table_size % 4 or not 4 <= table_size <= 4 * MAX_BLOCKS:
        raise Damage(f"{name}: the last block ends at {table_at}, which cannot be in a file of {len(data)} bytes")
    offsets = Fields(data[table_at:], f"{name}: offset table")
    count = table_size // 4
    if headers is not None and len(headers) != count:
        raise Damage(f"{name}: {count} blocks, the meta file says {len(headers)}")
    blocks, start = [], 0
    for index in range(count):
        end = offsets.u32()
        if not start + BLOCK_HEADER <= end <= table_at:
            raise Damage(f"{name}: block {index} goes from {start} to {end}, the offset table starts at {table_at}")
        if headers is not None and data[start:start + BLOCK_HEADER] != headers[index]:
            raise Damage(f"{name}: block {index} has another header than the meta file says")
        blocks.append(Block(f"{name}: block {index}", data[start:end]))
        start = end
    return blocks


def _key_blocks(blocks):
    """The key blocks in order, each with its first hash; the index block has none for the first (section 6)."""
    where = blocks[-1].where
    index = Fields(blocks[-1].claim("index"), f"{where}: index block")
    if blocks[-1].compressed:
        raise Damage(f"{where}: the index block is compressed")
    if index.u8() != KIND_INDEX:
        raise Damage(f"{where}: the last block is not an index block")
    first_hash, number, last_number = None, index.u16(), -1
    while True:
        if not last_number < number < len(blocks) - 1:
            raise Damage(f"{where}: key block {number} behind {last_number}, of {len(blocks)} blocks")
        blocks[number].claim("key")
        yield first_hash, blocks[number]
        if not index.remaining():
            return
        first_hash, number, last_number = index.u64(), index.u16(), number


def _key_entries(block):
    """Hash (None where not stored), key, type and value reference of each entry of a key block (section 4)."""
    fields = Fields(block.payload, block.where)
    kind, count = fields.u8(), fields.u24()
    if kind not in VARIABLE_KINDS + FIXED_KINDS:
        raise Damage(f"{block.where}: {kind} is not a kind of key block")
    if count == 0:
        raise Damage(f"{block.where}: key block without entries")
    hash_size = 8 if kind in KINDS_WITH_HASHES else 0
    cut = _cut_variable(fields, count) if kind in VARIABLE_KINDS else _cut_fixed(fields, count, hash_size)
    for entry_type, entry in cut:
        key_end = len(entry) - _reference_size(block.where, entry_type)
        if key_end < hash_size:
            raise Damage(f"{block.where}: an entry of {len(entry)} bytes is too short for type {entry_type}")
        key_hash = int.from_bytes(entry[:8], "big") if hash_size else None
        yield key_hash, entry[hash_size:key_end], entry_type, entry[key_end:]


def _cut_variable(fields, count):
    """Type and bytes of each entry, cut along the position table."""
    table = [fields.u32() for _ in range(count)]
    entries_size = fields.remaining()
    positions = [word & 0xFFFFFF for word in table] + [entries_size]
    if positions[0] != 0:
        raise Damage(f"{fields.where}: {positions[0]} unused bytes before the first entry")
    for at, word in enumerate(table):
        if not positions[at] <= positions[at + 1] <= entries_size:
            raise Damage(f"{fields.where}: entry {at} goes from {positions[at]} to {positions[at + 1]} "
                         f"of {entries_size}")
        yield word >> 24, fields.take(positions[at + 1] - positions[at])


def _cut_fixed(fields, count, hash_size):
    """Type and bytes of each entry, all of one type and size."""
    key_size, entry_type = fields.u8(), fields.u8()
    stride = hash_size + key_size + _reference_size(fields.where, entry_type)
    if count * stride != fields.remaining():
        raise Damage(f"{fields.where}: {count} entries of {stride} bytes in {fields.remaining()} bytes")
    if stride == 0 and count > MAX_EMPTY_ENTRIES:
        raise Damage(f"{fields.where}: {count} entries of no bytes")
    for _ in range(count):
        yield entry_type, fields.take(stride)


def _reference_size(where, entry_type):
    """Bytes of the value reference of an entry type."""
    if entry_type >= TYPE_INLINE:
        return entry_type - TYPE_INLINE
    if entry_type not in REFERENCE_SIZES:
        raise Damage(f"{where}: {entry_type} is not an entry type")
    return REFERENCE_SIZES[entry_type]


def _check_order(where, last, key_hash, key):
    """Entries ascend by (hash, key); behind a tombstone its key does not come again (section 2)."""
    if (key_hash, key) < (last.hash, last.key):
        raise Damage(f"{where}: lies behind an entry with a greater hash or key")
    if last.kind == "tombstone" and (key_hash, key) == (last.hash, last.key):
        raise Damage(f"{where}: lies behind the tombstone of its key")
