"""Real files cut off, flipped, joined and spliced, in a fixed choice; the fuzzer makes the endless rest."""

from __future__ import annotations

import random
from collections.abc import Iterator

from graphopt.testing.hostile.build import data
from graphopt.testing.hostile.case import ANY_END, Case
from graphopt.testing.hostile.damage import DAMAGES
from graphopt.testing.hostile.seeds import own_seeds

EACH = 3


def cases() -> Iterator[Case]:
    """Each kind of damage to each of our own seeds; what remains may by chance be a model."""
    files = [data(model) for model in own_seeds().values()]
    for name, content in zip(own_seeds(), files, strict=True):
        for damage in DAMAGES:
            for index in range(EACH):
                rng = random.Random(f"{name} {damage.__name__} {index}")
                yield Case(f"{name}-{damage.__name__}-{index}", damage(rng, content, files), ANY_END)
