"""Rules of shape inference that onnx-shape-inference lacks or gets wrong, and what it may remember of values.

Its rules assume that a model is harmless: a Slice end lies inside, different names broadcast as one, a Loop
runs at least once. Where that is no certainty, the dimension gets a name of its own here.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence

import onnx_ir as ir
from onnx_shape_inference import SYM_DATA_KEY, ShapeInferenceContext, registry

from graphopt.ir.dims import memoized
from graphopt.ir.graphs import attribute_ints, attribute_tensor, constant_tensor, ints, static_shape
from graphopt.ir.shapes import FALSE_SHAPE_KEY, same_shape

MAX_ELEMENTS = 128
"""Longer integer vectors are data, not shapes; their elements are not followed."""

MAX_MEETING = 16
"""Where more names broadcast together, the result is a new name each time."""

WHOLE = 10**9
"""A Slice that ends here or later takes all: exporters write such ends, and no dimension is as long."""

Dim = int | ir.SymbolicDim


class Context(ShapeInferenceContext):  # type: ignore[misc]
    """Inference context that keeps element values only where they are certain."""

    def __init__(self, opset_imports: dict[str, int]) -> None:
        super().__init__(opset_imports)
        self._lengths: set[str] = set()
        self._met: dict[str | None, frozenset[str | None]] = {}
        self._meetings: dict[frozenset[str | None], ir.SymbolicDim] = {}

    def set_shape(self, value: ir.Value, shape: ir.Shape) -> bool:
        """Remember a shape, unless an execution has shown it to be false."""
        if FALSE_SHAPE_KEY in value.meta:
            return False
        shape = ir.Shape([_plain(dim) for dim in shape.dims])
        self.note_lengths(shape)
        return bool(super().set_shape(value, shape))

    def new_symbolic_dim(self) -> ir.SymbolicDim:
        """A dimension with a name of its own."""
        return memoized(super().new_symbolic_dim())

    def name_anonymous_dims(self, value: ir.Value) -> bool:
        """Give the unnamed dimensions of a value names; says whether there were any."""
        shape = value.shape
        if shape is None or all(isinstance(dim, int) or dim.value is not None for dim in shape.dims):
            return False
        return bool(super().name_anonymous_dims(value))

    def note_lengths(self, shape: ir.Shape) -> None:
        """Know the names in a shape as names of lengths (see `is_length`)."""
        self._lengths.update(dim.value for dim in shape.dims if not isinstance(dim, int) and dim.value)

    def set_symbolic_value(self, value: ir.Value, data: list[Dim]) -> None:
        """Remember the elements of an integer or bool tensor if they are complete and fit the type."""
        dtype = value.dtype
        shape = static_shape(value)
        if dtype is None or shape is None or len(data) > MAX_ELEMENTS or math.prod(shape) != len(data):
            return
        data = [_plain(element) for element in data]
        if dtype == ir.DataType.BOOL:
            if not all(isinstance(element, int) for element in data):
                return
            data = [int(element != 0) for element in data]
        elif not dtype.is_integer() or not all(
            dtype.min <= element <= dtype.max for element in data if isinstance(element, int)
        ):
            return
        super().set_symbolic_value(value, data)

    def get_symbolic_value(self, value: ir.Value) -> list[Dim] | None:
        """The known elements of a value, those of short constants included."""
        if SYM_DATA_KEY in value.metadata_props:
            known: list[Dim] | None = super().get_symbolic_value(value)
            return None if known is None else [_plain(element) for element in known]
        tensor = _tensor(value)
        if tensor is None or tensor.size > MAX_ELEMENTS:
            return None
        if not tensor.dtype.is_integer() and tensor.dtype != ir.DataType.BOOL:
            return None
        return [int(element) for element in tensor.numpy().reshape(-1)]

    def meet(self, dims: Sequence[ir.SymbolicDim]) -> ir.SymbolicDim:
        """The dimension of named dimensions broadcast together: any of them may be 1.

        Its name stands for all of them, so that meeting one of them again changes nothing.
        """
        known = {dim.value for dim in dims}
        dims = [dim for dim in dims if _bounded(dim) not in known]
        parts = frozenset().union(*(self._met.get(dim.value, {dim.value}) for dim in dims))
        for dim in dims:
            if self._met.get(dim.value, {dim.value}) == parts:
                return dim
        if parts not in self._meetings:
            made: ir.SymbolicDim = self.new_symbolic_dim()
            if len(parts) > MAX_MEETING:
                return made
            self._meetings[parts] = made
            self._met[made.value] = parts
        return self._meetings[parts]

    def is_length(self, dim: Dim) -> bool:
        """Whether an element surely is the length of something, or made of lengths by adding and the like.

        Elements whose value is unknown have names too, but may be negative.
        """
        if isinstance(dim, int):
            return dim >= 0
        text = dim.value
        if not text:
            return False
        if text in self._lengths:
            return True
        if "-" in text:
            return False
        return all(not self.is_generated_symbol(name) or name in self._lengths for name in _names(text))


def infer(context: ShapeInferenceContext, node: ir.Node) -> bool:
    """Infer types, shapes and known elements of the outputs of a node; False if no rule knows it."""
    assert isinstance(context, Context)
    own = _RULES.get(node.op_type) if node.domain == "" else None
    if own is not None and own(context, node):
        return True
    rule = registry.get(node.domain, node.op_type, version=context.get_opset_version(node.domain))
    if rule is None:
        return False
    rule(context, node)
    after = _CORRECTIONS.get(node.op_type) if node.domain == "" else None
    if after is not None:
        after(context, node)
    return True


def _plain(dim: Dim) -> Dim:
    """A number where the name of a dimension is one, else a dimension that remembers its arithmetic."""
    if isinstance(dim, int):
        return dim
    return int(dim.value) if dim.value and dim.value.isdigit() else memoized(dim)


def _tensor(value: ir.Value) -> ir.TensorProtocol | None:
    """The tensor of a value that inference may look at; defaults that a caller may override are hidden."""
    return constant_tensor(value) if value.const_value is None else value.const_value


def _names(text: str) -> list[str]:
    """Identifiers in a dimension's expression, functions such as floor left out."""
    cleaned = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text)
    return [word for word in cleaned.split() if not word[0].isdigit() and word not in ("floor", "Max", "Min")]


_MINIMUM = re.compile(r"Min\((\d+), (\w+)\)")


def _bounded(dim: ir.SymbolicDim) -> str | None:
    """d where the dimension is Min(k, d), k > 1: broadcast with d it must be d, or the run fails."""
    found = _MINIMUM.fullmatch(dim.value or "")
    return found[2] if found and int(found[1]) > 1 else None


def _same(left: Dim, right: Dim) -> bool:
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int) and left == right
    return left.value is not None and left.value == right.value


def _elements(context: Context, node: ir.Node) -> list[list[Dim]] | None:
    found = [None if value is None else context.get_symbolic_value(value) for value in node.inputs]
    return None if any(each is None for each in found) else found  # type: ignore[return-value]


def _aligned(lists: Sequence[list[Dim]]) -> list[tuple[Dim, ...]] | None:
    """Elements that meet each other; None where that is not plain (the size check then drops more)."""
    length = max(map(len, lists))
    if any(len(each) not in (1, length) for each in lists):
        return None
    return [tuple(each[0 if len(each) == 1 else index] for each in lists) for index in range(length)]


def _infer_comparison(context: Context, node: ir.Node) -> bool:
    registry.get("", node.op_type, version=context.get_opset_version(""))(context, node)
    _correct_broadcast(context, node)
    lists = _elements(context, node)
    pairs = None if lists is None else _aligned(lists)
    if pairs is None:
        return True
    results = [_compare(context, node.op_type, *pair) for pair in pairs]
    if all(result is not None for result in results):
        context.set_symbolic_value(node.outputs[0], [int(bool(result)) for result in results])
    return True


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "Equal": operator.eq,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
}


def _compare(context: Context, op_type: str, left: Dim, right: Dim) -> bool | None:
    """Result for two elements, None where it depends on the inputs."""
    if isinstance(left, int) and isinstance(right, int):
        return _COMPARE[op_type](left, right)
    if _same(left, right):
        return op_type in ("Equal", "LessOrEqual", "GreaterOrEqual")
    if isinstance(right, int) and right < 0 and context.is_length(left):
        return op_type in ("Greater", "GreaterOrEqual")
    if isinstance(left, int) and left < 0 and context.is_length(right):
        return op_type in ("Less", "LessOrEqual")
    return None


_LOGIC: dict[str, Callable[..., int]] = {
    "Not": lambda a: 1 - a,
    "And": operator.and_,
    "Or": operator.or_,
    "Xor": operator.xor,
}


def _infer_logic(context: Context, node: ir.Node) -> bool:
    registry.get("", node.op_type, version=context.get_opset_version(""))(context, node)
    _correct_broadcast(context, node)
    lists = _elements(context, node)
    rows = None if lists is None else _aligned(lists)
    if rows is not None:
        context.set_symbolic_value(node.outputs[0], [_LOGIC[node.op_type](*row) for row in rows])
    return True


def _infer_where(context: Context, node: ir.Node) -> bool:
    registry.get("", node.op_type, version=context.get_opset_version(""))(context, node)
    _correct_broadcast(context, node)
    lists = _elements(context, node)
    rows = None if lists is None else _aligned(lists)
    if rows is not None:
        context.set_symbolic_value(node.outputs[0], [x if condition else y for condition, x, y in rows])
    return True


def _infer_if(context: Context, node: ir.Node) -> bool:
    """Where the condition is known the outputs are those of one branch; else both branches must tell."""
    condition = None if node.inputs[0] is None else context.get_symbolic_value(node.inputs[0])
    branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    if condition is None or len(condition) != 1:
        ends = [branch.outputs for branch in branches]
        known = all(value.type is not None for end in ends for value in end)
        tensors = known and all(isinstance(value.type, ir.TensorType) for end in ends for value in end)
        if not tensors:
            return False
        for output, left, right in zip(node.outputs, *ends, strict=False):
            shape = (
                None
                if left.shape is None or right.shape is None
                else _merged(context, left.shape, right.shape)
            )
            context.set_shape_and_dtype(output, shape, left.dtype)
        return True
    taken = branches[0] if condition[0] else branches[1]
    for output, value in zip(node.outputs, taken.outputs, strict=False):
        if value.type is not None and not isinstance(value.type, ir.TensorType):
            context.set_type(output, value.type)
            continue
        context.set_shape_and_dtype(output, value.shape, value.dtype)
        elements = context.get_symbolic_value(value)
        if elements is not None:
            context.set_symbolic_value(output, elements)
    return True


def _merged(context: Context, left: ir.Shape, right: ir.Shape) -> ir.Shape | None:
    if len(left) != len(right):
        return None
    return ir.Shape(
        [a if _same(a, b) else context.new_symbolic_dim() for a, b in zip(left.dims, right.dims, strict=True)]
    )


def _infer_reshape(context: Context, node: ir.Node) -> bool:
    """A target element of unknown value names no dimension: it may be 0 or -1."""
    data, target = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    elements = None if target is None else context.get_symbolic_value(target)
    if elements is None or data is None:
        return False
    allow_zero = "allowzero" in node.attributes and node.attributes["allowzero"].as_int() != 0
    dims: list[Dim] = []
    for index, element in enumerate(elements):
        if element == 0 and not allow_zero:
            known = data.shape is not None and index < len(data.shape)
            dims.append(data.shape[index] if known else context.new_symbolic_dim())  # type: ignore[index]
        else:
            dims.append(element if context.is_length(element) else context.new_symbolic_dim())
    if elements.count(-1) == 1 and data.shape is not None:
        place = elements.index(-1)
        rest = _quotient(list(data.shape.dims), dims[:place] + dims[place + 1 :])
        if rest is not None and all(_same(e, -1) or context.is_length(e) for e in elements):
            dims[place] = rest
    context.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), data.dtype)
    known_elements = context.get_symbolic_value(data)
    if known_elements is not None:
        context.set_symbolic_value(node.outputs[0], known_elements)
    return True


def _quotient(whole: list[Dim], parts: list[Dim]) -> Dim | None:
    """Product of `whole` over that of `parts` where it is plain to see, else None."""
    above, below = 1, 1
    named: list[ir.SymbolicDim] = []
    for dim in whole:
        if isinstance(dim, int):
            above *= dim
        else:
            named.append(dim)
    for dim in parts:
        if isinstance(dim, int):
            below *= dim
            continue
        same = next((each for each in named if _same(each, dim)), None)
        if same is not None:
            named.remove(same)
            continue
        found = _merged_factor(named, dim)
        if found is None:
            return None
        named, factor = found
        below *= factor
    if below == 0 or above % below:
        return None
    number = above // below
    if not named:
        return number
    product: Dim = named[0]
    for dim in named[1:]:
        product = product * dim
    return product if number == 1 else product * number


def _merged_factor(
    named: list[ir.SymbolicDim], dim: ir.SymbolicDim
) -> tuple[list[ir.SymbolicDim], int] | None:
    """`named` without the dimension of which `dim` is a multiple, and the factor: 12*b over b."""
    found = re.fullmatch(r"(\d+)\*(.+)", dim.value or "")
    base = next((each for each in named if found and found[2] == each.value), None)
    return (
        None
        if found is None or base is None
        else ([each for each in named if each is not base], int(found[1]))
    )


def _infer_expand(context: Context, node: ir.Node) -> bool:
    """Broadcasting with a shape; of an unknown shape at least the rank is known."""
    data, target = node.inputs
    if data is None or target is None:
        return False
    output = node.outputs[0]
    elements = context.get_symbolic_value(target)
    if data.shape is None or (elements is None and not _known_length(target)):
        context.set_shape_and_dtype(output, None, data.dtype)
        return True
    if elements is None:
        elements = [-1] * math.prod(static_shape(target) or ())
    wanted = [element if context.is_length(element) else context.new_symbolic_dim() for element in elements]
    context.set_shape_and_dtype(output, _broadcast(context, [data.shape, ir.Shape(wanted)]), data.dtype)
    known = context.get_symbolic_value(data)
    shape = static_shape(output)
    if known is not None and shape is not None:
        repeats = math.prod(shape) if len(known) == 1 and math.prod(shape) <= MAX_ELEMENTS else 1
        context.set_symbolic_value(output, known * repeats)
    return True


def _infer_cast_like(context: Context, node: ir.Node) -> bool:
    data, like = node.inputs
    if data is None or like is None or like.dtype is None:
        return False
    context.set_shape_and_dtype(node.outputs[0], data.shape, like.dtype)
    _remember_whole(context, data, node.outputs[0])
    return True


def _infer_cast(context: Context, node: ir.Node) -> bool:
    data = node.inputs[0]
    if data is None:
        return False
    context.set_shape_and_dtype(node.outputs[0], data.shape, ir.DataType(node.attributes["to"].as_int()))
    _remember_whole(context, data, node.outputs[0])
    return True


def _remember_whole(context: Context, data: ir.Value, output: ir.Value) -> None:
    """Elements of a cast: those of integers, and of short float constants that are whole numbers."""
    elements = context.get_symbolic_value(data)
    tensor = _tensor(data)
    if elements is None and tensor is not None and tensor.size <= MAX_ELEMENTS and tensor.dtype in _FLOATS:
        numbers = [float(number) for number in tensor.numpy().reshape(-1)]
        if all(abs(number) < 1 << 24 and number == int(number) for number in numbers):
            elements = [int(number) for number in numbers]
    if elements is not None:
        context.set_symbolic_value(output, elements)


_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16)


def _remember_filling(context: Context, node: ir.Node) -> None:
    """Elements of an integer ConstantOfShape."""
    attribute, shape = node.attributes.get("value"), node.outputs[0].shape
    if attribute is None or attribute.is_ref() or shape is None or not shape.is_static():
        return
    tensor = attribute_tensor(attribute)
    size = math.prod(shape.numpy())
    if tensor.dtype.is_integer() and size <= MAX_ELEMENTS:
        context.set_symbolic_value(node.outputs[0], [int(tensor.numpy().reshape(-1)[0])] * size)


def _infer_range(context: Context, node: ir.Node) -> bool:
    """Counting from 0 by 1 gives as many elements as the limit says."""
    elements = _elements(context, node)
    if elements is None or any(len(each) != 1 for each in elements):
        return False
    (start,), (limit,), (step,) = elements
    if isinstance(limit, int) or start != 0 or step != 1 or not context.is_length(limit):
        return False
    dtype = node.inputs[0].dtype if node.inputs[0] is not None else None
    context.set_shape_and_dtype(node.outputs[0], ir.Shape([limit]), dtype)
    return True


def _known_length(vector: ir.Value) -> bool:
    return len(static_shape(vector) or ()) == 1


def _correct_broadcast(context: Context, node: ir.Node) -> None:
    """Different names that meet in broadcasting: either may be 1."""
    shapes = [value.shape for value in node.inputs if value is not None]
    if node.outputs[0].shape is not None and all(shape is not None for shape in shapes):
        corrected = _broadcast(context, [shape for shape in shapes if shape is not None])
        if corrected is not None:
            node.outputs[0].shape = corrected


def _broadcast(context: Context, shapes: list[ir.Shape]) -> ir.Shape | None:
    """The shape that all broadcast to; None where they certainly do not."""
    dims: list[Dim] = []
    for place in range(max(map(len, shapes)), 0, -1):
        meeting = [shape.dims[-place] for shape in shapes if len(shape) >= place and shape.dims[-place] != 1]
        numbers = {dim for dim in meeting if isinstance(dim, int)}
        if len(numbers) > 1:
            return None
        if numbers:
            dims.append(numbers.pop())
        elif meeting:
            dims.append(context.meet([dim for dim in meeting if not isinstance(dim, int)]))
        else:
            dims.append(1)
    return ir.Shape(dims)


def _infer_slice_by_attributes(context: Context, node: ir.Node) -> bool:
    """Slice before opset 10, whose bounds are attributes."""
    data = node.inputs[0]
    starts, ends = attribute_ints(node, "starts"), attribute_ints(node, "ends")
    if data is None or data.shape is None or starts is None or ends is None:
        return False
    axes = attribute_ints(node, "axes") or list(range(len(starts)))
    dims = list(data.shape.dims)
    for axis, start, end in zip(axes, starts, ends, strict=True):
        dim = dims[axis]
        if isinstance(dim, int):
            dims[axis] = len(range(*slice(start, end).indices(dim)))
        elif start != 0 or end < WHOLE:
            dims[axis] = context.new_symbolic_dim()
    context.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), data.dtype)
    elements = context.get_symbolic_value(data)
    if elements is not None and len(dims) == len(starts) == 1:
        context.set_symbolic_value(node.outputs[0], elements[starts[0] : ends[0]])
    return True


def _correct_slice(context: Context, node: ir.Node) -> None:
    """A named dimension is not as long as a Slice's end just because the end is a number."""
    data, output = node.inputs[0], node.outputs[0]
    if data is None or data.shape is None or output.shape is None or len(data.shape) != len(output.shape):
        return
    in_full = _slices_from_the_start(node)
    dims = []
    for old, new in zip(data.shape.dims, output.shape.dims, strict=True):
        if isinstance(old, int) or not isinstance(new, int) or new == 0:
            dims.append(new)
        else:
            dims.append(old if new >= WHOLE and in_full else context.new_symbolic_dim())
    if dims != list(output.shape.dims):
        output.shape = ir.Shape(dims)


def _slices_from_the_start(node: ir.Node) -> bool:
    """Whether a Slice takes every element up to its ends."""
    starts = attribute_ints(node, "starts")
    if starts is not None:
        return not any(starts)
    starts = ints(node.inputs[1])
    steps = [1] if len(node.inputs) < 5 or node.inputs[4] is None else ints(node.inputs[4])
    return starts is not None and steps is not None and not any(starts) and set(steps) <= {1}


def _correct_squeeze(context: Context, node: ir.Node) -> None:
    """Without known axes, each named dimension might be 1 and go; no axes are all axes to onnxruntime."""
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if attribute_ints(node, "axes") or ints(axes):
        return
    shape = static_shape(node.inputs[0])
    if shape is None or (1 in shape and (axes is not None or "axes" in node.attributes)):
        node.outputs[0].shape = None


def _correct_loop(context: Context, node: ir.Node) -> None:
    """A Loop may run no time at all, and may stop early."""
    body = node.attributes["body"].as_graph()
    carried = len(node.inputs) - 2
    runs_through = _is_true(context, node.inputs[1]) and _is_passed_through(context, body)
    trips = None if node.inputs[0] is None else context.get_symbolic_value(node.inputs[0])
    certain = (
        runs_through and trips is not None and len(trips) == 1 and isinstance(trips[0], int) and trips[0] > 0
    )
    for index, output in enumerate(node.outputs):
        if output.shape is None:
            continue
        if index >= carried:
            if not runs_through or trips is None or not context.is_length(trips[0]):
                output.shape = ir.Shape([context.new_symbolic_dim(), *output.shape.dims[1:]])
        elif not certain:
            initial = node.inputs[2 + index]
            known = initial is not None and initial.shape is not None
            output.shape = _merged(context, initial.shape, output.shape) if known else None  # type: ignore[union-attr, arg-type]


def _is_true(context: Context, value: ir.Value | None) -> bool:
    return value is None or context.get_symbolic_value(value) == [1]


def _is_passed_through(context: Context, body: ir.Graph) -> bool:
    value = body.outputs[0]
    while (
        (node := value.producer()) is not None and node.op_type == "Identity" and node.inputs[0] is not None
    ):
        value = node.inputs[0]
    return value is body.inputs[1] or context.get_symbolic_value(value) == [1]


def _infer_constant(context: Context, node: ir.Node) -> bool:
    """The plain spelling; the other attributes are left to the general rule."""
    attribute = node.attributes.get("value")
    if attribute is None:
        return False
    tensor = attribute_tensor(attribute)
    context.set_shape_and_dtype(node.outputs[0], ir.Shape(tensor.shape.numpy()), tensor.dtype)
    return True


def _infer_float_arithmetic(context: Context, node: ir.Node) -> bool:
    """Two floats of the same shape, or one beside a single element: nearly every node of a large graph."""
    if len(node.inputs) != 2:
        return False
    left, right = node.inputs
    if left is None or right is None or left.dtype is None or not left.dtype.is_floating_point():
        return False
    if same_shape(left.shape, right.shape) or _is_single(right.shape, left.shape):
        shape = left.shape
    elif _is_single(left.shape, right.shape):
        shape = right.shape
    else:
        return False
    context.set_shape_and_dtype(node.outputs[0], shape, left.dtype)
    return True


def _is_single(shape: ir.Shape | None, other: ir.Shape | None) -> bool:
    """Whether one element broadcasts into `other` without adding a dimension."""
    if shape is None or other is None or len(shape) > len(other):
        return False
    return all(dim == 1 for dim in shape.dims)


_RULES: dict[str, Callable[[Context, ir.Node], bool]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), _infer_float_arithmetic),
    "Constant": _infer_constant,
    **dict.fromkeys(_COMPARE, _infer_comparison),
    **dict.fromkeys(_LOGIC, _infer_logic),
    "Where": _infer_where,
    "If": _infer_if,
    "Reshape": _infer_reshape,
    "Expand": _infer_expand,
    "Range": _infer_range,
    "Cast": _infer_cast,
    "CastLike": _infer_cast_like,
    "Slice": _infer_slice_by_attributes,
}

_CORRECTIONS: dict[str, Callable[[Context, ir.Node], None]] = {
    **dict.fromkeys(
        (
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Mod",
            "Min",
            "Max",
            "Sum",
            "Mean",
            "BitwiseAnd",
            "BitwiseOr",
            "BitwiseXor",
        ),
        _correct_broadcast,
    ),
    "Pow": _correct_broadcast,
    "BitShift": _correct_broadcast,
    "Slice": _correct_slice,
    "Squeeze": _correct_squeeze,
    "Loop": _correct_loop,
    "ConstantOfShape": _remember_filling,
}
