"""An operator that is one of the standard under another name, with inputs or attributes in other places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
from torch import fx

from graphopt.ir.opsets import NEWEST_OPSET
from graphopt.pytorch.exporter.registry import translations
from graphopt.pytorch.exporter.site import Site


def as_standard(
    site: Site,
    op_type: str,
    inputs: Sequence[int | None],
    attributes: Mapping[str, Any] | None = None,
    outputs: Sequence[int] = (0,),
) -> list[fx.Node | None]:
    """Translate a node as an operator of the standard's newest version.

    Args:
        site: The node.
        op_type: The operator it stands for.
        inputs: Which of the node's inputs are that operator's; None for one left out.
        attributes: That operator's attributes; by default the node's own.
        outputs: Which of the node's outputs tell the types of that operator's.

    Returns:
        What stands for each output of that operator.
    """
    given = site.node.inputs
    values = [None if i is None or i >= len(given) else given[i] for i in inputs]
    own = site.node.attributes.values()
    wanted = own if attributes is None else ir.convenience.convert_attributes(attributes)
    results = [site.node.outputs[index] for index in outputs]
    node = ir.Node(
        "",
        op_type,
        values,
        wanted,
        outputs=[ir.Value(name=value.name, type=value.type, shape=value.shape) for value in results],
        version=NEWEST_OPSET,
        name=site.node.name,
    )
    found = translations()["", op_type](Site(site.emitter, node))
    for index in range(len(values)):
        node.replace_input_with(index, None)
    emitted = [found] if not isinstance(found, (list, tuple)) else list(found)
    return [
        each if each is None or isinstance(each, fx.Node) else site.emitter.materialize(each)
        for each in emitted
    ]
