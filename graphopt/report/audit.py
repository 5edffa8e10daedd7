"""Which nodes of a model run on integer codes in a target's runtime, and why the rest does not, as data.

Predicted from the target's rules and held against what onnxruntime really runs, where that is the runtime. It
changes nothing and draws nothing.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.cost import GENERIC, estimate, load_rates
from graphopt.cost.dims import Dims
from graphopt.errors import DataError, ExecutionError, LoadError, UsageError
from graphopt.execute import Session
from graphopt.execute.inputs import representative_inputs
from graphopt.execute.optimized import Optimized, RunNode, optimized
from graphopt.ir import PROGRAM, PROGRAM_DOMAIN, infer_shapes, is_program, nodes, saved_program
from graphopt.native import Program
from graphopt.native.work import IN_FLOAT, PRODUCTS, program_work, step_work
from graphopt.quant.judge import GONE, INT8, WEIGHT_ONLY, integer_kind
from graphopt.quant.pairs import DEQUANTIZE, QUANTIZE
from graphopt.quant.predict import Placement, predict
from graphopt.targets import Target

_ONNXRUNTIME = "onnxruntime"
_ENGINE = f"{PROGRAM_DOMAIN}.{PROGRAM}"
_OPERATORS = {
    **dict.fromkeys(("gemm", "gemm_f32", "matmul", "matmul_f32"), "MatMul"),
    "matmul_nbits": "MatMulNBits",
    **dict.fromkeys(("conv", "conv_f32"), "Conv"),
    **dict.fromkeys(("conv_transpose", "conv_transpose_f32"), "ConvTranspose"),
}
"""What models call the steps of programs."""
_CODES = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)


@dataclasses.dataclass(frozen=True)
class AuditedNode:
    """A node and how it runs.

    Attributes:
        name: Its name, or that of its first output.
        op: Its operator.
        runs_in: What the rules say: "int8", "float", "weight-only" or "gone".
        kernel: The operator that runs it, as the rules say.
        heavy: Whether it is one of those that most time goes to.
        cause: Why it is not int8, in words that nodes with the same trouble share.
        reason: Why it runs so, a sentence with names.
        share: Its part of the time of a run, 0..1; None where unknown.
        found: What onnxruntime runs it as, and in what; "" where it was not asked or runs no such node.
        agrees: Whether it runs as the rules say; None where it was not asked or runs no such node.
    """

    name: str
    op: str
    runs_in: str
    kernel: str
    heavy: bool
    cause: str
    reason: str
    share: float | None = None
    found: str = ""
    agrees: bool | None = None


@dataclasses.dataclass(frozen=True)
class Audit:
    """A model looked at.

    Attributes:
        source: Its file.
        target: The target's name.
        runtime: What the target's rules were measured on.
        nodes: The nodes looked at, in order.
        seconds: Time of a run, where it was profiled.
        shares: Where the shares come from: "profile" or "estimate".
        conversions: Part of the time that Q and DQ take, where it was profiled.
        notes: What a reader should know.
        confirmed_in: The runtime that is installed and was asked; "" where all is predicted.
    """

    source: str
    target: str
    runtime: str
    nodes: tuple[AuditedNode, ...]
    seconds: float | None
    shares: str
    conversions: float | None
    notes: tuple[str, ...]
    confirmed_in: str = ""

    @property
    def heavy(self) -> tuple[AuditedNode, ...]:
        """The nodes that most time goes to, but for those that are not run."""
        return tuple(node for node in self.nodes if node.heavy and node.runs_in != GONE)

    @property
    def disagreements(self) -> tuple[AuditedNode, ...]:
        """Nodes that onnxruntime runs otherwise than the rules say."""
        return tuple(node for node in self.nodes if node.agrees is False)

    @property
    def groups(self) -> tuple[tuple[str, tuple[AuditedNode, ...]], ...]:
        """Heavy nodes left in float by cause, those first that most time goes to."""
        found: dict[str, list[AuditedNode]] = defaultdict(list)
        for node in self.heavy:
            if node.cause:
                found[node.cause].append(node)

        def weight(cause: str) -> tuple[float, int]:
            return sum(node.share or 0.0 for node in found[cause]), len(found[cause])

        return tuple((cause, tuple(found[cause])) for cause in sorted(found, key=weight, reverse=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        groups = [{"cause": cause, "nodes": [n.name for n in members]} for cause, members in self.groups]
        return {**plain, "nodes": [dataclasses.asdict(node) for node in self.nodes], "groups": groups}


def audit(
    model: ir.Model,
    target: Target,
    *,
    source: str,
    confirm: bool = True,
    profile: bool = True,
    inputs: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
) -> Audit:
    """Look at a model.

    Args:
        model: It is only read.
        target: Where it is going to run.
        source: What to call it.
        confirm: Let onnxruntime optimize it, where that is the target's runtime.
        profile: And run it; else the shares are estimates.
        inputs: Arrays by input name to profile with; by default such are made.
        shapes: Input name -> shape to make inputs or estimate costs with.
        threads: Threads to profile with.

    Raises:
        UsageError: The target has no rules of quantization, or shapes do not fit.
    """
    rules = target.quantization
    if rules is None:
        raise UsageError(
            f"the target {target.name!r} says nothing of quantization",
            hint="add a table [quantization] to its file, or name a target that has one",
        )
    placements = predict(model, rules)
    notes: list[str] = []
    run = None
    if confirm and not rules.runtime.startswith(_ONNXRUNTIME):
        notes.append(f"predicted from rules measured on {rules.runtime}; not confirmed by a run")
    elif confirm:
        run = _profiled(model, notes, inputs, shapes, threads) if profile else None
        run = run or _optimized(model, notes)
    if run is not None and run.seconds:
        shares = {node: sum(each.seconds for each in run.of(node)) / run.seconds for node in nodes(model)}
    else:
        shares = _estimated(model, shapes)
    several = Counter(placement.node for placement in placements)
    audited = (
        *(_audited(each, shares.get(each.node), run, several[each.node] > 1) for each in placements),
        *_of_programs(model, shares, shapes),
    )
    return Audit(
        source=source,
        target=target.name,
        runtime=rules.runtime,
        nodes=audited,
        seconds=None if run is None else run.seconds,
        shares="profile" if run is not None and run.seconds else "estimate",
        conversions=_conversions(run),
        notes=tuple(notes),
        confirmed_in="" if run is None else _installed(),
    )


def runs_in(run: RunNode) -> str:
    """What a node of onnxruntime's optimized graph computes in: "int8", "weight-only" or "float"."""
    domain, _, op_type = run.operator.rpartition(".")
    kind = integer_kind(domain, op_type)
    if kind is not None:
        return kind
    return INT8 if any(dtype in _CODES for dtype in run.input_types) else "float"


def _installed() -> str:
    """The runtime at hand, whatever its package is called: there are several of it."""
    import onnxruntime

    return f"{_ONNXRUNTIME} {onnxruntime.__version__}"


def _profiled(
    model: ir.Model,
    notes: list[str],
    inputs: Mapping[str, Any] | None,
    shapes: Mapping[str, Sequence[int]] | None,
    threads: int,
) -> Optimized | None:
    """What onnxruntime makes of the model, with times; None, with a note, where it cannot run it."""
    try:
        if inputs is None:
            inputs = representative_inputs(model, Session(model, optimize=True), shapes=shapes).values
        return optimized(model, inputs=inputs, threads=threads)
    except ExecutionError as error:
        notes.append(f"not profiled: {error.message}")
        return None


def _optimized(model: ir.Model, notes: list[str]) -> Optimized | None:
    """The same without times."""
    try:
        return optimized(model)
    except ExecutionError as error:
        notes[:] = [f"not confirmed: {error.message}"]
        return None


def _estimated(model: ir.Model, shapes: Mapping[str, Sequence[int]] | None) -> dict[ir.Node, float]:
    """Parts of an estimated time; nodes of bodies and functions are left out."""
    copy = model.clone()
    infer_shapes(copy)
    cost = estimate(copy, shapes=shapes, programs=program_work)
    total = cost.time.estimate
    seconds = {node.name: node.seconds for node in cost.nodes}
    found = {}
    for node, copied in zip(model.graph, copy.graph, strict=True):
        own = seconds.get(copied.name or (copied.outputs[0].name if copied.outputs else "") or "")
        if own is not None and total:
            found[node] = own / total
    return found


def _audited(placement: Placement, share: float | None, run: Optimized | None, differs: bool) -> AuditedNode:
    """A node with what was found of it; one of a function may run differently at each call."""
    node = placement.node
    done = [] if run is None else [each for each in run.of(node) if not _converts(each)]
    kinds = {runs_in(each) for each in done}
    return AuditedNode(
        name=node.name or (node.outputs[0].name if node.outputs else "") or "",
        op=f"{node.domain}.{node.op_type}" if node.domain else node.op_type,
        runs_in=placement.runs_in,
        kernel=placement.kernel,
        heavy=placement.heavy,
        cause=placement.cause,
        reason=placement.reason,
        share=share,
        found=", ".join(f"{each.operator} in {runs_in(each)}" for each in done),
        agrees=(placement.runs_in in kinds if differs else kinds == {placement.runs_in}) if done else None,
    )


def _of_programs(
    model: ir.Model, shares: Mapping[ir.Node, float], shapes: Mapping[str, Sequence[int]] | None
) -> Iterator[AuditedNode]:
    """The heavy steps of compiled regions, of whose time each gets its part of an estimate."""
    programs = [node for node in nodes(model) if is_program(node)]
    if not programs:
        return
    copy = model.clone()
    infer_shapes(copy)
    dims, rates = Dims(copy, shapes=shapes), load_rates() or GENERIC
    for node, copied in zip(programs, filter(is_program, nodes(copy)), strict=True):
        name = node.name or (node.outputs[0].name if node.outputs else "") or ""
        given = [None if value is None else dims.shape(value) for value in copied.inputs]
        try:
            program = Program.from_bytes(saved_program(node), f"the program of {name}")
            demands = program.demands([shape for shape in given if shape is not None])
        except (LoadError, DataError) as error:
            yield AuditedNode(name, _ENGINE, INT8, _ENGINE, True, "", error.message, shares.get(node))
            continue
        works = [step_work(each) for each in demands]
        moved = [(work.bytes_read or 0) + (work.bytes_written or 0) for work in works]
        seconds = [
            rates.seconds(work.kind, work.flops, count) if each.runs else 0.0
            for each, work, count in zip(demands, works, moved, strict=True)
        ]
        whole, share = sum(seconds), shares.get(node)
        for each, own in zip(demands, seconds, strict=True):
            if each.kind not in PRODUCTS:
                continue
            title = each.name or f"a {each.kind} of {name}"
            yield AuditedNode(
                title,
                _OPERATORS[each.kind],
                WEIGHT_ONLY if each.kind in IN_FLOAT else INT8,
                _ENGINE,
                True,
                "",
                f"{title} is a step of the program {name}: graphopt's engine runs it",
                None if share is None or not whole else share * own / whole,
            )


def _converts(run: RunNode) -> bool:
    return run.operator.rpartition(".")[2] in (QUANTIZE, DEQUANTIZE)


def _conversions(run: Optimized | None) -> float | None:
    if run is None or not run.seconds:
        return None
    return sum(each.seconds for each in run.nodes if _converts(each)) / run.seconds
