"""The zoo's `light_*` models with weights drawn anew: those that they have are all equal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import zoo
from onnx import numpy_helper


@dataclasses.dataclass(frozen=True)
class Randomized:
    """A `light_*` model with weights drawn anew, He-normal where they are multiplied."""

    entry: zoo.Entry
    source = "onnx: onnx/backend/test/data/light"

    def locate(self, name: str) -> Path:
        target = zoo.cache() / "random" / f"{name}.onnx"
        if not target.exists():
            model = randomized(onnx.load(self.entry.path()))
            target.parent.mkdir(parents=True, exist_ok=True)
            onnx.save(model, target)
        return target


def randomized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with random initializers in place of what ConstantOfShape makes."""
    rng, graph = np.random.default_rng(0), model.graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    makers = [node for node in graph.node if node.op_type == "ConstantOfShape" and node.input[0] in stored]
    uses = {
        name: (node.op_type, index)
        for node in graph.node
        for index, name in reversed([*enumerate(node.input)])
    }
    for maker in makers:
        shape = tuple(int(size) for size in stored[maker.input[0]])
        array = _drawn(rng, uses.get(maker.output[0], ("", 0)), shape).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(array, maker.output[0]))
        graph.node.remove(maker)
    fixed = {each.name for each in graph.initializer}
    for value in [value for value in graph.input if value.name in fixed]:
        graph.input.remove(value)
    model.ir_version = max(model.ir_version, 8)
    return model


def _drawn(rng: np.random.Generator, use: tuple[str, int], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    operator, index = use
    if operator == "BatchNormalization":
        low, high = {1: (0.6, 1.0), 4: (0.8, 1.2)}.get(index, (-0.1, 0.1))
        return rng.uniform(low, high, shape)
    fan = int(np.prod(shape[1:])) if operator in ("Conv", "Gemm") and index == 1 else 400
    return rng.normal(0, (2 / fan) ** 0.5, shape)


def entry_of(name: str) -> zoo.Entry:
    """A model of the zoo, with weights that are not all equal."""
    entry = zoo.ZOO[name]
    if not name.startswith("light_"):
        return entry
    origin = Randomized(entry)
    return dataclasses.replace(entry, name=f"{name}-random", origin=origin)  # type: ignore[arg-type]
