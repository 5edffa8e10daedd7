"""Optional values: made and taken apart at once, since nothing else of the standard reads them."""

from __future__ import annotations

import numpy as np
from onnx import helper

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe


@recipe("OptionalGetElement", "OptionalHasElement", weight=3)
def optional(b: Builder, op_type: str) -> None:
    """Of a tensor put into one, or since opset 18 of the tensor as it is."""
    x = b.pick("fi")
    if b.opset >= 18 and b.choices.chance(0.4):
        b.op(op_type, x)
        return
    b.schema("Optional")
    b.schema(op_type)
    held, taken = b.name("v"), b.name("v")
    b.nodes.append(helper.make_node("Optional", [x.name], [held], name=b.name("n")))
    b.nodes.append(helper.make_node(op_type, [held], [taken], name=b.name("n")))
    content = x.content if op_type == "OptionalGetElement" else np.array(True)
    b.values.append(Known(taken, content, random=x.random))
