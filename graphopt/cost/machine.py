"""Measures how fast this machine is, once, and keeps the answer in the user's cache folder.

A handful of small models run in onnxruntime; nothing here looks at the user's model.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import platform
import stat
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphopt.cost.call import Kind
from graphopt.cost.estimate import estimate
from graphopt.cost.model_cost import ModelCost
from graphopt.cost.rates import Bandwidth, MachineRates
from graphopt.execute.session import Session
from graphopt.ir import infer_shapes

_LARGEST_BYTES = 1 << 20
"""Of a cache file; ours have a few hundred."""

INTERVAL = (0.8, 2.0)
"""Bounds of real time over estimated time, from a dozen networks: convolution, recurrence and attention."""


def load_rates(threads: int = 1) -> MachineRates | None:
    """The rates measured earlier on this machine at this thread count, or None.

    What is no file of rates, whatever became of it, is as good as none.
    """
    try:
        rates = MachineRates.from_dict(json.loads(_read(_cache_file(threads))))
    except (OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError):
        return None
    known = (rates.cpu, rates.threads, rates.onnxruntime) == (
        cpu_name(),
        threads,
        _runtime_version(),
    )
    return rates if known else None


def measure_rates(threads: int = 1, seconds: float = 1.0) -> MachineRates:
    """The rates of this machine, from the cache or measured now and then cached.

    Args:
        threads: Threads inside an operator.
        seconds: Time to spend on measuring, roughly.

    Raises:
        ExecutionError: onnxruntime could not run a measuring model.
    """
    return load_rates(threads) or _measure(threads, seconds)


def _measure(threads: int, seconds: float) -> MachineRates:
    share = seconds / (len(_ARITHMETIC) + len(_WORKING_SETS) + 1)

    def run(text: str) -> float:
        return _best_time(text, threads, share)

    overhead = max(run(_chain("Neg", 64, 16)) / 64, 1e-8)
    bandwidths = []
    for capacity, elements in _WORKING_SETS:
        moved = 4 * 2 * 8 * elements
        bandwidths.append(Bandwidth(capacity, moved / _net(run(_chain("Neg", 8, elements)), 8, overhead)))
    flops = {}
    for kind, text in _ARITHMETIC.items():
        work = [node for node in _cost(text).nodes if node.kind is kind]
        flops[kind.value] = sum(node.flops for node in work) / _net(run(text), len(work), overhead)
    rates = MachineRates(
        flops,
        tuple(bandwidths),
        overhead,
        threads=threads,
        cpu=cpu_name(),
        onnxruntime=_runtime_version(),
        interval=INTERVAL,
    )
    with contextlib.suppress(OSError, RuntimeError):  # without a cache it costs a second next time
        _write(_cache_file(threads), json.dumps(rates.to_dict(), indent=1))
    return rates


def _net(seconds: float, nodes: int, overhead: float) -> float:
    """Time without dispatch; at least half, since the overhead is itself measured."""
    return max(seconds - nodes * overhead, seconds / 2)


def _best_time(text: str, threads: int, seconds: float) -> float:
    """The fastest of the runs that fit into `seconds`, at least three: interference only ever adds time."""
    model = ir.from_onnx_text(text)
    session = Session(model, optimize=True, threads=threads)
    feed = {
        value.name or "": np.ones(value.shape.numpy(), value.dtype.numpy())
        for value in model.graph.inputs
        if value.shape is not None and value.dtype is not None
    }
    best, runs = math.inf, 0
    deadline = time.perf_counter() + seconds
    while runs < 3 or time.perf_counter() < deadline:
        start = time.perf_counter()
        session.run(feed)
        best = min(best, time.perf_counter() - start)
        runs += 1
    return best


def _cost(text: str) -> ModelCost:
    model = ir.from_onnx_text(text)
    infer_shapes(model)
    return estimate(model)


def _model(inputs: str, outputs: str, body: str) -> str:
    return f'<ir_version: 8, opset_import: ["" : 17]> g ({inputs}) => ({outputs}) {{ {body} }}'


def _chain(op: str, length: int, elements: int) -> str:
    """`length` nodes of one elementwise operator, one after the other."""
    body = "\n".join(f"x{index + 1} = {op}(x{index})" for index in range(length))
    return _model(f"float[{elements}] x0", f"float[{elements}] x{length}", body)


def _convolutions(channels: int, side: int, group: int) -> str:
    """Four 3x3 convolutions; weights are generated so that the text stays short."""
    weights = f"s = Constant<value_ints = [{channels},{channels // group},3,3]>() w = ConstantOfShape(s)\n"
    attributes = f"pads = [1,1,1,1], group = {group}"
    body = "\n".join(f"x{index + 1} = Conv<{attributes}>(x{index}, w)" for index in range(4))
    shape = f"float[1,{channels},{side},{side}]"
    return _model(f"{shape} x0", f"{shape} x4", weights + body)


_ARITHMETIC = {
    Kind.GEMM: _model(
        "float[128,512] a",
        "float[128,512] y",
        "s = Constant<value_ints = [512,512]>() w = ConstantOfShape(s) y = MatMul(a, w)",
    ),
    Kind.CONV: _convolutions(64, 28, 1),
    Kind.DEPTHWISE: _convolutions(96, 28, 96),
    Kind.GROUPED: _convolutions(96, 28, 12),
    Kind.INT8: _model(
        "uint8[128,512] a",
        "int32[128,512] y",
        "s = Constant<value_ints = [512,512]>() w = ConstantOfShape<value = int8[1] {1}>(s) "
        "y = MatMulInteger(a, w)",
    ),
    Kind.ELEMENTWISE: _chain("HardSigmoid", 8, 1 << 14),
    Kind.TRANSCENDENTAL: _chain("Sigmoid", 8, 1 << 14),
}
"""A model for each kind of arithmetic, small enough for the second-level cache."""

_WORKING_SETS = ((1 << 20, 1 << 16), (16 << 20, 1 << 20), (math.inf, 12 << 20))
"""Capacity of each level (a core's L2, its share of the L3, DRAM), and elements of a tensor that fits it."""


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    return _cpu_fields().get("model name") or platform.processor() or platform.machine() or "unknown"


def lacks_all(instructions: Collection[str]) -> bool:
    """Whether this machine's processor is known to have none of some x86 extensions, as `avx_vnni`.

    False where the operating system does not tell, and where none are named.
    """
    known = _cpu_fields().get("flags", "").split()
    return bool(known) and bool(instructions) and not set(instructions) & set(known)


def _cpu_fields() -> dict[str, str]:
    """What Linux tells of the first processor, by name; empty elsewhere."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as info:
        lines = info.read().split("\n\n")[0].splitlines()
        pairs = [line.split(":", 1) for line in lines if ":" in line]
        return {name.strip(): value.strip() for name, value in pairs}
    return {}


@functools.cache
def _runtime_version() -> str:
    from importlib import metadata  # slow to import, and only measuring needs it

    return metadata.version("onnxruntime")


def _cache_file(threads: int) -> Path:
    """$GRAPHOPT_CACHE, or graphopt in $XDG_CACHE_HOME, or the platform's own cache folder.

    Raises:
        RuntimeError: The user has no home.
    """
    if given := os.environ.get("GRAPHOPT_CACHE"):
        folder = Path(given)
    elif given := os.environ.get("XDG_CACHE_HOME"):
        folder = Path(given, "graphopt")
    elif platform.system() == "Windows":
        folder = Path(
            os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local", "graphopt", "Cache"
        )
    elif platform.system() == "Darwin":
        folder = Path.home() / "Library" / "Caches" / "graphopt"
    else:
        folder = Path.home() / ".cache" / "graphopt"
    key = f"{cpu_name()}, {threads}, {_runtime_version()}"
    return folder / f"rates-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> str:
    """The text of a regular file of a sane size; anything else might never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_BYTES:
        raise ValueError(f"{path} is no file of rates")
    return path.read_text("utf-8")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
