"""Fewer steps that compute the same, code for code: tables and sums in products, layouts in conversions.

Each fusion asks that nobody else reads the value between the two steps.
"""

from __future__ import annotations

from collections.abc import Callable

from graphopt.native.lower.steps import Step, Steps, Value

_PRODUCTS = ("conv", "conv_transpose", "gemm")
_TABLED = (*_PRODUCTS, "matmul", "add", "affine", "mul")
_SUMMED = _PRODUCTS
_OF_FLOATS = ("conv_f32", "conv_transpose_f32", "gemm_f32")
_VIEWS = ("reshape", "transpose")

_LAST = {rank: [0, *range(2, rank), 1] for rank in range(3, 9)}
_FIRST = {rank: [0, rank - 1, *range(1, rank - 1)] for rank in range(3, 9)}


def fuse(steps: Steps) -> None:
    """Fuse what can be, in place."""
    steps.drop_dead()
    for rule in (_table_first, _table_behind, _sum_behind, _table_behind, _quantize_last, _dequantize_first):
        _apply(steps, rule)
    _apply(steps, _decode_last)
    _apply(steps, _clip_behind)
    steps.drop_dead()


def _apply(steps: Steps, rule: Callable[[Step, _Readers], Step | None]) -> None:
    readers = _Readers(steps)
    for step in list(steps.steps):
        gone = rule(step, readers)
        if gone is not None:
            readers.forget(gone)


class _Readers:
    """Who computes and who reads each value of steps."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._uses = steps.uses()
        self._makers = {step.output: step for step in steps.steps}
        self._outputs = set(steps.outputs.values())

    def place(self, step: Step) -> int:
        """Where a step stands."""
        return self._steps.steps.index(step)

    def maker(self, value: Value) -> Step | None:
        """The step that computes a value."""
        return self._makers.get(value)

    def only(self, value: Value) -> Step | None:
        """The only reader of a value, which reads it once; None if there are more, or it is an output."""
        readers = self._uses.get(value, [])
        return readers[0] if len(readers) == 1 and value not in self._outputs else None

    def give(self, step: Step, other: Step) -> None:
        """Let `step` compute what `other` does."""
        step.output = other.output
        self._makers[other.output] = step

    def read(self, step: Step, value: Value, instead_of: Step) -> None:
        """Let `step` read one value more, which another step read before."""
        step.inputs.append(value)
        readers = self._uses[value]
        readers[readers.index(instead_of)] = step

    def move(self, step: Step, other: Step) -> None:
        """Let `step` stand where another does."""
        steps = self._steps.steps
        steps.remove(step)
        steps.insert(steps.index(other), step)

    def exchange(self, first: Step, second: Step, between: Value) -> None:
        """Let `second`, the only reader of `first`, run before it, with `between` in between."""
        source = first.inputs[0]
        self._uses[source] = [second if reader is first else reader for reader in self._uses[source]]
        self._uses[between] = [first]
        first.output, second.output = second.output, between
        first.inputs[0], second.inputs[0] = between, source
        self._makers |= {first.output: first, between: second}
        steps = self._steps.steps
        steps.remove(first)
        steps.insert(steps.index(second) + 1, first)

    def forget(self, step: Step) -> None:
        """Drop a step."""
        self._steps.steps.remove(step)


def _clip_behind(step: Step, readers: _Readers) -> Step | None:
    """Products of floats are clamped as they are written."""
    reader = readers.only(step.output) if step.kind in _OF_FLOATS and "low" not in step.attributes else None
    if reader is None or reader.kind != "unary" or reader.attributes["op"] != "clip":
        return None
    step.attributes |= {end: reader.attributes[end] for end in ("low", "high")}
    readers.give(step, reader)
    return reader


def _table_first(step: Step, readers: _Readers) -> Step | None:
    """Codes are looked up before they are moved where what computes them can do it."""
    view = readers.maker(step.inputs[0]) if step.kind == "lookup" else None
    while view is not None and view.kind in _VIEWS and readers.only(view.output) is step:
        maker = readers.maker(view.inputs[0])
        if maker is None or maker.kind not in (*_TABLED, *_VIEWS) or readers.only(maker.output) is not view:
            break
        readers.exchange(view, step, Value(step.output.type, view.inputs[0].dims))
        view = maker
    return None


def _decode_last(step: Step, readers: _Readers) -> Step | None:
    """Codes are moved before they are decoded: they are a quarter of what they stand for."""
    if step.kind not in (*_VIEWS, "slice"):
        return None
    decoder = readers.maker(step.inputs[0])
    if (
        decoder is None
        or decoder.kind not in ("decode", "dequantize")
        or readers.only(decoder.output) is not step
    ):
        return None
    codes = decoder.inputs[0]
    if codes.type in ("u8", "s8") and decoder.attributes.get("layout", "same") == "same":
        readers.exchange(decoder, step, Value(codes.type, step.output.dims))
    return None


def _table_behind(step: Step, readers: _Readers) -> Step | None:
    """What looks codes up in a table does so as it writes them."""
    if step.kind not in _TABLED or step.attributes["y_type"] == "f32":
        return None
    reader = readers.only(step.output)
    if reader is None or reader.kind != "lookup":
        return None
    prefix = "sum_" if "sum_type" in step.attributes else ""
    if f"{prefix}table" in step.attributes:
        return None
    step.attributes |= {
        f"{prefix}table": reader.attributes["table"],
        f"{prefix}table_type": reader.attributes["type"],
    }
    readers.give(step, reader)
    return reader


def _sum_behind(step: Step, readers: _Readers) -> Step | None:
    """A product whose codes are only added to others adds them itself: the later one, if both could.

    The step takes the place of the addition: what it adds may be computed behind where it stood.
    """
    if step.kind != "add":
        return None
    makers = [readers.maker(value) for value in step.inputs]
    able = [
        maker is not None
        and maker.kind in _SUMMED
        and maker.attributes["y_type"] != "f32"
        and "sum_type" not in maker.attributes
        and readers.only(maker.output) is step
        and maker.output.dims == step.output.dims == other.dims
        and None not in other.dims
        for maker, other in zip(makers, reversed(step.inputs), strict=True)
    ]
    if not any(able):
        return None
    side = max(
        (place for place in (0, 1) if able[place]), key=lambda place: readers.place(_is(makers[place]))
    )
    maker, other = _is(makers[side]), step.inputs[1 - side]
    mine, theirs = ("a", "b") if side == 0 else ("b", "a")
    added = step.attributes
    if "table" in maker.attributes:
        maker.attributes |= {"table_scale": added[f"{mine}_scale"], "table_zero": added[f"{mine}_zero"]}
    elif (
        added[f"{mine}_scale"] != maker.attributes["y_scale"]
        or added[f"{mine}_zero"] != maker.attributes["y_zero"]
    ):
        return None
    maker.attributes |= {"r_scale": added[f"{theirs}_scale"], "r_zero": added[f"{theirs}_zero"]}
    if side == 1:
        maker.attributes["r_first"] = 1
    maker.attributes |= {f"sum_{name}": added[f"y_{name}"] for name in _GRID if f"y_{name}" in added}
    for name in ("table", "table_type"):
        if name in added:
            maker.attributes[f"sum_{name}"] = added[name]
    readers.read(maker, other, step)
    readers.give(maker, step)
    readers.move(maker, step)
    return step


_GRID = ("type", "scale", "zero", "low", "high")


def _quantize_last(step: Step, readers: _Readers) -> Step | None:
    """Codes are written in the order of axes in which they are wanted."""
    rank = len(step.output.dims)
    if step.kind != "quantize" or step.attributes["layout"] != "same" or rank not in _LAST:
        return None
    reader = readers.only(step.output)
    if reader is None or reader.kind != "transpose" or reader.attributes["perm"] != _LAST[rank]:
        return None
    step.attributes["layout"] = "last"
    readers.give(step, reader)
    return reader


def _dequantize_first(step: Step, readers: _Readers) -> Step | None:
    """And numbers likewise."""
    rank = len(step.output.dims)
    if step.kind != "dequantize" or step.attributes["layout"] != "same" or rank not in _FIRST:
        return None
    reader = readers.only(step.output)
    if reader is None or reader.kind != "transpose" or reader.attributes["perm"] != _FIRST[rank]:
        return None
    step.attributes["layout"] = "first"
    readers.give(step, reader)
    return reader


def _is(step: Step | None) -> Step:
    assert step is not None
    return step
