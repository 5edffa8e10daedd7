"""Cut a run of nodes out of a model, as a model whose inputs are what the whole one computes there.

Small cuts of real models are as realistic as these and cost a thousandth to run. Changes no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.execute.session import Session
from graphopt.ir import constant_tensor, subgraphs
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.mutation.region import Region, copy_nodes


class Recording:
    """One run of a model, with every value of its main graph kept.

    Args:
        model: A model whose main-graph values have names.
        feed: Inputs on which it runs in onnxruntime.

    Raises:
        ExecutionError: It does not.
    """

    def __init__(self, model: ir.Model, feed: Mapping[str, Any]) -> None:
        self.model = model
        made = [value.name for node in model.graph for value in node.outputs if value.name]
        outputs = {value.name for value in model.graph.outputs}
        extra = [name for name in made if name not in outputs]
        session = Session(model, extra_outputs=extra, fallback=False)
        self.arrays: dict[str, Any] = {**feed, **session.run(feed)}


def cut(recording: Recording, choices: Choices, *, nodes: tuple[int, int] = (5, 60)) -> ir.Model:
    """A model made of consecutive nodes of another, whose inputs are what that one computes there.

    Args:
        recording: The other model and what it computes.
        choices: Which nodes.
        nodes: Least and largest number of nodes.

    Returns:
        The model; constants are shared with the other one. `meta["graphopt.inputs"]` holds its inputs.

    Raises:
        Unfit: What enters or leaves there is no tensor.
    """
    model = recording.model
    region = Region.choose(model.graph, choices, *nodes)
    made: dict[ir.Value, ir.Value] = {}
    feed: dict[str, Any] = {}
    inputs, initializers = [], []
    for value in region.inputs:
        name = value.name or ""
        given = value.is_graph_input() and name in recording.arrays
        # A default that the recorded run did not override was a constant there.
        tensor = None if given else value.const_value or constant_tensor(value)
        if tensor is not None:
            new = ir.Value(name=name, type=ir.TensorType(tensor.dtype), const_value=tensor)
            new.shape = ir.Shape(tensor.shape.numpy())
            initializers.append(new)
        else:
            array = recording.arrays.get(name)
            if not isinstance(array, np.ndarray) or not isinstance(value.type, ir.TensorType):
                raise Unfit(f"{name} is no tensor, or was not given")
            # A branch that is not taken need not fit the sizes at hand, and then no runtime loads them.
            keeps = choices.chance(0.5) or any(map(subgraphs, region.nodes))
            shape = value.shape if value.shape is not None and keeps else ir.Shape(array.shape)
            new = ir.Value(name=name, type=value.type, shape=ir.Shape(shape.dims))
            inputs.append(new)
            feed[name] = array
        made[value] = new
    copies = copy_nodes(region.nodes, made)
    outputs = [made[value] for value in region.outputs if value.name]
    if any(not isinstance(value.type, ir.TensorType) for value in outputs):
        raise Unfit("an output is no tensor")
    graph = ir.Graph(
        inputs,
        outputs,
        nodes=copies,
        initializers=initializers,
        opset_imports=dict(model.graph.opset_imports),
        name="cut",
    )
    result = ir.Model(graph, ir_version=model.ir_version, functions=[])
    for function in model.functions.values():
        copy = function.clone()
        result.functions[copy.identifier()] = copy
    result.meta[INPUTS_KEY] = [feed]
    return result
