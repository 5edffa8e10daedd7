"""Checks of attributes and types: each attribute has one type and a value of it, each type a meaning.

An attribute without a type, as the oldest exporters wrote them, gets the one the operator's schema gives.
"""

from __future__ import annotations

import onnx
import onnx.defs

from graphopt.errors import ModelError
from graphopt.io.names import check_text, told
from graphopt.io.tensors import TensorChecker, check_rank
from graphopt.io.versions import READABLE_TYPES

_Kind = onnx.AttributeProto
# Field of the value -> attribute type. Lists may be empty; a missing number stands for zero.
_TYPE_OF_FIELD = {
    "f": _Kind.FLOAT,
    "i": _Kind.INT,
    "s": _Kind.STRING,
    "t": _Kind.TENSOR,
    "g": _Kind.GRAPH,
    "sparse_tensor": _Kind.SPARSE_TENSOR,
    "tp": _Kind.TYPE_PROTO,
    "floats": _Kind.FLOATS,
    "ints": _Kind.INTS,
    "strings": _Kind.STRINGS,
    "tensors": _Kind.TENSORS,
    "graphs": _Kind.GRAPHS,
    "sparse_tensors": _Kind.SPARSE_TENSORS,
    "type_protos": _Kind.TYPE_PROTOS,
}
_FIELD_OF_TYPE = {kind: field for field, kind in _TYPE_OF_FIELD.items()}
_NUMBERS = frozenset({_Kind.FLOAT, _Kind.INT, _Kind.STRING})
_MESSAGES = frozenset({_Kind.TENSOR, _Kind.GRAPH, _Kind.SPARSE_TENSOR, _Kind.TYPE_PROTO})
# Attributes of standard operators whose integer is an element type.
_NAMING_ELEMENT_TYPES = frozenset({"dtype", "output_dtype", "softmax_precision", "stash_type", "to"})
_ELEMENT_TYPES = READABLE_TYPES | {onnx.TensorProto.UNDEFINED}


class AttributeChecker:
    """Checks the attributes and types of one model.

    Args:
        tensors: The checker of the model's tensors.
        notes: Gains a line for each repair.
    """

    def __init__(self, tensors: TensorChecker, notes: list[str]) -> None:
        self._tensors = tensors
        self._notes = notes

    def check_node(self, node: onnx.NodeProto, opset: int | None) -> None:
        """Check and repair the attributes of `node`, whose domain is imported at version `opset`.

        Raises:
            ModelError: An attribute has no name, is there twice, or its value contradicts its type.
        """
        seen = set()
        for attribute in node.attribute:
            what = f"the attribute {attribute.name!r} of {told(node)}"
            if not attribute.name or attribute.name in seen:
                raise ModelError(f"{told(node)} has an attribute without a name or twice: {attribute.name!r}")
            check_text(attribute.name, f"the name of an attribute of {told(node)}")
            seen.add(attribute.name)
            if attribute.type == _Kind.UNDEFINED:
                attribute.type = _guess_type(node, attribute, opset)
                if attribute.type == _Kind.UNDEFINED:
                    raise ModelError(f"{what} has no type and no value", hint="export the model again")
                self._notes.append(f"{what} had no type; it is {_Kind.AttributeType.Name(attribute.type)}")
            if not attribute.ref_attr_name:
                self.check(attribute, what, of_standard=not node.domain)
                _check_element_type(node, attribute, what)

    def check(self, attribute: onnx.AttributeProto, what: str, *, of_standard: bool = False) -> None:
        """Check the value of one attribute, which messages call `what`.

        Strings of operators of the standard are text; those of others may be any bytes.
        """
        kind = attribute.type
        if kind not in _FIELD_OF_TYPE:
            raise ModelError(f"{what} has no type")
        if kind in _NUMBERS:
            if not attribute.HasField(_FIELD_OF_TYPE[kind]):
                _refuse_other_value(attribute, what)
            if kind == _Kind.STRING and of_standard:
                _check_text([attribute.s], what)
        elif kind in _MESSAGES:
            if not attribute.HasField(_FIELD_OF_TYPE[kind]):
                raise ModelError(f"{what} has no value")
            self._check_message(attribute, what)
        elif kind == _Kind.STRINGS:
            _check_text(attribute.strings, what)
        elif kind == _Kind.TENSORS:
            for tensor in attribute.tensors:
                self._tensors.check(tensor, what)
        elif kind == _Kind.SPARSE_TENSORS:
            raise ModelError(f"{what} is a list of sparse tensors, which is not supported")
        elif not getattr(attribute, _FIELD_OF_TYPE[kind]):
            _refuse_other_value(attribute, what)

    def check_type(self, proto: onnx.TypeProto, what: str) -> None:
        """Check a declared type; a negative dimension, which some exporters write, becomes an unknown one.

        Raises:
            ModelError: The type is incomplete or holds an element type that does not exist.
        """
        kind = proto.WhichOneof("value")
        while kind in ("sequence_type", "optional_type"):
            inner = getattr(proto, kind)
            if not inner.HasField("elem_type"):
                raise ModelError(f"{what} is a {kind.removesuffix('_type')} of nothing")
            proto = inner.elem_type
            kind = proto.WhichOneof("value")
            if kind is None:
                raise ModelError(f"{what} is a list or option of an unknown type")
        if kind not in ("tensor_type", "sparse_tensor_type"):
            return
        tensor = getattr(proto, kind)
        if tensor.elem_type not in _ELEMENT_TYPES:
            raise ModelError(f"{what} has the element type {tensor.elem_type}, which is not one that runs")
        check_rank(len(tensor.shape.dim), what)
        for dim in tensor.shape.dim if tensor.HasField("shape") else ():
            if dim.dim_value < 0:
                self._notes.append(f"{what} was declared with the dimension {dim.dim_value}; it is unknown")
                dim.ClearField("dim_value")

    def _check_message(self, attribute: onnx.AttributeProto, what: str) -> None:
        if attribute.type == _Kind.TENSOR:
            self._tensors.check(attribute.t, what)
        elif attribute.type == _Kind.TYPE_PROTO:
            self.check_type(attribute.tp, what)
            if foreign_type(attribute.tp):
                raise ModelError(f"{what} is a map or opaque type, which is not supported")
        elif attribute.type == _Kind.SPARSE_TENSOR:
            if attribute.name != "sparse_value":
                raise ModelError(f"{what} is a sparse tensor, which only Constant may have")
            dense = self._tensors.dense(attribute.sparse_tensor, what)
            attribute.Clear()
            attribute.name, attribute.type = "value", _Kind.TENSOR
            attribute.t.CopyFrom(dense)
            self._notes.append(f"{what} is written out with its zeros")


def foreign_type(proto: onnx.TypeProto) -> bool:
    """Whether the type is, or is a list of, a map or opaque type: valid, but unknown to `onnx_ir`."""
    kind = proto.WhichOneof("value")
    while kind in ("sequence_type", "optional_type"):
        proto = getattr(proto, kind).elem_type
        kind = proto.WhichOneof("value")
    return kind in ("map_type", "opaque_type")


def _guess_type(node: onnx.NodeProto, attribute: onnx.AttributeProto, opset: int | None) -> int:
    filled = [field.name for field, _ in attribute.ListFields() if field.name in _TYPE_OF_FIELD]
    if len(filled) == 1:
        return _TYPE_OF_FIELD[filled[0]]
    try:
        schema = onnx.defs.get_schema(node.op_type, opset or 0, node.domain)
    except onnx.defs.SchemaError:
        return _Kind.UNDEFINED
    known = schema.attributes.get(attribute.name)
    return _Kind.UNDEFINED if known is None or filled else int(known.type.value)  # type: ignore[attr-defined]


def _check_element_type(node: onnx.NodeProto, attribute: onnx.AttributeProto, what: str) -> None:
    """Check an integer that stands for an element type; zero is none, where the operator may choose."""
    if node.domain or attribute.name not in _NAMING_ELEMENT_TYPES or attribute.type != _Kind.INT:
        return
    if attribute.i not in (READABLE_TYPES if attribute.name == "to" else _ELEMENT_TYPES):
        raise ModelError(f"{what} is the element type {attribute.i}, which is not one that runs")


def _refuse_other_value(attribute: onnx.AttributeProto, what: str) -> None:
    for field, _ in attribute.ListFields():
        if field.name in _TYPE_OF_FIELD:
            declared = _Kind.AttributeType.Name(attribute.type)
            raise ModelError(f"{what} is declared {declared} and holds its value in {field.name!r}")


def _check_text(strings: list[bytes], what: str) -> None:
    for string in strings:
        try:
            string.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{what} holds bytes that are not UTF-8 text: {string[:40]!r}") from error
