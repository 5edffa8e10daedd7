"""What ONNX can say and `onnx_ir` has no place for: carried beside the model, from loading to saving.

That is training information, and map and opaque types of graph inputs and outputs. They travel in the meta
store of the main graph (the model's own does not outlive a clone) and never reach a pass.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from graphopt.io.attributes import foreign_type

_TYPES_KEY = "graphopt.foreign_types"
_TRAINING_KEY = "graphopt.training_info"


def take_beyond_ir(proto: onnx.ModelProto) -> dict[str, Any]:
    """Take foreign types out of `proto`; entries for `graph.meta` that `put_back` understands.

    The claims of inner values about foreign types are dropped.
    """
    types = {}
    for info in (*proto.graph.input, *proto.graph.output):
        if foreign_type(info.type):
            types[info.name] = info.type.SerializeToString()
            info.ClearField("type")
    for info in proto.graph.value_info:
        if foreign_type(info.type):
            info.ClearField("type")
    training = [info.SerializeToString() for info in proto.training_info]
    found = {_TYPES_KEY: types, _TRAINING_KEY: training}
    return {key: carried for key, carried in found.items() if carried}


def put_back(model: ir.Model, proto: onnx.ModelProto) -> None:
    """Write what `take_beyond_ir` took from the original of `model` into its serialized form `proto`."""
    types = model.graph.meta.get(_TYPES_KEY, {})
    if types:
        for info in (*proto.graph.input, *proto.graph.output):
            if info.name in types:
                info.type.ParseFromString(types[info.name])
    for training in model.graph.meta.get(_TRAINING_KEY, ()):
        proto.training_info.add().ParseFromString(training)
