"""Passes that leave a graph, or its tensors, as no pass may."""

# mypy: disable-error-code="assignment, union-attr, arg-type"

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes

from .base import Misbehaving


class DanglingInput(Misbehaving):
    name = "dangling-input"

    def harm(self, model: ir.Model) -> None:
        model.graph[-1].replace_input_with(0, ir.Value(name="nowhere"))


class Cycle(Misbehaving):
    name = "cycle"

    def harm(self, model: ir.Model) -> None:
        first, last = model.graph[0], model.graph[-1]
        first.replace_input_with(0, last.outputs[0])


class RemovesProducer(Misbehaving):
    name = "removes-producer"

    def harm(self, model: ir.Model) -> None:
        model.graph.remove(model.graph[0])


class LiesAboutTypes(Misbehaving):
    name = "lies-about-types"

    def harm(self, model: ir.Model) -> None:
        for node in model.graph:
            for output in node.outputs:
                output.dtype = ir.DataType.INT64
                output.shape = ir.Shape([7, 7, 7])


class ChangesTypesInPlace(Misbehaving):
    name = "changes-types-in-place"

    def harm(self, model: ir.Model) -> None:
        for value in (*model.graph.inputs, *(output for node in model.graph for output in node.outputs)):
            if value.type is not None:
                value.type.dtype = ir.DataType.INT64
            if value.shape is not None and not value.shape.frozen:
                for axis in range(len(value.shape)):
                    value.shape[axis] = 7


class DropsOutputs(Misbehaving):
    name = "drops-outputs"

    def harm(self, model: ir.Model) -> None:
        del model.graph.outputs[-1]


class AddsOutput(Misbehaving):
    name = "adds-output"

    def harm(self, model: ir.Model) -> None:
        model.graph.outputs.append(model.graph[0].outputs[0])


class AddsInput(Misbehaving):
    name = "adds-input"

    def harm(self, model: ir.Model) -> None:
        value = ir.Value(name="another", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1]))
        model.graph.inputs.append(value)


class DropsInput(Misbehaving):
    name = "drops-input"

    def harm(self, model: ir.Model) -> None:
        del model.graph.inputs[0]


class RenamesInterface(Misbehaving):
    name = "renames-interface"

    def harm(self, model: ir.Model) -> None:
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.name = f"{value.name}_other"


class UnknownOperator(Misbehaving):
    name = "unknown-operator"

    def harm(self, model: ir.Model) -> None:
        model.graph[0].op_type = "NoSuchOperator"


class OddOpsets(Misbehaving):
    name = "odd-opsets"

    def harm(self, model: ir.Model) -> None:
        model.opset_imports[""] = 1


class NoOpsets(Misbehaving):
    name = "no-opsets"

    def harm(self, model: ir.Model) -> None:
        model.opset_imports.clear()


class OddIrVersion(Misbehaving):
    name = "odd-ir-version"

    def harm(self, model: ir.Model) -> None:
        model.ir_version = 99


class ChangesNumbers(Misbehaving):
    name = "changes-numbers"

    def harm(self, model: ir.Model) -> None:
        for node in model.graph:
            if node.op_type == "Mul":
                node.op_type = "Add"


class ChangesNumbersUncounted(Misbehaving):
    name = "changes-numbers-uncounted"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in model.graph:
            if node.op_type == "Mul":
                node.op_type = "Add"


class BreaksUncounted(Misbehaving):
    name = "breaks-uncounted"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        model.graph[-1].replace_input_with(0, ir.Value(name="nowhere"))


class OverwritesTensors(Misbehaving):
    name = "overwrites-tensors"

    def harm(self, model: ir.Model) -> None:
        for value in model.graph.initializers.values():
            array = value.const_value.numpy()
            if array.size:
                array[...] = 0


class OverwritesTensorsByForce(Misbehaving):
    name = "overwrites-tensors-by-force"

    def harm(self, model: ir.Model) -> None:
        for value in model.graph.initializers.values():
            array = value.const_value.numpy()
            array.flags.writeable = True
            array[...] = 0


class RenamesTensors(Misbehaving):
    name = "renames-tensors"

    def harm(self, model: ir.Model) -> None:
        for index, value in enumerate(list(model.graph.initializers.values())):
            value.name = f"renamed_{index}"


class WrongTensors(Misbehaving):
    name = "wrong-tensors"

    def harm(self, model: ir.Model) -> None:
        for value in model.graph.initializers.values():
            value.const_value = ir.tensor(np.zeros((3, 1, 2), np.float16), name=value.name)


class NoTensors(Misbehaving):
    name = "no-tensors"

    def harm(self, model: ir.Model) -> None:
        for value in model.graph.initializers.values():
            value.const_value = None


class NotATensor(Misbehaving):
    name = "not-a-tensor"

    def harm(self, model: ir.Model) -> None:
        for value in model.graph.initializers.values():
            value._const_value = 7


class DropsInitializers(Misbehaving):
    name = "drops-initializers"

    def harm(self, model: ir.Model) -> None:
        model.graph.initializers.clear()


class ClearsMeta(Misbehaving):
    name = "clears-meta"

    def harm(self, model: ir.Model) -> None:
        model.meta.clear()
        model.graph.meta.clear()
        model.metadata_props.clear()


class ForeignCapture(Misbehaving):
    """Leaves a body reading a value that no longer is."""

    name = "foreign-capture"

    def harm(self, model: ir.Model) -> None:
        for node in model.graph:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH:
                    attribute.as_graph()[0].replace_input_with(0, ir.Value(name="gone"))


class ReplacesGraph(Misbehaving):
    name = "replaces-graph"

    def harm(self, model: ir.Model) -> None:
        other = model.clone().graph
        other[0].op_type = "Neg"
        model.graph = other


class NoGraph(Misbehaving):
    name = "no-graph"

    def harm(self, model: ir.Model) -> None:
        model.graph = None


class NodesThatAreNone(Misbehaving):
    name = "nodes-without-operator"

    def harm(self, model: ir.Model) -> None:
        model.graph[0]._op_type = None


class OddAttributes(Misbehaving):
    name = "odd-attributes"

    def harm(self, model: ir.Model) -> None:
        model.graph[0].attributes["axis"] = ir.Attr("axis", ir.AttributeType.INT, "text")


class Grows(Misbehaving):
    """Ten nodes of each one, right in what they compute."""

    name = "grows"

    def harm(self, model: ir.Model) -> None:
        for node in list(model.graph):
            value = node.outputs[0]
            uses = list(value.uses())
            if not uses or value.is_graph_output():
                continue
            for _ in range(10):
                made = ir.node("Identity", [value])
                made.outputs[0].dtype, made.outputs[0].shape = value.dtype, value.shape
                model.graph.insert_after(value.producer(), made)
                value = made.outputs[0]
            for use in uses:
                use.node.replace_input_with(use.idx, value)
