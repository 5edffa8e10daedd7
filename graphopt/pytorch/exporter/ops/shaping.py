"""Operators that give the elements of tensors other places: shapes, axes, joining, parting, filling."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Ints, Site
from graphopt.pytorch.exporter.sizes import Sizes, all_known
from graphopt.pytorch.exporter.unsigned import widening
from graphopt.pytorch.functional import shaping


@translates("Shape")
def shape(site: Site) -> Sizes | fx.Node:
    """Sizes: known ones as numbers, others read from the tensor."""
    value = site.node.inputs[0]
    x = site.tensor(0)
    if value is None or value.shape is None:
        return site.call(shaping.shape, x, site.attribute("start", 0), site.attribute("end"))
    dims = list(enumerate(value.shape))[site.attribute("start", 0) : site.attribute("end")]
    return Sizes(tuple(dim if isinstance(dim, int) else site.size(x, axis) for axis, dim in dims))


@translates("Size")
def size(site: Site) -> Sizes:
    known = site.shape(0)
    count = site.method("numel", site.tensor(0)) if known is None else math.prod(known)
    return Sizes((count,), ())


@translates("Reshape")
def reshape(site: Site) -> fx.Node:
    x = site.tensor(0)
    wanted = _wanted(site, 1)
    keep = not site.attribute("allowzero", 0)
    if wanted is None or (keep and site.sizes(1) is None):
        return site.call(shaping.reshape, x, wanted or site.ints(1), keep_zeros=not keep or None)
    items = [site.size(x, axis) if keep and _is(n, 0) else n for axis, n in enumerate(wanted)]
    return site.method("reshape", x, *items) if items else site.method("reshape", x, ())


@translates("Flatten")
def flatten(site: Site) -> fx.Node:
    x, rank, axis = site.tensor(0), site.rank(0), site.attribute("axis", 1)
    if axis < 0 and rank is not None:
        axis += rank
    if axis == 1 and rank is not None and rank > 1:
        return site.call(torch.flatten, x, 1)
    if axis == 0:
        return site.method("reshape", x, 1, -1)
    return site.call(shaping.flatten, x, axis)


@translates("Transpose")
def transpose(site: Site) -> fx.Node:
    x, perm, rank = site.tensor(0), site.attribute("perm"), site.rank(0)
    if perm is None and rank is None:
        return site.call(shaping.reverse_axes, x)
    perm = list(reversed(range(rank or 0))) if perm is None else list(perm)
    moved = [axis for axis, source in enumerate(perm) if axis != source]
    return site.call(torch.transpose, x, *moved) if len(moved) == 2 else site.call(torch.permute, x, perm)


@translates("Squeeze")
def squeeze(site: Site) -> fx.Node:
    x, axes = site.tensor(0), site.ints(1, "axes")
    if axes is None:
        return site.call(torch.squeeze, x)
    known, dims = _known(axes), _dims(site)
    if not known or dims is None or any(dims[axis] != 1 for axis in known):
        return site.call(shaping.squeeze, x, axes)
    return site.call(torch.squeeze, x, known[0] if len(known) == 1 else tuple(known))


@translates("Unsqueeze")
def unsqueeze(site: Site) -> fx.Node:
    x, axes, rank = site.tensor(0), _known(site.ints(1, "axes")), site.rank(0)
    if axes is None:
        return site.call(shaping.unsqueeze, x, site.ints(1))
    if len(axes) > 1 and min(axes) < 0:
        if rank is None:
            return site.call(shaping.unsqueeze, x, axes)
        axes = [axis % (rank + len(axes)) for axis in axes]
    for axis in sorted(axes):
        x = site.call(torch.unsqueeze, x, axis)
    return x


@translates("Concat")
def concat(site: Site) -> fx.Node:
    parts = [site.tensor(index) for index in range(len(site.node.inputs))]
    return site.call(torch.cat, parts, site.attribute("axis"))


@translates("Split")
def split(site: Site) -> list[fx.Node]:
    x, axis, count = site.tensor(0), site.attribute("axis", 0), len(site.node.outputs)
    sizes = site.ints(1, "split")
    dims = _dims(site)
    dim = dims[axis] if dims is not None else None
    if sizes is None and isinstance(dim, int):
        part = math.ceil(dim / count)
        sizes = [max(min(part, dim - part * index), 0) for index in range(count)]
    if sizes is None:
        parts = site.call(shaping.split_evenly, x, count, axis)
    else:
        parts = site.call(torch.split, x, _spoken_parts(sizes), axis)
    return [site.item(parts, index) for index in range(count)]


@translates("Slice")
def slice_(site: Site) -> fx.Node:
    x, rank = site.tensor(0), site.rank(0)
    starts, ends = site.ints(1, "starts"), site.ints(2, "ends")
    axes, steps = site.ints(3, "axes"), site.ints(4)
    if not isinstance(starts, list) or not isinstance(ends, list) or _waits(axes) or _waits(steps):
        return site.call(shaping.slices, x, starts, ends, axes=axes, steps=steps)
    axes = _known(axes) or list(range(len(starts)))
    if rank is not None:
        axes = [axis % rank for axis in axes]
    steps = _known(steps) or [1] * len(axes)
    backwards = [axis for axis, step in zip(axes, steps, strict=True) if step < 0]
    if min(axes, default=0) < 0 <= max(axes, default=0):
        return site.call(shaping.slices, x, starts, ends, axes=axes, steps=steps)
    if backwards:
        x = site.call(torch.flip, x, backwards)
    spans = {
        axis: _span(site, x, axis, start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    index = _index(spans)
    return x if index is None else site.call(operator.getitem, x, index)


@translates("Expand")
def expand(site: Site) -> fx.Node:
    """Two-way: where the wanted size is one, the tensor's own stays."""
    x, rank, wanted = site.tensor(0), site.rank(0), _wanted(site, 1)
    if wanted is None:
        return site.call(shaping.expand, x, site.ints(1))
    own = _dims(site)
    if rank is None or own is None or rank > len(wanted):
        return site.call(shaping.expand, x, wanted)
    dims = [None] * (len(wanted) - rank) + list(own)
    items: list[Any] = []
    for dim, n in zip(dims, wanted, strict=True):
        if dim is None or dim == 1:
            items.append(n)
        elif _is(n, 1) or dim == n:
            items.append(-1)
        else:
            return site.call(shaping.expand, x, wanted)
    return site.method("expand", x, *items) if items else x


@translates("Tile")
def tile(site: Site) -> fx.Node:
    return site.call(torch.tile, site.tensor(0), site.ints(1))


@translates("Pad")
def pad(site: Site) -> fx.Node:
    x, rank, mode = site.tensor(0), site.rank(0), site.attribute("mode", "constant")
    pads, axes, value = site.ints(1, "pads"), site.ints(3), _pad_value(site)
    if rank is None or not isinstance(pads, list) or isinstance(value, fx.Node) or _waits(axes):
        return site.call(shaping.pad, x, pads, axes=axes, mode=_unless(mode, "constant"), value=value)
    axes = [axis % rank for axis in _known(axes) or range(rank)]
    begin = dict(zip(axes, pads[: len(axes)], strict=True))
    end = dict(zip(axes, pads[len(axes) :], strict=True))
    padded = [axis for axis in axes if not (_is(begin[axis], 0) and _is(end[axis], 0))]
    if not padded:
        return x
    if mode == "constant":
        flat = [each.get(axis, 0) for axis in reversed(range(min(padded), rank)) for each in (begin, end)]
        return site.call(F.pad, x, flat, value=_unless(value, 0))
    if _has_own_padding(site, mode, [(axis, begin[axis], end[axis]) for axis in padded], rank):
        flat = [each.get(axis, 0) for axis in reversed(range(min(padded), rank)) for each in (begin, end)]
        return site.call(F.pad, x, flat, mode={"edge": "replicate", "reflect": "reflect"}[mode])
    pads = [begin[axis] for axis in padded] + [end[axis] for axis in padded]
    return site.call(shaping.pad, x, pads, axes=padded, mode=mode)


@translates("ConstantOfShape")
def constant_of_shape(site: Site) -> fx.Node:
    tensor = site.attribute("value", ir.tensor([0.0]))
    value = _python(np.asarray(tensor.numpy()).reshape(-1)[0])
    return site.call(torch.full, site.ints(0), value, dtype=torch_dtype(tensor.dtype))


@translates("Range")
def range_(site: Site) -> fx.Node:
    dtype = site.node.inputs[0].dtype if site.node.inputs[0] is not None else None
    start, limit, delta = [site.number(index) for index in range(3)]
    bounds = [limit] if _is(start, 0) and _is(delta, 1) else [start, limit]
    if not _is(delta, 1):
        bounds.append(delta)
    return site.call(torch.arange, *bounds, dtype=None if dtype is None else torch_dtype(dtype))


@translates("EyeLike")
@widening()
def eye_like(site: Site) -> fx.Node:
    offset = site.attribute("k", 0)
    dtype = site.torch_type("dtype")
    return site.call(shaping.eye_like, site.tensor(0), diagonal=_unless(offset, 0), dtype=dtype)


@translates("Trilu")
@widening()
def trilu(site: Site) -> fx.Node:
    function = torch.triu if site.attribute("upper", 1) else torch.tril
    diagonal = site.number(1, default=0)
    return site.call(function, site.tensor(0), *([] if _is(diagonal, 0) else [diagonal]))


@translates("ReverseSequence")
def reverse_sequence(site: Site) -> fx.Node:
    time, batch = site.attribute("time_axis", 0), site.attribute("batch_axis", 1)
    return site.call(shaping.reverse_sequence, site.tensor(0), site.tensor(1), time, batch)


def _dims(site: Site) -> ir.Shape | None:
    """The shape of the first input if its rank is known."""
    value = site.node.inputs[0]
    return None if value is None else value.shape


def _wanted(site: Site, index: int) -> list[Any] | None:
    """The items of a shape if their number is known."""
    found: Ints | None = site.ints(index, "shape")
    return found if isinstance(found, list) else None


def _known(ints: Ints | None) -> list[int] | None:
    """Integers that are all known now; None if they are not, or not given."""
    if not isinstance(ints, list) or not all_known(ints):
        return None
    return [item for item in ints if isinstance(item, int)]


def _waits(ints: Ints | None) -> bool:
    """Whether integers are given, but not all known now."""
    return ints is not None and _known(ints) is None


def _span(site: Site, x: fx.Node, axis: int, start: Any, end: Any, step: int) -> slice:
    """The Python slice of an ONNX one; a negative step is for the flipped tensor."""
    if step < 0:
        is_certain = isinstance(start, int) and start >= -1
        size = 0 if is_certain else site.size(x, axis)
        start = -1 - start if is_certain else site.compute(shaping.mirrored_start, start, size)
        end = shaping.mirrored_end(end) if isinstance(end, int) else site.compute(shaping.mirrored_end, end)
        step = -step
    begin = None if _is(start, 0) else start
    stop = max(end, shaping.EARLIEST) if isinstance(end, int) else end
    stop = None if isinstance(end, int) and end >= min(shaping.FARTHEST) else stop
    return slice(begin, stop, None if step == 1 else step)


def _index(spans: dict[int, slice]) -> Any:
    """The index that takes a span of each axis; all axes count from the front, or all from the back."""
    spans = {axis: span for axis, span in spans.items() if span != slice(None)}
    if not spans:
        return None
    if min(spans) < 0:
        return (Ellipsis, *[spans.get(axis, slice(None)) for axis in range(min(spans), 0)])
    return tuple(spans.get(axis, slice(None)) for axis in range(max(spans) + 1))


def _spoken_parts(sizes: Ints) -> Any:
    if isinstance(sizes, list) and all_known(sizes) and len(set(sizes)) == 1 and len(sizes) > 1:
        return sizes[0]
    return sizes


def _pad_value(site: Site) -> Any:
    if not site.has(2):
        return site.attribute("value", 0)
    constant = site.constant(2)
    known = site.sizes(2)
    if known is not None:
        return known.items[0]
    if constant is None:
        return site.tensor(2)
    return _python(constant.reshape(-1)[0]) if constant.size else 0


def _has_own_padding(site: Site, mode: str, padded: list[tuple[int, Any, Any]], rank: int) -> bool:
    """Whether `F.pad` pads so: the last dimensions of a batch, by less than a reflection of each."""
    count = rank - min(axis for axis, _, _ in padded)
    dims = site.node.inputs[0].shape if site.node.inputs[0] is not None else None
    if (
        mode not in ("edge", "reflect")
        or dims is None
        or not 1 <= count <= min(rank - 1, 3)
        or count < rank - 2
    ):
        return False
    if site.dtype(0) not in (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16):
        return False
    for axis, begin, end in padded:
        if not all(isinstance(pad, int) and pad >= 0 for pad in (begin, end)):
            return False
        if mode == "reflect" and isinstance(dims[axis], int) and max(begin, end) >= dims[axis]:
            return False
    return True


def _python(number: Any) -> Any:
    """A NumPy scalar of any type, bfloat16 and float8 included, as a Python number."""
    return number.item() if isinstance(number.item(), (bool, int, float, complex)) else float(number)


def _is(item: Any, number: int) -> bool:
    return isinstance(item, (int, float)) and item == number


def _unless(item: Any, default: Any) -> Any:
    """The item where it says more than the default does."""
    return None if not isinstance(item, fx.Node) and item == default else item
