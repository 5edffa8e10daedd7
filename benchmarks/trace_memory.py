"""Measures how much memory `graphopt.trace` takes beside the module it traces.

    python benchmarks/trace_memory.py [--millions N] [--json] [NETWORK...]

Each trace is a process of its own, once with the check against the module and once without. The growth is the
process's peak during the trace less what it held before, in units of the weights' bytes. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WIDTH = 1581
"""Of a Linear layer of 2.5 million parameters."""
MILLIONS_PER_LINEAR = 2.5
MILLIONS_PER_ENCODER = 7.1
"""A layer of BERT's size."""


def linear(millions: float) -> tuple[Any, Any]:
    """A stack of Linear layers, and its input."""
    import torch
    from torch import nn

    layers = [nn.Linear(WIDTH, WIDTH) for _ in range(max(1, round(millions / MILLIONS_PER_LINEAR)))]
    return nn.Sequential(*layers), torch.randn(1, WIDTH)


def transformer(millions: float) -> tuple[Any, Any]:
    """Encoder layers of BERT's size, and their input."""
    import torch
    from torch import nn

    layer = nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True)
    layers = max(1, round(millions / MILLIONS_PER_ENCODER))
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False), torch.randn(1, 8, 768)


NETWORKS: dict[str, Callable[[float], tuple[Any, Any]]] = {"linear": linear, "transformer": transformer}


def measure(network: str, millions: float, check: bool) -> dict[str, Any]:
    """Trace a network in this process.

    Returns:
        Its parameters, their bytes, the growth of the peak in bytes and as `ratio`, and the seconds taken.
    """
    import torch
    from torch import nn

    import graphopt

    graphopt.trace(nn.Linear(2, 2), torch.randn(1, 2), check=check)  # what is loaded once is not counted
    module, example = NETWORKS[network](millions)
    weights = sum(parameter.nbytes for parameter in module.parameters())
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start = time.perf_counter()
    graphopt.trace(module, example, check=check)
    seconds = time.perf_counter() - start
    growth = _status("VmHWM") - before
    return {
        "network": network,
        "check": check,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "weights": weights,
        "growth": growth,
        "ratio": growth / weights,
        "seconds": seconds,
    }


def _status(key: str) -> int:
    """A figure of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) << 10
    raise KeyError(key)


def apart(network: str, millions: float, check: bool) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--here", "--millions", str(millions), network]
    run = subprocess.run([*command, *(() if check else ("--no-check",))], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(run.stderr)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each network, with and without the check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--millions", type=float, default=100.0, help="parameters of each network")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument("--here", action="store_true", help="one trace in this process, as a JSON line")
    parser.add_argument("--no-check", action="store_true", help="with --here: without the check")
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps(measure(options.networks[0], options.millions, not options.no_check)))
        return
    for network in options.networks or NETWORKS:
        for check in (False, True):
            found = apart(network, options.millions, check)
            if options.json:
                print(json.dumps(found))
                continue
            print(
                f"{network:12} {'checked' if check else 'unchecked':10} {found['parameters'] / 1e6:6.1f} M, "
                f"{found['weights'] / 2**20:5.0f} MiB of weights: +{found['growth'] / 2**20:4.0f} MiB, "
                f"{found['ratio']:.2f}x, {found['seconds']:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
