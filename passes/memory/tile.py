"""Run the first nodes of a network on parts of the image, one after another, so that none needs much memory.

Before: Conv - Relu - Conv on the whole image. After, for each tile: Slice - Conv - Relu - Conv; then Concat.
A tile reads the rows and columns that its outputs need, with exact halos, and pads at the image's borders
only, so that every output is computed from what it was computed from. Rows of the halos are computed more
than once: of all regions and grids that stay within the bytes allowed, the one with the fewest
multiply-accumulates is taken. (Patch-based inference: Lin et al., "MCUNetV2", 2021.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.ir import Changes, Names, opset, refresh_shapes, remove_node, replace_value
from graphopt.memory.graph_plan import Options, plan_graph
from graphopt.memory.order import Problem, trace
from graphopt.memory.steps import Steps
from graphopt.passes.memory._regions import POOLS, Range, Region, Slide, parts, regions
from graphopt.passes.memory._tiles import Tiling, tilings
from graphopt.pipeline import Pass

FIRST_OPSET = 10
"""From it on Slice takes its bounds as inputs."""

KEPT_ORDER = Options(reorder=False)


@dataclass(frozen=True)
class Tile(Pass):
    """Run the first nodes on parts of the image, so that less memory is needed.

    Attributes:
        max_memory: Bytes that all activations may take at a time; 0 for as few as can be had.
    """

    name: ClassVar[str] = "tile"

    max_memory: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        refresh_shapes(model)
        try:
            plan = plan_graph(model.graph, Dims(model).known_shape, KEPT_ORDER)
        except ModelError as error:
            changes.refuse("a value has no known size" if "memory" in error.message else error.message)
            return
        if self.max_memory and plan.peak <= self.max_memory:
            return
        problem = Problem.of(plan.storages)
        needs = trace(problem, plan.order).needs
        chosen = self._choose(plan.steps, needs, plan.peak)
        if chosen is None or opset(model) < FIRST_OPSET:
            changes.refuse("no first nodes that can work on parts of an image and need less so")
            return
        _Tiler(model, chosen).run()
        changes.add(f"{chosen.rows}x{chosen.columns} tiles of {len(chosen.region.members)} nodes")

    def _choose(self, steps: Steps, needs: Sequence[int], peak: int) -> Tiling | None:
        """The cheapest tiling within the budget, or the one that needs least; None if none needs less."""
        best: tuple[tuple[int, int, int], Tiling] | None = None
        found = list(regions(steps))
        for region, further in itertools.zip_longest(found, found[1:]):
            rest = max(needs[region.members[-1] + 1 :], default=0)
            if rest >= peak or (further is not None and region.goes_on_to(further)):
                continue
            for tiling in tilings(region):
                needed = max(rest, tiling.bytes)
                over = max(needed - self.max_memory, 0)
                key = (over, tiling.extra_macs, needed)
                if needed < peak and (best is None or key < best[0]):
                    best = (key, tiling)
        return None if best is None else best[1]


class _Tiler:
    """Writes the tiles of a region in its place."""

    def __init__(self, model: ir.Model, tiling: Tiling) -> None:
        self._graph = model.graph
        self._tiling = tiling
        self._region: Region = tiling.region
        self._steps = tiling.region.steps
        self._names = Names(model)
        self._made: list[ir.Node] = []
        self._numbers: dict[tuple[int, ...], ir.Value] = {}

    def run(self) -> None:
        region, steps = self._region, self._steps
        height, width = steps.shapes[region.target][2:]
        target = steps.values[region.target]
        strips = []
        for rows in parts(height, self._tiling.rows):
            tiles = [self._tile(rows, columns) for columns in parts(width, self._tiling.columns)]
            strips.append(self._join(tiles, 3, target))
        whole = self._join(strips, 2, target)
        self._graph.insert_after(steps.nodes[region.members[-1]], self._made)
        replace_value(target, whole, is_new=True)
        for step in reversed(region.members):
            remove_node(steps.nodes[step])

    def _tile(self, rows: Range, columns: Range) -> ir.Value:
        region, steps = self._region, self._steps
        needs = (region.needs(rows, 0), region.needs(columns, 1))
        size = steps.shapes[region.source][2:]
        made = {region.source: (steps.values[region.source], ((0, size[0]), (0, size[1])))}
        for step, slides in zip(region.members, region.slides, strict=True):
            node = steps.nodes[step]
            output = steps.index[node.outputs[0]]
            wanted = (needs[0][output], needs[1][output])
            inputs = []
            for value in node.inputs:
                index = None if value is None else steps.index.get(value)
                if index is None:
                    inputs.append(value)
                    continue
                reads = self._reads(index, slides, wanted)
                inputs.append(self._crop(*made[index], reads))
            attributes = self._attributes(node, slides, wanted)
            made[output] = (self._node(node.op_type, inputs, attributes, node.outputs[0]), wanted)
        return made[region.target][0]

    def _reads(
        self, value: int, slides: tuple[Slide, Slide], wanted: tuple[Range, Range]
    ) -> tuple[Range, Range]:
        """Rows and columns of an input that a window over some outputs reads."""
        found = []
        for axis, (slide, part) in enumerate(zip(slides, wanted, strict=True)):
            first, last = slide.reads(part)
            found.append((max(first, 0), min(last, self._steps.shapes[value][2 + axis])))
        return found[0], found[1]

    def _attributes(
        self, node: ir.Node, slides: tuple[Slide, Slide], wanted: tuple[Range, Range]
    ) -> list[ir.Attr]:
        """Those of the node, with the padding that is left of a tile."""
        if node.op_type not in ("Conv", *POOLS):
            return list(node.attributes.values())
        source = node.inputs[0]
        assert source is not None
        shape = self._steps.shapes[self._steps.index[source]]
        before, after = [], []
        for axis, (slide, part) in enumerate(zip(slides, wanted, strict=True)):
            first, last = slide.reads(part)
            before.append(max(-first, 0))
            after.append(max(last - shape[2 + axis], 0))
        kept = [each for name, each in node.attributes.items() if name not in ("pads", "auto_pad")]
        return [*kept, ir.AttrInt64s("pads", [*before, *after])]

    def _crop(self, value: ir.Value, have: tuple[Range, Range], want: tuple[Range, Range]) -> ir.Value:
        axes = [axis for axis in range(2) if have[axis] != want[axis]]
        if not axes:
            return value
        starts = [want[axis][0] - have[axis][0] for axis in axes]
        ends = [want[axis][1] - have[axis][0] for axis in axes]
        bounds = [self._ints(starts), self._ints(ends), self._ints([2 + axis for axis in axes])]
        return self._node("Slice", [value, *bounds], [], value)

    def _join(self, tiles: list[ir.Value], axis: int, like: ir.Value) -> ir.Value:
        return (
            tiles[0] if len(tiles) == 1 else self._node("Concat", tiles, [ir.AttrInt64("axis", axis)], like)
        )

    def _node(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Sequence[ir.Attr], like: ir.Value
    ) -> ir.Value:
        name = self._names.fresh(f"{like.name}/tile")
        output = ir.Value(name=name, type=like.type)
        self._made.append(ir.Node("", op_type, inputs, attributes, outputs=[output], name=name))
        return output

    def _ints(self, numbers: list[int]) -> ir.Value:
        key = tuple(numbers)
        if key not in self._numbers:
            name = self._names.fresh("bounds")
            tensor = ir.Tensor(np.array(numbers, dtype=np.int64), name=name)
            value = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT64), const_value=tensor)
            value.shape = ir.Shape((len(numbers),))
            self._graph.register_initializer(value)
            self._numbers[key] = value
        return self._numbers[key]
