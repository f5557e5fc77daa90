"""The rank-select quotient filter over the hashes of a table (FORMAT.md, section 10).

Slots come in blocks of 64. Each slot has a bit `occupied` (some fingerprint has this slot as its quotient), a bit
`runend` (the last remainder of a run lies here) and room for a remainder. The remainders of one quotient are a run:
neighbouring slots, ascending. Runs are in the order of their quotients; each starts at its quotient, or behind the run
before it where that is later; behind the last slot comes the first. The offset of a block is how many of its first
slots are taken by runs of earlier quotients; the byte 255 stands for 255 or more.
"""

from fields import Damage, Fields

SLOTS_PER_BLOCK = 64
OCCUPIEDS_AT, RUNENDS_AT, REMAINDERS_AT = 1, 9, 17
"""Where the parts of a block are; byte 0 is its offset."""

PADDING = bytes(8)
OFFSET_FULL = 255
REMAINDER_BITS = 7
"""Enough for a false-positive rate of 1 %: -log2(0.01), rounded."""


class QuotientFilter:
    """A serialized filter, queried in place."""

    def __init__(self, data, where):
        fields = Fields(data, where)
        self.where = where
        self.buffer = fields.take(fields.varint())
        self.count = fields.varint()
        self.quotient_bits = fields.u8()
        self.remainder_bits = fields.u8()
        has_maximum = fields.u8()
        if has_maximum > 1:
            raise Damage(f"{where}: option byte {has_maximum}")
        fields.take(has_maximum)
        fields.finish()
        self._check_shape()

    def _check_shape(self):
        q, r = self.quotient_bits, self.remainder_bits
        if q < 6 or r < 1 or q + r > 64:
            raise Damage(f"{self.where}: {q} quotient bits with {r} remainder bits")
        self.slots = 1 << q
        self.blocks = self.slots // SLOTS_PER_BLOCK
        self.block_size = REMAINDERS_AT + 8 * r
        if len(self.buffer) != self.blocks * self.block_size + len(PADDING):
            raise Damage(f"{self.where}: a buffer of {len(self.buffer)} bytes is not {self.blocks} blocks")
        if self.count > self.slots:
            raise Damage(f"{self.where}: {self.count} fingerprints in {self.slots} slots")

    def may_contain(self, key_hash):
        """False only if no entry with this hash was put in."""
        fingerprint = key_hash & (self.slots << self.remainder_bits) - 1
        quotient, remainder = divmod(fingerprint, 1 << self.remainder_bits)
        if not self._bit(OCCUPIEDS_AT, quotient):
            return False
        first = self._run_start(quotient)
        for slot in range(first, first + self.slots):
            if self._remainder(slot) == remainder:
                return True
            if self._bit(RUNENDS_AT, slot):
                return False
        raise Damage(f"{self.where}: the run of quotient {quotient} does not end")

    def _run_start(self, quotient):
        """The first slot of the run of an occupied quotient: behind the earlier runs of its block."""
        block, position = divmod(quotient, SLOTS_PER_BLOCK)
        earlier = self._occupieds(block) & (1 << position) - 1
        return max(quotient, self._skip_runs(self._first_run(block), earlier.bit_count()))

    def _first_run(self, block):
        """The slot at or behind which the runs of `block` start; slots are a ring, so any number means one."""
        base = block
        while self._offset(base) == OFFSET_FULL:
            base -= 1
            if block - base == self.blocks:
                raise Damage(f"{self.where}: no block says where its runs start")
        slot = base * SLOTS_PER_BLOCK + self._offset(base)
        for earlier in range(base, block):
            slot = self._skip_runs(slot, self._occupieds(earlier).bit_count())
        return slot

    def _skip_runs(self, slot, count):
        """The slot behind the next `count` run ends, `slot` itself if there are none to skip."""
        for _ in range(self.slots + 1):
            if count == 0:
                return slot
            count -= self._bit(RUNENDS_AT, slot)
            slot += 1
        raise Damage(f"{self.where}: more occupied quotients than run ends")

    def _block_at(self, block):
        return block % self.blocks * self.block_size

    def _offset(self, block):
        return self.buffer[self._block_at(block)]

    def _occupieds(self, block):
        at = self._block_at(block) + OCCUPIEDS_AT
        return int.from_bytes(self.buffer[at:at + 8], "little")

    def _bit(self, part, slot):
        block, position = divmod(slot, SLOTS_PER_BLOCK)
        return self.buffer[self._block_at(block) + part + position // 8] >> position % 8 & 1

    def _remainder(self, slot):
        block, position = divmod(slot, SLOTS_PER_BLOCK)
        byte, shift = divmod(position * self.remainder_bits, 8)
        at = self._block_at(block) + REMAINDERS_AT + byte
        return int.from_bytes(self.buffer[at:at + 9], "little") >> shift & (1 << self.remainder_bits) - 1


def build(hashes):
    """The bytes of the filter of a table whose entries have these hashes, one for each entry."""
    quotient_bits = 6
    while len(hashes) > -(-(19 << quotient_bits) // 20):
        quotient_bits += 1
    slots = 1 << quotient_bits
    fingerprints = sorted({key_hash & (slots << REMAINDER_BITS) - 1 for key_hash in hashes})
    runs = {}
    for fingerprint in fingerprints:
        quotient, remainder = divmod(fingerprint, 1 << REMAINDER_BITS)
        runs.setdefault(quotient, []).append(remainder)
    buffer = _encode_blocks(runs, slots) + PADDING
    tail = bytes([quotient_bits, REMAINDER_BITS, 0])
    return _varint(len(buffer)) + buffer + _varint(len(fingerprints)) + tail


def _encode_blocks(runs, slots):
    """The blocks that hold `runs`: lists of remainders by quotient, ascending."""
    wrapped, starts = _place(runs, slots)
    blocks = range(slots // SLOTS_PER_BLOCK)
    occupieds, runends, remainders = ([0 for _ in blocks] for _ in range(3))
    behind = [wrapped for _ in range(len(blocks) + 1)]
    for quotient, start in starts.items():
        occupieds[quotient // SLOTS_PER_BLOCK] |= 1 << quotient % SLOTS_PER_BLOCK
        for slot, remainder in enumerate(runs[quotient], start):
            block, position = divmod(slot % slots, SLOTS_PER_BLOCK)
            remainders[block] |= remainder << position * REMAINDER_BITS
        runends[block] |= 1 << position
        behind[quotient // SLOTS_PER_BLOCK + 1] = slot + 1
    out = bytearray()
    for block in blocks:
        behind[block] = max(behind[max(block - 1, 0):block + 1])
        taken = max(0, behind[block] - block * SLOTS_PER_BLOCK)
        out.append(min(taken, OFFSET_FULL))
        out += occupieds[block].to_bytes(8, "little") + runends[block].to_bytes(8, "little")
        out += remainders[block].to_bytes(8 * REMAINDER_BITS, "little")
    return bytes(out)


def _place(runs, slots):
    """How many slots the runs need behind the last one, and the slot where each run starts. What does not fit at the
    end wraps around and pushes the first runs on, which may push the last ones on in turn."""
    wrapped, behind = None, slots
    while wrapped != max(0, behind - slots):
        wrapped = behind = max(0, behind - slots)
        starts = {}
        for quotient, remainders in runs.items():
            starts[quotient] = max(behind, quotient)
            behind = starts[quotient] + len(remainders)
    return wrapped, starts


def _varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])
