"""The search that passes for functions of rows share: which nodes such a region may end at, and what it is.

What takes the region's place is for the passes to say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence

import onnx_ir as ir

from graphopt.idioms import (
    OPERATORS,
    CannotEvaluateError,
    FoundReduction,
    NearReduction,
    Ranks,
    Region,
    TensorFunction,
    is_reduction,
    regions_ending_at,
    removable,
)
from graphopt.ir import Reject, constant_tensor, nodes, rank

ENDS = (
    "Add",
    "BatchNormalization",
    "Cast",
    "Div",
    "Exp",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "Max",
    "Mul",
    "Neg",
    "RMSNormalization",
    "Reshape",
    "Softmax",
    "Squeeze",
    "Sub",
    "Sum",
    "Transpose",
    "Unsqueeze",
    "Where",
)
"""Operators that a function of rows may end with."""
REACH = 9
"""Steps from a reduction to the end of a region, at most."""
SPAN = 20
"""Nodes of a region, at most."""
NARROW = {ir.DataType.FLOAT: 32, ir.DataType.FLOAT16: 16, ir.DataType.DOUBLE: 64, ir.DataType.BFLOAT16: 16}
Outcome = FoundReduction | NearReduction | None
Recognize = Callable[[TensorFunction, str, FoundReduction | None], Outcome]
FAR = REACH + 1
FEW = 64
"""Elements of a constant up to which another content means another function."""


def reduces(model: ir.Model) -> bool:
    """Whether any node of a model mixes elements of rows: without one there is nothing to look for."""
    return any(is_reduction(node) for node in nodes(model))


class RowSearch:
    """Looks for functions of rows that end at a node; remembers what it saw.

    Args:
        recognize: What a region is; gets what another region of the same nodes was, with other constants.
        may_be: Whether it is worth asking.

    Attributes:
        reason: What the last search found nearly to be such a function, as text.
        near: The nodes of it before the end, last first.
        guarded: A region that the last search found to be one but for a tiny floor, and what it is.
    """

    def __init__(self, recognize: Recognize, may_be: Callable[[Region], bool]) -> None:
        self.reason = ""
        self.near: Sequence[ir.Node] = ()
        self.guarded: tuple[Region, NearReduction] | None = None
        self._recognize = recognize
        self._may_be = may_be
        self._alike: dict[Hashable, Outcome] = {}
        self._ranks = Ranks()
        self._distances: dict[ir.Node, int] = {}
        self._seen: dict[Hashable, Outcome] = {}
        self._told: set[ir.Node] = set()
        self._claimed: set[ir.Node] = set()

    def at(self, end: ir.Node) -> Iterator[tuple[Region, FoundReduction]]:
        """The regions that end at a node and are such a function, largest first.

        After the last of them `reason` says what nearly is one, where there is such a region.
        """
        self.reason, self.near, self.guarded = "", (), None
        if end in self._claimed or self._distance(end) > REACH:
            return
        for region in reversed(list(regions_ending_at(end, self._ranks, _is_expandable, SPAN))):
            if len(removable(region)) == 1:
                continue  # nothing is shorter than one node
            outcome = self._outcome(region)
            if isinstance(outcome, FoundReduction):
                yield region, outcome
            elif outcome is not None and self._is_news(region, outcome):
                self._told.update(region.nodes)
                if not self.reason:
                    self.reason, self.near = str(outcome), region.nodes[-2::-1]
                if outcome.guarded:
                    self.guarded = self.guarded or (region, outcome)

    @contextlib.contextmanager
    def deciding(self, region: Region) -> Iterator[None]:
        """Claim a region that is refused; of one that is written, what others use may end another."""
        try:
            yield
        except Reject:
            self.claim(region)
            raise

    def claim(self, region: Region) -> None:
        """Look at no end inside a region again: what it is, and why it stays if it does, is decided."""
        self._claimed.update(region.nodes)

    def _is_news(self, region: Region, near: NearReduction) -> bool:
        """Whether a near miss was not told yet, and is not of the operator and what follows it."""
        written = any(node.op_type == near.idiom for node in region.nodes)
        return not written and not self._told.issuperset(region.nodes)

    def _distance(self, end: ir.Node) -> int:
        """Steps back to the nearest reduction; `FAR` where none is within reach."""
        known = self._distances
        stack = [end]
        while stack:
            node = stack[-1]
            if node in known:
                stack.pop()
                continue
            if not _is_expandable(node):
                known[stack.pop()] = FAR
                continue
            if is_reduction(node):
                known[stack.pop()] = 0
                continue
            sources = [value.producer() for value in node.inputs if value is not None]
            before = [source for source in sources if source is not None]
            unknown = [source for source in before if source not in known]
            if unknown:
                stack.extend(unknown)
                continue
            known[stack.pop()] = min(FAR, 1 + min((known[source] for source in before), default=FAR))
        return known[end]

    def _outcome(self, region: Region) -> Outcome:
        entry, end = region.entry, region.end
        if entry.dtype not in NARROW or end.dtype != entry.dtype or rank(entry) is None:
            return None
        if not any(is_reduction(node) for node in region.nodes):
            return None
        if not self._may_be(region) or not _may_keep_shape(region) or _loses_bits(region):
            return None
        key, alike = _signature(region)
        if key not in self._seen:
            like = self._alike.get(alike)
            outcome = None if alike in self._alike and like is None else self._evaluate(region, like)
            self._seen[key] = outcome
            self._alike.setdefault(alike, outcome)
        return self._seen[key]

    def _evaluate(self, region: Region, like: Outcome) -> Outcome:
        assert region.entry.dtype is not None
        if isinstance(like, NearReduction):
            return like
        outcome: Outcome = None
        for keep_sizes in (False, True):
            try:
                function = TensorFunction(region, keep_sizes=keep_sizes)
                outcome = self._recognize(function, region.entry.dtype.numpy().name, like)
            except CannotEvaluateError:
                continue
            if isinstance(outcome, FoundReduction) or function.keeps_sizes:
                break
        return outcome


def _is_expandable(node: ir.Node) -> bool:
    if node.op_type not in OPERATORS or node.domain:
        return False
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return False
    return len(node.outputs) == 1 or not any(output.uses() for output in node.outputs[1:])


def _may_keep_shape(region: Region) -> bool:
    before, after = region.entry.shape, region.end.shape
    if before is None or after is None:
        return after is None
    if len(before) != len(after):
        return False
    pairs = zip(before.dims, after.dims, strict=True)
    return all(left == right for left, right in pairs if isinstance(left, int) and isinstance(right, int))


def _loses_bits(region: Region) -> bool:
    """Whether floats inside have fewer bits than the entry."""
    bits = NARROW[region.entry.dtype]  # type: ignore[index]
    kinds = (node.outputs[0].dtype for node in region.nodes if node.op_type == "Cast")
    return any(dtype in NARROW and NARROW[dtype] < bits for dtype in kinds if dtype is not None)


def _signature(region: Region) -> tuple[Hashable, Hashable]:
    """Regions of one signature compute the same; of one second part, the same but for long constants."""
    places: dict[ir.Value | None, object] = {None: -1, region.entry: -2}
    long: list[ir.Value] = []
    steps = []
    for place, node in enumerate(region.nodes):
        operands = []
        for value in node.inputs:
            tensor = None if value in places else constant_tensor(value)
            if tensor is None:
                operands.append(places[value])
            elif tensor.size <= FEW:
                operands.append((tensor.dtype, tuple(tensor.shape), tensor.tobytes()))
            else:
                operands.append((tensor.dtype, tuple(tensor.shape)))
                long.append(value)  # type: ignore[arg-type]
        # Inferred shapes matter to a Reshape alone.
        source = node.inputs[0] if node.op_type == "Reshape" else None
        shapes = () if source is None else (str(source.shape), str(node.outputs[0].shape))
        steps.append((node.op_type, "".join(map(str, node.attributes.values())), *operands, shapes))
        places[node.outputs[0]] = place
    alike = (region.entry.dtype, str(region.entry.shape), tuple(steps))
    return (alike, tuple(long)), alike
