"""Take whole residual branches out, those that the outputs miss least for what they take.

    y = Add(x, Conv(Relu(Conv(x))))    ->    y = x

Shapes do not change, since a branch is only taken where it starts from the value that it is added to. What a
branch is worth is measured: with each of them gone the model runs on calibration data, and how far its
outputs move is held against the MACs. What follows is fitted by least squares to what it gave before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.cost import SHAPES_KEY, estimate
from graphopt.errors import UsageError
from graphopt.execute import PROGRESS_KEY
from graphopt.ir import Changes, Operator, refresh_shapes
from graphopt.passes.pruning._compensate import compensate
from graphopt.passes.pruning._parts import parts
from graphopt.passes.pruning._samples import samples_to_fit
from graphopt.passes.pruning._sensitivity import Outputs
from graphopt.pipeline import Pass
from graphopt.pruning.blocks import WEIGHING, Block, residual_blocks
from graphopt.pruning.compensation import PARTS

PRUNED_KEY = "graphopt.blocks"
"""Under it a model's `meta` holds what took blocks out, so that a second run changes nothing."""
FEW_SAMPLES = 8
"""Samples that tell what a block is worth."""


@dataclass(frozen=True)
class PruneBlocks(Pass):
    """Remove the residual branches that matter least.

    Attributes:
        rate: Share of the model's MACs that goes at most.
        most: Noise over signal at the outputs that a branch may cost by itself, before anything makes up for
            it.
        compensate: Fit weights behind on calibration data.
        data: A folder or file of sets of inputs; by default what the caller hands over with the model.
        rows: Outputs of a layer to fit it to, of all samples together.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "prune-blocks"
    lossy: ClassVar[bool] = True
    rate: float = 0.2
    most: float = 1.0
    compensate: bool = True
    data: str = ""
    rows: int = 8192
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 1.0:
            raise UsageError(
                f"prune-blocks: the rate is {self.rate:g}, expected a share between 0 and 1",
                hint="0.2 takes blocks out that make up at most 20% of the MACs",
            )
        if self.rows < 1 or not self.most > 0:
            raise UsageError(
                f"prune-blocks: rows={self.rows}, most={self.most:g}; expected 1 or more, and more than 0"
            )

    @property
    def needs_data(self) -> bool:
        """Whether no data of its own are named."""
        return not self.data

    @property
    def largest_error(self) -> float:
        """Nothing is said of how far outputs move."""
        return 1.0

    def roots(self) -> frozenset[Operator]:
        """Operators that a branch has."""
        return frozenset(("", op_type) for op_type in WEIGHING)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if PRUNED_KEY in model.meta:
            return
        refresh_shapes(model)
        blocks = residual_blocks(model)
        if not blocks:
            changes.refuse("no branch with weights starts from the value that it is added to")
            return
        samples = samples_to_fit(model, self.data)
        if not samples:
            raise UsageError(
                "what a block is worth is measured on calibration data, and there are none",
                hint=f"name a folder or an .npz file: {self.name}{{data=PATH}}",
            )
        chosen = self._chosen(model, blocks, samples, changes)
        whole = model.clone() if self.compensate else None
        left_out = [skip_over(model, block) for block in reversed(chosen)]
        if whole is not None and chosen:
            gone = {(block.name, -1): np.zeros(0, np.int64) for block in chosen}
            compensate(
                model, whole, gone, samples, parts(whole, samples, self.threads, PARTS), rows=self.rows,
                threads=self.threads, tell=model.meta.get(PROGRESS_KEY, lambda done, total: None),
            )  # fmt: skip
        for node in left_out:
            changes.add("blocks")
            _drop(node)
        model.meta[PRUNED_KEY] = self.name

    def _chosen(
        self, model: ir.Model, blocks: Sequence[Block], samples: Sequence[Mapping[str, Any]], changes: Changes
    ) -> list[Block]:
        """The blocks to take, the cheapest by noise for MACs first, as long as the rate allows."""
        cost = estimate(model, shapes=model.meta.get(SHAPES_KEY))
        macs = {each.name: each.macs for each in cost.nodes}
        outputs = Outputs(model, samples[:FEW_SAMPLES], self.threads)
        priced = []
        for place, block in enumerate(blocks):
            work = sum(
                macs.get(node.name or "") or macs.get(node.outputs[0].name or "", 0) for node in block.branch
            )
            share = work / max(cost.macs, 1)
            if not 0.0 < share <= self.rate:
                changes.refuse("it takes a larger share of the MACs than is to go", block.name)
                continue
            trial = model.clone()
            skip_over(trial, residual_blocks(trial)[place])
            noise = outputs.noise(trial)
            if noise is None or not noise <= self.most:
                changes.refuse("the outputs move too far without it", block.name)
            else:
                priced.append((noise / share, place, share))
        left = self.rate
        chosen: list[int] = []
        taken: set[ir.Node] = set()
        for _, place, share in sorted(priced):
            nodes = {blocks[place].add, *blocks[place].branch}
            if share <= left and not nodes & taken:
                left -= share
                taken |= nodes
                chosen.append(place)
        return [blocks[place] for place in sorted(chosen)]


def skip_over(model: ir.Model, block: Block) -> ir.Node:
    """Put an Identity in the place of the sum, whose value keeps its name; branch and weights go.

    Of several blocks the last comes first: one may start from what another makes.
    """
    graph, y = model.graph, block.add.outputs[0]
    made = ir.Value(name=y.name, type=y.type, shape=y.shape)
    same = ir.Node("", "Identity", [block.skip], outputs=[made], name=block.add.name)
    graph.insert_before(block.add, same)
    y.replace_all_uses_with(made, replace_graph_outputs=True)
    read = dict.fromkeys(value for node in (block.add, *block.branch) for value in node.inputs if value)
    graph.remove([block.add, *reversed(block.branch)], safe=True)
    for value in read:
        if value.is_initializer() and not (value.uses() or value.is_graph_input() or value.is_graph_output()):
            graph.initializers.pop(value.name or "")
    return same


def _drop(node: ir.Node) -> None:
    """Take an Identity out, unless an output or input of the model would lose its name."""
    x, y = node.inputs[0], node.outputs[0]
    if x is not None and node.graph is not None and not y.is_graph_output():
        y.replace_all_uses_with(x)
        node.graph.remove([node], safe=True)
