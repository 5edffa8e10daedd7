"""How fast a machine is, and the roofline: the time of a node from its work and those rates.

The time is max(FLOPs / peak of the kind, bytes / bandwidth of the level the working set fits in) plus a fixed
overhead (Williams, Waterman and Patterson 2009, doi:10.1145/1498765.1498785). It is an estimate with a large
error, so totals come as an interval. Nothing here measures.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from graphopt.cost.call import Kind


@dataclass(frozen=True)
class Bandwidth:
    """Memory traffic of working sets up to a size.

    Attributes:
        capacity: Largest working set, in bytes, that the level holds; infinite for DRAM.
        bytes_per_second: Bytes read and written a second.
    """

    capacity: float
    bytes_per_second: float


@dataclass(frozen=True)
class MachineRates:
    """Rates of one machine at one thread count.

    Attributes:
        flops_per_second: Rate of each arithmetic kind, in the weighted FLOPs of the cost rules.
        bandwidths: Levels of the memory hierarchy, smallest first; the last is unbounded.
        node_overhead: Seconds to dispatch a node.
        threads: Threads inside an operator.
        cpu: The processor's name.
        onnxruntime: Version of the runtime that was measured, "" for assumed rates.
        interval: Factors that bound the real time of an estimate. A roofline leaves out cold caches and
            layout changes, so that real times are mostly longer.
    """

    flops_per_second: dict[str, float] = field(hash=False)
    bandwidths: tuple[Bandwidth, ...]
    node_overhead: float
    threads: int = 1
    cpu: str = "generic"
    onnxruntime: str = ""
    interval: tuple[float, float] = (0.2, 5.0)

    @property
    def measured(self) -> bool:
        """Whether the rates were measured rather than assumed."""
        return bool(self.onnxruntime)

    def seconds(self, kind: Kind, flops: int, moved: int, working_set: int | None = None) -> float:
        """Time of one node: the roof that binds, plus the overhead of dispatch.

        Args:
            kind: The arithmetic it does.
            flops: Its weighted FLOPs.
            moved: Bytes it reads and writes.
            working_set: Distinct bytes among them, which decide the level; by default all.
        """
        rate = self.flops_per_second.get(kind.value)
        compute = flops / rate if rate else 0.0
        resident = moved if working_set is None else working_set
        level = next(level for level in self.bandwidths if resident <= level.capacity)
        return max(compute, moved / level.bytes_per_second) + self.node_overhead

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the unbounded level's capacity is None."""
        plain = asdict(self)
        plain["bandwidths"] = [
            {**asdict(level), "capacity": None if math.isinf(level.capacity) else level.capacity}
            for level in self.bandwidths
        ]
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> MachineRates:
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, OverflowError: It is not such a dictionary, or a
                rate is not a positive number.
        """
        levels = tuple(
            Bandwidth(
                math.inf if level["capacity"] is None else float(level["capacity"]),
                float(level["bytes_per_second"]),
            )
            for level in plain["bandwidths"]
        )
        flops = {str(kind): float(rate) for kind, rate in plain["flops_per_second"].items()}
        low, high = plain["interval"]
        positive = [
            *flops.values(),
            *(level.bytes_per_second for level in levels),
            float(plain["node_overhead"]),
            *map(float, plain["interval"]),
        ]
        if not all(0 < number < math.inf for number in positive):
            raise ValueError("a rate is not a positive number")
        if not levels or not math.isinf(levels[-1].capacity) or set(flops) != set(GENERIC.flops_per_second):
            raise ValueError("a rate is missing")
        return cls(
            flops,
            levels,
            float(plain["node_overhead"]),
            threads=int(plain["threads"]),
            cpu=str(plain["cpu"]),
            onnxruntime=str(plain["onnxruntime"]),
            interval=(float(low), float(high)),
        )


GENERIC = MachineRates(
    flops_per_second={
        Kind.GEMM.value: 60e9,
        Kind.CONV.value: 50e9,
        Kind.DEPTHWISE.value: 10e9,
        Kind.GROUPED.value: 10e9,
        Kind.INT8.value: 150e9,
        Kind.ELEMENTWISE.value: 5e9,
        Kind.TRANSCENDENTAL.value: 10e9,
    },
    bandwidths=(Bandwidth(1 << 20, 40e9), Bandwidth(16 << 20, 20e9), Bandwidth(math.inf, 10e9)),
    node_overhead=2e-6,
)
"""One core of a common x86-64 server with AVX2 at about 2.5 GHz: assumed, where nothing was measured."""
