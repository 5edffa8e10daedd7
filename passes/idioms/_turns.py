"""Reads rotations of pairs of columns by angles, as rotary position embeddings are. Changes nothing."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import Reject, attribute_int, ints, rank, same_dim, scalar
from graphopt.ir.slices import slice_range
from graphopt.passes.idioms._angles import Turn, columns_of, is_last

Range = tuple[ir.Value, int, int]
"""A value, and the first and last of a range of its columns, the last not included."""
Piece = tuple[ir.Value, int, int, int]
"""A value, and start, stop and step of columns of its last dimension."""


def sliced(value: ir.Value) -> tuple[ir.Value, int, int] | None:
    """The value of which `value` is a range of columns, one apart, and the range."""
    piece = _piece(value)
    return piece[:3] if piece is not None and piece[3] == 1 else None


def read_full_turn(node: ir.Node) -> Turn:
    """The rotation that x * cos + rotate_half(x) * sin is.

    Raises:
        Reject: It is none; with a reason where it nearly is.
    """
    left, right = (_factors(each) for each in node.inputs)
    if left is None or right is None:
        raise Reject("")
    minus = -1.0 if node.op_type == "Sub" else 1.0
    for plain, mixed in ((left, right), (right, left)):
        for position, swapped in enumerate(mixed):
            found = _swap(swapped)
            if found is None:
                continue
            columns, first, second, interleaved = found
            others = [index for index, each in enumerate(plain) if _is_range(each, columns)]
            if not others:
                continue
            if node.op_type == "Sub" and mixed is left:
                raise Reject("rotary: what is turned is subtracted from")
            if first * second > 0 and first < 0:
                raise Reject("rotary: both halves are negated")
            flipped = first * second > 0
            sign = minus if flipped or first < 0 else -minus
            return Turn(
                plain[others[0]],
                plain[1 - others[0]],
                mixed[1 - position],
                sign,
                flipped=flipped,
                interleaved=interleaved,
            )
        if any(_swaps_unequal(swapped, plain) for swapped in mixed):
            raise Reject("rotary: the columns that change places are not both halves")
    raise Reject("")


def _swaps_unequal(value: ir.Value, plain: tuple[ir.Value, ir.Value]) -> bool:
    """Whether a value is two ranges of the columns of one of `plain`, one of them negated maybe."""
    node = value.producer()
    parts = (None, None) if node is None or node.domain else _concatenated(node)
    if parts[0] is None or parts[1] is None:
        return False
    one, other = (sliced(_signed(each)[0]) for each in parts)
    return one is not None and other is not None and one[0] is other[0] and one[0] in plain


def read_half_turn(node: ir.Node) -> Turn:
    """The rotation that a Concat of x1 * cos - x2 * sin and x2 * cos + x1 * sin is.

    Raises:
        Reject: It is none; with a reason where it nearly is.
    """
    pairs, interleaved = _stacked(node) if node.op_type == "Reshape" else (_concatenated(node), False)
    first, second = (None if each is None else each.producer() for each in pairs)
    if first is None or second is None or not {first.op_type, second.op_type} <= {"Add", "Sub"}:
        raise Reject("")
    fits = (first.op_type, second.op_type) == ("Sub", "Add")
    terms = [_factors(each) for each in (*first.inputs, *second.inputs)]
    if any(each is None for each in terms):
        raise Reject("")
    a, b, c, d = (each for each in terms if each is not None)
    for even, cosine in (a, a[::-1]):
        for odd, sine in (b, b[::-1]):
            if ({*c} == {odd, cosine} and {*d} == {even, sine}) or (
                {*d} == {odd, cosine} and {*c} == {even, sine}
            ):
                columns = _halves(even, odd, interleaved)
                if columns is not None and _is_range(columns[0], columns):
                    if not fits:
                        raise Reject("rotary: the halves are mixed with other signs than those of a rotation")
                    return Turn(columns[0], cosine, sine, halved=True, interleaved=interleaved)
    raise Reject("")


def _factors(value: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Mul" or node.domain != "":
        return None
    left, right = node.inputs
    return None if left is None or right is None else (left, right)


def _swap(value: ir.Value) -> tuple[Range, float, float, bool] | None:
    """What `value` is with its halves or its neighbours swapped, and the sign of each."""
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "Concat":
        pairs, interleaved = _concatenated(node), False
    elif node.op_type == "Reshape":
        pairs, interleaved = _stacked(node, flat=False)
    else:
        return None
    if pairs[0] is None or pairs[1] is None:
        return None
    (second, by_first), (first, by_second) = (_signed(each) for each in pairs)
    whole = _halves(first, second, interleaved)
    return None if whole is None else (whole, by_first, by_second, interleaved)


def _signed(value: ir.Value | None) -> tuple[ir.Value, float]:
    assert value is not None
    node = value.producer()
    if node is not None and node.domain == "":
        if node.op_type == "Neg" and node.inputs[0] is not None:
            return node.inputs[0], -1.0
        if node.op_type == "Mul":
            for inner, other in (node.inputs, node.inputs[::-1]):
                if inner is not None and scalar(other) == -1:
                    return inner, -1.0
    return value, 1.0


def _concatenated(node: ir.Node) -> tuple[ir.Value | None, ir.Value | None]:
    """Both parts of a Concat of columns."""
    if node.op_type != "Concat" or len(node.inputs) != 2 or not is_last(node, node.outputs[0]):
        return None, None
    return node.inputs[0], node.inputs[1]


def _stacked(node: ir.Node, *, flat: bool = True) -> tuple[tuple[ir.Value | None, ir.Value | None], bool]:
    """Both values whose columns a Reshape of a stack interleaves; unless `flat`, maybe with an axis of 1."""
    stack = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    output = node.outputs[0]
    if stack is None or stack.domain != "" or stack.op_type != "Concat" or len(stack.inputs) != 2:
        return (None, None), True
    made = stack.outputs[0]
    if made.shape is None or output.shape is None or len(made.shape) != len(output.shape) + 1:
        return (None, None), True
    if not is_last(stack, made) or made.shape.dims[-1] != 2:
        return (None, None), True
    if not all(same_dim(a, b) for a, b in zip(made.shape.dims[:-2], output.shape.dims[:-1], strict=True)):
        return (None, None), True
    parts: list[ir.Value | None] = []
    for each in stack.inputs:
        part = None if each is None else each.producer()
        known = part is not None and part.op_type == "Unsqueeze" and rank(part.inputs[0]) == len(output.shape)
        parts.append(part.inputs[0] if part is not None and known else None if flat else each)
    return (parts[0], parts[1]), True


def _halves(first: ir.Value, second: ir.Value, interleaved: bool) -> Range | None:
    """The columns of which `first` and `second` are the halves, or the even and odd ones."""
    one, other = _piece(first), _piece(second)
    if one is None or other is None or one[0] is not other[0]:
        return None
    (base, start, middle, step), (_, begin, stop, stride) = one, other
    if interleaved:
        fits = begin == start + 1 and middle in (stop, stop - 1) and (stop - start) % 2 == 0
        return (base, start, stop) if fits and step == stride == 2 else None
    fits = begin == middle and middle - start == stop - begin
    return (base, start, stop) if fits and step == stride == 1 else None


def _is_range(value: ir.Value, columns: Range) -> bool:
    """Whether a value is these columns of another one."""
    base, start, stop = columns
    return (value is base and (start, stop) == (0, columns_of(base))) or sliced(value) == columns


def _piece(value: ir.Value) -> Piece | None:
    """The columns of another value that a Slice or Split takes, or one of each pair of them."""
    return _one_of_pairs(value) or _columns(value)


def _one_of_pairs(value: ir.Value) -> Piece | None:
    """x[..., i::2], written as element i of the last axis of Reshape(x, [..., n / 2, 2])."""
    node = value.producer()
    if node is None or node.domain != "" or not node.inputs or node.inputs[0] is None:
        return None
    pairs = node.inputs[0]
    if node.op_type == "Gather":
        index = scalar(node.inputs[1])
        if index is None or not is_last(node, pairs):
            return None
        place = int(index) % 2
    else:
        piece = _columns(value)
        if piece is None or piece[2] - piece[1] != 1:
            return None
        place = piece[1]
    view = pairs.producer()
    source = None if view is None or view.op_type != "Reshape" or view.domain else view.inputs[0]
    columns = None if source is None else columns_of(source)
    if source is None or source.shape is None or pairs.shape is None or columns is None:
        return None
    if len(pairs.shape) != len(source.shape) + 1 or pairs.shape.dims[-2:] != (columns // 2, 2) or columns % 2:
        return None
    if not all(same_dim(a, b) for a, b in zip(pairs.shape.dims[:-2], source.shape.dims[:-1], strict=True)):
        return None
    return source, place, columns, 2


def _columns(value: ir.Value) -> Piece | None:
    """The columns of another value that a Slice or Split takes."""
    node = value.producer()
    if node is None or node.domain != "" or not node.inputs or node.inputs[0] is None:
        return None
    source = node.inputs[0]
    columns = columns_of(source)
    if columns is None or source.shape is None:
        return None
    last = len(source.shape) - 1
    if node.op_type == "Slice" and len(node.inputs) >= 4:
        numbers = [ints(each) for each in node.inputs[1:]]
        if any(each is None or len(each) != 1 for each in numbers):
            return None
        start, stop, axis, *step = (each[0] for each in numbers if each is not None)
        if axis not in (-1, last):
            return None
        taken = slice_range(start, stop, step[0] if step else 1, columns)
        return source, taken.start, taken.stop, taken.step
    if node.op_type == "Split" and attribute_int(node, "axis", 0) in (-1, last):
        start = 0
        for each in node.outputs:
            width = columns_of(each)
            if width is None:
                return None
            if each is value:
                return source, start, start + width, 1
            start += width
    return None
