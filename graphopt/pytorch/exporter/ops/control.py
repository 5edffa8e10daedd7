"""Control flow: If, Loop and Scan, their bodies as modules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import fx

from graphopt.ir import constant
from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import Output, translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import control


@translates("If")
def if_(site: Site) -> list[Output]:
    """Both branches become modules that take what either of them reads from outside.

    A condition that is known leaves one branch, in its place.
    """
    condition = site.sizes(0)
    if condition is not None and condition.known is not None:
        chosen = site.attribute("then_branch" if condition.known[0] else "else_branch")
        site.emitter.emit(chosen)
        return [site.emitter.get(value) for value in chosen.outputs]
    predicate = site.tensor(0) if condition is None else condition.items[0]
    bodies = [site.body("then_branch", "then"), site.body("else_branch", "otherwise")]
    captured = list(dict.fromkeys(node for body in bodies for node in body.captured))
    modules = [site.emitter.submodule(body.module(captured), body.hint) for body in bodies]
    results = site.call(control.branch, predicate, *modules, *captured)
    return [site.item(results, index) for index in range(len(site.node.outputs))]


@translates("Loop")
def loop(site: Site) -> list[fx.Node]:
    graph = site.attribute("body")
    carried = len(site.node.inputs) - 2
    body = site.body("body", "body")
    module = site.emitter.submodule(body.module(body.captured), body.hint)
    condition = site.constant(1) if site.has(1) else None
    starts = not site.has(1) or (condition is not None and bool(condition.all()))
    results = site.call(
        control.loop,
        module,
        site.number(0) if site.has(0) else None,
        None if starts else site.tensor(1),
        [site.tensor(index + 2) for index in range(carried)],
        body.captured,
        scans=_empty_steps(graph.outputs[carried + 1 :]),
        always=(starts and _goes_on(graph)) or None,
    )
    return [site.item(results, index) for index in range(len(site.node.outputs))]


@translates("Scan")
def scan(site: Site) -> list[fx.Node]:
    graph = site.attribute("body")
    count = site.attribute("num_scan_inputs")
    carried = len(site.node.inputs) - count
    if site.opset() < 9:
        site.refuse("Scan of opset 8 has a batch and lengths of its own")
    body = site.body("body", "body")
    module = site.emitter.submodule(body.module(body.captured), body.hint)
    results = site.call(
        control.scan,
        module,
        [site.tensor(index) for index in range(carried)],
        [site.tensor(index) for index in range(carried, len(site.node.inputs))],
        body.captured,
        scans=_empty_steps(graph.outputs[carried:]),
        input_axes=_list_if_any(site.attribute("scan_input_axes")),
        input_directions=_list_if_any(site.attribute("scan_input_directions")),
        output_axes=_list_if_any(site.attribute("scan_output_axes")),
        output_directions=_list_if_any(site.attribute("scan_output_directions")),
    )
    return [site.item(results, index) for index in range(len(site.node.outputs))]


def _goes_on(body: ir.Graph) -> bool:
    """Whether the body of a Loop never asks to stop."""
    value = body.outputs[0]
    while (producer := value.producer()) is not None and producer.op_type == "Identity":
        source = producer.inputs[0]
        assert source is not None
        value = source
    given = constant(value)
    return value is body.inputs[1] or (given is not None and bool(given.all()))


def _empty_steps(steps: Sequence[ir.Value]) -> list[tuple[torch.dtype, Any]] | None:
    """The type and the shape of one step of each scanned output, for when there is no step.

    Unknown sizes are 0; a shape of unknown rank is None.
    """
    found: list[tuple[torch.dtype, Any]] = []
    for step in steps:
        shape = step.shape
        dims = None if shape is None else tuple(dim if isinstance(dim, int) else 0 for dim in shape)
        found.append((torch_dtype(step.dtype or ir.DataType.FLOAT), dims))
    return found or None


def _list_if_any(numbers: Any) -> list[int] | None:
    return list(numbers) if numbers is not None and any(numbers) else None
