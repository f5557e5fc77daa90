"""XXH3-64 with seed 0 and the default secret: the key hash (FORMAT.md, section 2)."""

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)

PRIME32_1, PRIME32_2, PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
PRIME64_1, PRIME64_2, PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
PRIME64_4, PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
PRIME_MX1, PRIME_MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25

MASK = (1 << 64) - 1
STRIPE = 64
LANES = range(0, STRIPE, 8)
STRIPES_PER_BLOCK = (192 - STRIPE) // 8
LONG_START = (PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1)


def xxh3_64(data):
    """The hash of `data`; each range of lengths has an algorithm of its own."""
    size = len(data)
    if size == 0:
        return _avalanche_xxh64(_read64(SECRET, 56) ^ _read64(SECRET, 64))
    if size <= 3:
        return _hash_1_to_3(data, size)
    if size <= 8:
        return _hash_4_to_8(data, size)
    if size <= 16:
        return _hash_9_to_16(data, size)
    if size <= 128:
        return _hash_17_to_128(data, size)
    if size <= 240:
        return _hash_129_to_240(data, size)
    return _hash_long(data, size)


def _hash_1_to_3(data, size):
    combined = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
    return _avalanche_xxh64(combined ^ _read32(SECRET, 0) ^ _read32(SECRET, 4))


def _hash_4_to_8(data, size):
    combined = _read32(data, size - 4) + (_read32(data, 0) << 32)
    mixed = combined ^ _read64(SECRET, 8) ^ _read64(SECRET, 16)
    mixed ^= _rotate_left(mixed, 49) ^ _rotate_left(mixed, 24)
    mixed = mixed * PRIME_MX2 & MASK
    mixed ^= (mixed >> 35) + size
    mixed = mixed * PRIME_MX2 & MASK
    return mixed ^ mixed >> 28


def _hash_9_to_16(data, size):
    low = _read64(data, 0) ^ _read64(SECRET, 24) ^ _read64(SECRET, 32)
    high = _read64(data, size - 8) ^ _read64(SECRET, 40) ^ _read64(SECRET, 48)
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    return _avalanche(size + swapped + high + _fold(low, high))


def _hash_17_to_128(data, size):
    total = size * PRIME64_1
    for pair in range((size - 1) // 32, -1, -1):
        total += _mix16(data, 16 * pair, 32 * pair)
        total += _mix16(data, size - 16 * (pair + 1), 32 * pair + 16)
    return _avalanche(total)


def _hash_129_to_240(data, size):
    total = size * PRIME64_1
    for index in range(8):
        total += _mix16(data, 16 * index, 16 * index)
    total = _avalanche(total)
    for index in range(8, size // 16):
        total += _mix16(data, 16 * index, 16 * (index - 8) + 3)
    return _avalanche(total + _mix16(data, size - 16, 136 - 17))


def _hash_long(data, size):
    lanes = list(LONG_START)
    last_stripe = (size - 1) // STRIPE
    for stripe in range(last_stripe):
        in_block = stripe % STRIPES_PER_BLOCK
        _accumulate(lanes, data, STRIPE * stripe, 8 * in_block)
        if in_block == STRIPES_PER_BLOCK - 1:
            _scramble(lanes)
    _accumulate(lanes, data, size - STRIPE, len(SECRET) - STRIPE - 7)
    total = size * PRIME64_1
    for pair in range(4):
        total += _fold(lanes[2 * pair] ^ _read64(SECRET, 11 + 16 * pair),
                       lanes[2 * pair + 1] ^ _read64(SECRET, 19 + 16 * pair))
    return _avalanche(total)


def _accumulate(lanes, data, at, secret_at):
    """Adds one stripe of 64 bytes to the eight lanes."""
    for lane, shift in enumerate(LANES):
        word = _read64(data, at + shift)
        keyed = word ^ _read64(SECRET, secret_at + shift)
        lanes[lane ^ 1] = lanes[lane ^ 1] + word & MASK
        lanes[lane] = lanes[lane] + (keyed & 0xFFFFFFFF) * (keyed >> 32) & MASK


def _scramble(lanes):
    """Ends a block of stripes."""
    for lane, shift in enumerate(LANES):
        mixed = lanes[lane] ^ lanes[lane] >> 47 ^ _read64(SECRET, len(SECRET) - STRIPE + shift)
        lanes[lane] = mixed * PRIME32_1 & MASK


def _mix16(data, at, secret_at):
    return _fold(_read64(data, at) ^ _read64(SECRET, secret_at),
                 _read64(data, at + 8) ^ _read64(SECRET, secret_at + 8))


def _fold(left, right):
    """The halves of the 128-bit product, combined by exclusive or."""
    product = left * right
    return product & MASK ^ product >> 64


def _avalanche(value):
    value &= MASK
    value = (value ^ value >> 37) * PRIME_MX1 & MASK
    return value ^ value >> 32


def _avalanche_xxh64(value):
    value = (value ^ value >> 33) * PRIME64_2 & MASK
    value = (value ^ value >> 29) * PRIME64_3 & MASK
    return value ^ value >> 32


def _rotate_left(value, count):
    return (value << count | value >> 64 - count) & MASK


def _read32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def _read64(data, at):
    return int.from_bytes(data[at:at + 8], "little")
