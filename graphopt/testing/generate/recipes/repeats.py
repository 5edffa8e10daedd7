"""A node once more, for other users."""

from __future__ import annotations

import dataclasses

import onnx

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import Unfit, recipe


@recipe("Identity", weight=8, copies=True)
def repeat(b: Builder, op_type: str) -> None:
    """The same operator, inputs and attributes under new names."""
    nodes = [node for node in b.nodes if node.op_type != "Constant" and b.spec.allows(node.op_type)]
    if not nodes:
        raise Unfit("no nodes yet")
    copy = onnx.NodeProto()
    copy.CopyFrom(b.choices.choose(nodes))
    known = {value.name: value for value in b.values}
    if not all(name in known for name in copy.output):
        raise Unfit("its outputs are hidden")
    copy.name = b.name("n")
    for place, name in enumerate(copy.output):
        copy.output[place] = b.name("v")
        b.values.append(dataclasses.replace(known[name], name=copy.output[place]))
    b.nodes.append(copy)
