"""Reading big-endian fields from bytes nobody trusts."""


class Damage(Exception):
    """The bytes break a rule of docs/FORMAT.md. The text names file, place and cause in one line."""


class UnknownVersion(Exception):
    """A later build wrote the bytes. Nothing is said about damage."""


class Fields:
    """A cursor over `data`. Every read past the end is a `Damage` that names `where`."""

    def __init__(self, data, where):
        self.data = data
        self.where = where
        self.position = 0

    def take(self, count):
        """The next `count` bytes."""
        end = self.position + count
        if end > len(self.data):
            raise Damage(f"{self.where}: {count} bytes at offset {self.position} "
                         f"go past the end at {len(self.data)}")
        taken = self.data[self.position:end]
        self.position = end
        return taken

    def unsigned(self, size):
        """The next big-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def u8(self):
        return self.unsigned(1)

    def u16(self):
        return self.unsigned(2)

    def u24(self):
        return self.unsigned(3)

    def u32(self):
        return self.unsigned(4)

    def u64(self):
        return self.unsigned(8)

    def varint(self):
        """The next LEB128 integer of at most 64 bits: 7 bits per byte, lowest first."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >= 1 << 64 or (byte == 0 and shift > 0):
                    break
                return value
        raise Damage(f"{self.where}: varint before offset {self.position} is not a shortest 64-bit one")

    def remaining(self):
        """How many bytes are left."""
        return len(self.data) - self.position

    def finish(self):
        """States that nothing may be left."""
        if self.remaining():
            raise Damage(f"{self.where}: {self.remaining()} unused bytes at offset {self.position}")
