"""The result of an estimate: costs of nodes and totals of the model, as values and as plain data.

Holds no rule and computes nothing but sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphopt.cost.call import Kind
from graphopt.cost.rates import MachineRates


@dataclass(frozen=True, slots=True)
class NodeCost:
    """Cost of one node, or of a control-flow node with all that its bodies do.

    Attributes:
        name: The node's name, or that of its first output.
        op: Its operator, with the domain where that is not the standard's.
        params: Elements of its constant inputs (weights used twice are counted here twice).
        kind: The rate that bounds its arithmetic; None for control flow and for what could not be counted.
        macs: Multiply-accumulates.
        flops: Weighted arithmetic operations; one MAC counts as two.
        bytes_read: Bytes of inputs read.
        bytes_written: Bytes of outputs written.
        seconds: Estimated time; None where the operator or a shape is unknown.
        bodies: Costs of the nodes of each body, for one trip.
    """

    name: str
    op: str
    params: int = 0
    kind: Kind | None = None
    macs: int = 0
    flops: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float | None = None
    bodies: tuple[tuple[NodeCost, ...], ...] = ()

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Arithmetic intensity in FLOPs per byte moved; 0 where nothing moves."""
        return self.flops / self.bytes_moved if self.bytes_moved else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = {
            "name": self.name,
            "op": self.op,
            "params": self.params,
            "kind": None if self.kind is None else self.kind.value,
            "macs": self.macs,
            "flops": self.flops,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "intensity": self.intensity,
            "seconds": self.seconds,
        }
        if self.bodies:
            plain["bodies"] = [[node.to_dict() for node in body] for body in self.bodies]
        return plain


def body_cost(name: str, op: str, bodies: Sequence[Sequence[NodeCost]], trips: int) -> NodeCost:
    """Cost of a control-flow node: its dearest body (by FLOPs, then bytes) times its trips."""
    sums = [NodeCost(name, op, **_sums(body)) for body in bodies]
    dearest = max(
        sums, key=lambda body: (body.flops, body.bytes_moved), default=NodeCost(name, op, seconds=0.0)
    )
    return NodeCost(
        name,
        op,
        sum(body.params for body in sums),
        None,
        dearest.macs * trips,
        dearest.flops * trips,
        dearest.bytes_read * trips,
        dearest.bytes_written * trips,
        (dearest.seconds or 0.0) * trips,
        tuple(tuple(body) for body in bodies),
    )


def _sums(nodes: Sequence[NodeCost]) -> dict[str, Any]:
    return {
        "params": sum(node.params for node in nodes),
        "macs": sum(node.macs for node in nodes),
        "flops": sum(node.flops for node in nodes),
        "bytes_read": sum(node.bytes_read for node in nodes),
        "bytes_written": sum(node.bytes_written for node in nodes),
        "seconds": sum(node.seconds for node in nodes if node.seconds is not None),
    }


class Interval(NamedTuple):
    """An estimated time in seconds and the bounds it stands for."""

    low: float
    estimate: float
    high: float


class Parameters(NamedTuple):
    """Constants of a model, each counted once; those of integer shapes, axes and labels left out."""

    elements: int
    bytes: int


@dataclass(frozen=True)
class ModelCost:
    """Cost of a whole model in the order its nodes stand in.

    Attributes:
        nodes: Costs of the main graph's nodes, Constant left out.
        parameters: Initializers and Constant nodes of every graph.
        generated: Constants that ConstantOfShape makes of a constant shape: weights that are not in the file.
        activation_peak_bytes: Most bytes of activations alive at one time, constants apart.
        rates: The rates behind the times.
        assumed: Dimensions of inputs that nobody bound, and the size taken for each.
        guessed: Dimensions inside the graph that do not follow from its inputs, and the size taken for each;
            shapes from an execution replace them.
        unknown_ops: Operators that were not counted, and why.
        unknown_shapes: Nodes that were not counted because a shape is not known.
        notes: Other assumptions, one sentence each.
    """

    nodes: list[NodeCost]
    parameters: Parameters
    generated: Parameters
    activation_peak_bytes: int
    rates: MachineRates
    assumed: dict[str, int] = field(default_factory=dict)
    guessed: dict[str, int] = field(default_factory=dict)
    unknown_ops: dict[str, str] = field(default_factory=dict)
    unknown_shapes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    macs: int = field(init=False)
    flops: int = field(init=False)
    bytes_read: int = field(init=False)
    bytes_written: int = field(init=False)

    def __post_init__(self) -> None:
        sums = _sums(self.nodes)
        for name in ("macs", "flops", "bytes_read", "bytes_written"):
            object.__setattr__(self, name, sums[name])

    @property
    def params(self) -> int:
        """Parameters, those generated at run time included."""
        return self.parameters.elements + self.generated.elements

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters, those generated at run time included."""
        return self.parameters.bytes + self.generated.bytes

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written by all nodes."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Arithmetic intensity of the whole model in FLOPs per byte moved."""
        return self.flops / self.bytes_moved if self.bytes_moved else 0.0

    @property
    def complete(self) -> bool:
        """Whether every node was counted, with no size inside the graph guessed."""
        return not (self.unknown_ops or self.unknown_shapes or self.guessed)

    @property
    def time(self) -> Interval:
        """Estimated seconds of one run, of the nodes that could be counted."""
        seconds = float(_sums(self.nodes)["seconds"])
        low, high = self.rates.interval
        return Interval(seconds * low, seconds, seconds * high)

    def metadata(self) -> dict[str, str]:
        """Totals for `metadata_props`: the same for the same model on every machine."""
        return {
            "graphopt.cost.macs": str(self.macs),
            "graphopt.cost.flops": str(self.flops),
            "graphopt.cost.params": str(self.params),
            "graphopt.cost.parameter_bytes": str(self.parameter_bytes),
            "graphopt.cost.activation_peak_bytes": str(self.activation_peak_bytes),
            "graphopt.cost.bytes_moved": str(self.bytes_moved),
            **({} if self.complete else {"graphopt.cost.complete": "false"}),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times are in seconds and marked as estimates."""
        return {
            "macs": self.macs,
            "flops": self.flops,
            "params": self.params,
            "parameter_bytes": self.parameter_bytes,
            "generated_params": self.generated.elements,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "intensity": self.intensity,
            "activation_peak_bytes": self.activation_peak_bytes,
            "estimated_seconds": self.time._asdict(),
            "rates": self.rates.to_dict(),
            "assumed": self.assumed,
            "guessed": self.guessed,
            "unknown_ops": self.unknown_ops,
            "unknown_shapes": self.unknown_shapes,
            "notes": self.notes,
            "nodes": [node.to_dict() for node in self.nodes],
        }
