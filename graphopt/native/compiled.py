"""Compile the regions of a model: which ones, to what programs, and why others are left to the runtime.

Reads models, never changes them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.ir import Names, insert_program
from graphopt.native.gains import doubt
from graphopt.native.instruction_set import instruction_set
from graphopt.native.lower import build, lowered, reasons
from graphopt.native.regions import Region, find_regions, is_work, reads_codes
from graphopt.quant.wording import label

KEPT = "it is to stay as it is"
"""Why a region is none that was not to be compiled."""


@dataclass(frozen=True)
class Compiled:
    """A region and the program that can stand for it."""

    region: Region
    program: bytes


@dataclass
class Outcome:
    """What became of a model's regions.

    Attributes:
        compiled: Those that can be programs.
        refusals: Names of nodes on codes that no program runs, by reason; or what they write.
    """

    compiled: list[Compiled] = field(default_factory=list)
    refusals: dict[str, list[str]] = field(default_factory=dict)

    def refuse(self, reason: str, node: str) -> None:
        """Note why a node stays as it is."""
        self.refusals.setdefault(reason, []).append(node)


def compile_regions(model: ir.Model, keep: Collection[str] = (), *, sparing: bool = False) -> Outcome:
    """Compile what can be of the main graph.

    Args:
        model: Its shapes inferred; it is only read.
        keep: Names of nodes; regions that hold one of them stay as they are.
        sparing: So do those that a program is not likely to run faster: for who does not measure.

    Raises:
        UsageError: `GRAPHOPT_ISA` names no instruction set.
    """
    instruction_set()
    outcome = Outcome()
    refused = dict(reasons(model))
    programs: dict[tuple[ir.Node, ...], bytes] = {}
    regions = find_regions(model.graph, refused.get)
    while missed := _lowered(model, [each for each in regions if each.nodes not in programs], programs):
        refused |= missed  # a node may need what is around it, and be no program without
        regions = find_regions(model.graph, refused.get)
    for node, reason in refused.items():
        if is_work(node) or reads_codes(node):
            outcome.refuse(reason, node.name or label(node))
    for region in regions:
        if region.name in keep or any(node.name in keep for node in region.nodes):
            outcome.refuse(KEPT, region.name)
        elif sparing and (doubted := doubt(region)):
            outcome.refuse(doubted, region.name)
        else:
            outcome.compiled.append(Compiled(region, programs[region.nodes]))
    return outcome


def _lowered(
    model: ir.Model, regions: Iterable[Region], programs: dict[tuple[ir.Node, ...], bytes]
) -> dict[ir.Node, str]:
    """Add the programs of regions; nodes that turn out to be none, and why."""
    missed: dict[ir.Node, str] = {}
    for region in regions:
        if any(value.type is None for value in region.outputs):  # which onnxruntime could not infer either
            missed |= dict.fromkeys(region.nodes, "the type of what is read of its region is not known")
            continue
        part = lowered(alone(model, region))
        if part.reasons:
            by_output = {value.name: node for node in region.nodes for value in node.outputs}
            for node, reason in part.reasons.items():
                missed[by_output.get(node.outputs[0].name, region.nodes[0])] = reason
            continue
        try:
            program = build(part.steps)
        except ValueError as error:  # an operator does not take what it is to be made of
            named = [node for node in region.nodes if node.name and f"'{node.name}'" in str(error)]
            missed |= dict.fromkeys(named or region.nodes, str(error))
            continue
        if [port.name for port in program.inputs] != [value.name for value in region.inputs]:
            missed |= dict.fromkeys(region.nodes, "it reads what does not come from around its region")
        elif list(program.outputs) != [value.name for value in region.outputs]:
            missed |= dict.fromkeys(region.nodes, "what is read of its region cannot be written")
        else:
            programs[region.nodes] = program.to_bytes()
    return missed


def alone(model: ir.Model, region: Region) -> ir.Model:
    """A region as a model of its own, which shares its weights with the other."""
    graph = ir.convenience.extract(model.graph, region.inputs, region.outputs)
    graph.opset_imports.update(model.opset_imports)
    for value in graph.inputs:
        graph.initializers.pop(value.name or "", None)
        value.const_value = None  # a default, which callers may override
        if value.shape is not None:
            # That two sizes are the same is a claim of inference's, which a program would insist on.
            value.shape = ir.Shape([dim if isinstance(dim, int) else None for dim in value.shape])
    return ir.Model(graph, ir_version=model.ir_version)


def embed(model: ir.Model, compiled: Collection[Compiled]) -> None:
    """Put programs in the place of regions of the model that they were found in."""
    names = Names(model)
    now: dict[ir.Value, ir.Value] = {}  # what one program writes, another may read
    for each in compiled:
        region = each.region
        inputs = [now.get(value, value) for value in region.inputs]
        node = insert_program(
            region.nodes, inputs, region.outputs, each.program, names=names, stays=region.stays
        )
        now.update(zip(region.outputs, node.outputs, strict=True))
