"""Which nodes accuracy keeps in float, where the noise of each is known and they add up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import onnx_ir as ir
import pytest

from graphopt.compile.quantization import Int8
from graphopt.compile.quantization.attempts import FOR_ACCURACY, Attempt, Attempts
from graphopt.compile.quantization.mixed import without_what_is_inaccurate

HEAVY = [f"product_{index}" for index in range(4)]
LIGHT = ["exp_0", "exp_1", "tanh_0"]


def _model() -> ir.Model:
    """A chain in which every node reads codes."""
    body, last = [], "x"
    for index, name in enumerate([*HEAVY, *LIGHT]):
        op = f"MatMul(d{index}, w)" if name in HEAVY else f"{name.split('_')[0].title()}(d{index})"
        body.append(
            f"q{index} = QuantizeLinear({last}, s, z) d{index} = DequantizeLinear(q{index}, s, z)"
            f" [{name}] v{index} = {op}"
        )
        last = f"v{index}"
    return ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,1] x, float[1,1] w) => (float[1,1] y)'
        f"<float s = {{0.1}}, uint8 z = {{128}}> {{ {' '.join(body)} y = Identity({last}) }}"
    )


MODEL = _model()


class Additive:
    """Attempts whose noise is the sum of that of their quantized nodes."""

    def __init__(self, noise: Mapping[str, float], allowed: float, breaks: str = "") -> None:
        self.noise, self.allowed = noise, allowed
        self.notes: list[str] = []
        self.breaks = breaks

    def left(self, keep: Mapping[str, str]) -> float:
        return sum(noise for name, noise in self.noise.items() if name not in keep)

    def noise_without(self, attempt: Attempt, keep: Mapping[str, str]) -> float | None:
        kept = {**attempt.keep, **keep}
        return math.inf if self.breaks and self.breaks in kept else self.left(kept)

    def without(self, attempt: Attempt, keep: Mapping[str, str]) -> Attempt | None:
        return _attempt({**attempt.keep, **keep})

    def is_accurate(self, attempt: Attempt) -> bool:
        return self.left(attempt.keep) <= self.allowed

    def out_of_time(self) -> bool:
        return False


def _attempt(keep: Mapping[str, str]) -> Attempt:
    made: Any = SimpleNamespace(model=MODEL)
    return Attempt(Int8(), made, made, None, keep)


def _kept(noise: Mapping[str, float], allowed: float, breaks: str = "") -> list[str]:
    attempts = cast(Attempts, Additive({**dict.fromkeys([*HEAVY, *LIGHT], 0.01), **noise}, allowed, breaks))
    kept = without_what_is_inaccurate(attempts, _attempt({})).keep
    assert set(kept.values()) <= {FOR_ACCURACY}
    return sorted(kept)


@pytest.mark.parametrize(
    ("noise", "allowed", "kept"),
    [
        ({}, 1.0, []),
        ({"product_1": 1.0}, 0.1, ["product_1"]),
        ({"product_1": 1.0, "product_3": 0.2}, 0.1, ["product_1", "product_3"]),
        ({"exp_0": 0.5, "exp_1": 0.5}, 0.1, ["exp_0", "exp_1"]),
        ({"tanh_0": 1.0, "product_2": 0.2}, 0.1, ["product_2", "tanh_0"]),
        # Out of reach: what stands out goes, and no more.
        ({"product_1": 1.0, "tanh_0": 1.0}, -math.inf, ["product_1", "tanh_0"]),
        (dict.fromkeys((*HEAVY, *LIGHT), 0.1), -math.inf, []),
    ],
)
def test_the_fewest_stay_in_float(noise: dict[str, float], allowed: float, kept: list[str]) -> None:
    assert _kept(noise, allowed) == kept


def test_what_breaks_the_model_in_float_stays_quantized() -> None:
    assert _kept({"product_1": 1.0, "tanh_0": 0.2}, 0.3, breaks="tanh_0") == ["product_1"]
