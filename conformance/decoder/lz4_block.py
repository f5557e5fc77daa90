"""One raw LZ4 block, without frame and size prefix (FORMAT.md, section 3)."""

from fields import Damage, Fields

MAX_RATIO = 255
"""No LZ4 block decodes to more than this multiple of its length (FORMAT.md, section 11)."""

MIN_MATCH = 4


def decompress(stored, size, where):
    """Decodes `stored`, which must give exactly `size` bytes."""
    if size > MAX_RATIO * len(stored):
        raise Damage(f"{where}: {len(stored)} stored bytes cannot decode to {size}")
    block = Fields(stored, f"{where}: LZ4 block")
    out = bytearray()
    while True:
        token = block.u8()
        out += block.take(_length(block, token >> 4))
        if not block.remaining():
            break
        offset = int.from_bytes(block.take(2), "little")
        count = _length(block, token & 15) + MIN_MATCH
        if not 0 < offset <= len(out):
            raise Damage(f"{where}: LZ4 match reaches {offset} bytes back, {len(out)} are decoded")
        if len(out) + count > size:
            break
        _copy_match(out, offset, count)
    if block.remaining() or len(out) != size:
        raise Damage(f"{where}: LZ4 block does not decode to the stated {size} bytes")
    return bytes(out)


def _length(block, nibble):
    """A length: the nibble, and as long as the last byte was full one more byte."""
    length = last = nibble
    if nibble == 15:
        last = 255
    while last == 255:
        last = block.u8()
        length += last
    return length


def _copy_match(out, offset, count):
    """Appends `count` bytes from `offset` back; what a match writes may be part of what it reads."""
    start = len(out) - offset
    pattern = bytes(out[start:start + count])
    out += (pattern * (count // len(pattern) + 1))[:count]
