"""The fuzzer: file `index` of a seed number is always the same mutant of the same model."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from graphopt.testing.hostile.damage import DAMAGES
from graphopt.testing.hostile.structure import mutate

_SHARE_OF_BYTES = 0.25
"""Of files damaged below the level of protobuf, which mostly never get past its parser."""
_DONORS = 4


@dataclass(frozen=True)
class Mutant:
    """A hostile file made from valid ones.

    Attributes:
        origin: The model it was made from, and how.
        data: Its bytes.
    """

    origin: str
    data: bytes


class Fuzzer:
    """Makes hostile files out of valid models.

    Args:
        models: The models, by name; only read. Equal models in equal order give equal files.
        seed: With `index`, all that chance depends on.
    """

    def __init__(self, models: Mapping[str, onnx.ModelProto], seed: int) -> None:
        self._models = dict(models)
        self._names = list(models)
        self._seed = seed

    def file(self, index: int) -> Mutant:
        """The file of that number."""
        rng = random.Random(f"{self._seed}:{index}")
        name = rng.choice(self._names)
        donors = [self._models[rng.choice(self._names)] for _ in range(_DONORS)]
        if rng.random() < _SHARE_OF_BYTES:
            damage = rng.choice(DAMAGES)
            data = damage(rng, _bytes(self._models[name]), [_bytes(donor) for donor in donors])
            return Mutant(f"{name}: {damage.__name__}", data)
        model = onnx.ModelProto()
        model.CopyFrom(self._models[name])
        try:
            done = mutate(rng, model, donors)
            return Mutant(f"{name}: {', '.join(done)}", _bytes(model))
        except DecodeError:  # grafted too deep to be copied
            return Mutant(f"{name}: truncate", _bytes(self._models[name])[: -rng.randint(1, 20)])


def _bytes(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))
