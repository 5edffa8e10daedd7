"""Damage that knows nothing of what the bytes mean: flipped bits, cuts, splices, repeats."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_MOST_FLIPS = 16
_MOST_REPEATS = 64


def flip_bits(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """A few bits the other way round."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, _MOST_FLIPS)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def set_bytes(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """A few bytes replaced by extreme ones."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(damaged)


def truncate(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """The beginning alone."""
    return data[: rng.randrange(len(data))]


def cut_out(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """Without a piece in the middle."""
    begin, end = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:begin] + data[end:]


def repeat(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """A short piece many times."""
    begin = rng.randrange(len(data))
    piece = data[begin : begin + rng.randint(1, 64)]
    return data[:begin] + piece * rng.randint(2, _MOST_REPEATS) + data[begin:]


def splice(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(donors)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def append(rng: random.Random, data: bytes, donors: Sequence[bytes]) -> bytes:
    """Another file behind: protobuf merges the two messages."""
    return data + rng.choice(donors)


DAMAGES: tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...] = (
    flip_bits,
    set_bytes,
    truncate,
    cut_out,
    repeat,
    splice,
    append,
)
