# SPDX-License-Identifier: MIT
"""What the tests' disk images contain: sectors that tell which they are (virtio.c has the same)."""
import struct

SECTOR = 512
MASK = (1 << 64) - 1
WORDS = b"".join(struct.pack("<Q", i * 0x9E3779B97F4A7C15 & MASK) for i in range(1, SECTOR // 8 + 1))
BASE = int.from_bytes(WORDS, "little")


def filled(seed):
    """A sector's contents; those of an image are filled by their own numbers."""
    mask = struct.pack("<Q", seed * 0xD1342543DE82EF95 & MASK) * (SECTOR // 8)
    return (BASE ^ int.from_bytes(mask, "little")).to_bytes(SECTOR, "little")


def seed_of(sector):
    """The seed that fills it so, "zero", or None."""
    word = (struct.unpack_from("<Q", sector)[0] ^ struct.unpack_from("<Q", WORDS)[0]) & MASK
    seed = word * pow(0xD1342543DE82EF95, -1, 1 << 64) & MASK
    if sector == filled(seed):
        return seed
    return "zero" if not any(sector) else None


def make_image(path, sectors, patterned=None):
    """A new image; only the first sectors have contents if patterned says how many."""
    with open(path, "wb") as file:
        file.write(b"".join(filled(i) for i in range(sectors if patterned is None else patterned)))
        file.truncate(sectors * SECTOR)


def read_sectors(path, first, count):
    with open(path, "rb") as file:
        file.seek(first * SECTOR)
        data = file.read(count * SECTOR)
    return [data[i:i + SECTOR] for i in range(0, len(data), SECTOR)]


def differences(path, sectors, wanted=()):
    """Where the image is not as it was made, but for what is wanted: {sector: seed, "zero", or None for anything}."""
    wanted = dict(wanted)
    found = []
    for number, data in enumerate(read_sectors(path, 0, sectors)):
        seed = wanted.get(number, number)
        if seed is not None and data != (bytes(SECTOR) if seed == "zero" else filled(seed)):
            found.append(f"sector {number} is {seed_of(data)}, not {seed}")
    return found
