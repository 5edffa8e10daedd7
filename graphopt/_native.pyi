"""Types of the compiled extension; its sources are in cpp_ext."""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

def hash128(data: bytes | bytearray | memoryview | mmap.mmap | npt.NDArray[np.uint8]) -> bytes: ...

class Buffers:
    @staticmethod
    def make(
        lower: list[int], upper: list[int], size: list[int], alignment: list[int], fixed: list[int]
    ) -> Buffers: ...

class Improver:
    def __init__(self, buffers: Buffers, offsets: list[int], bound: int, goal: int, seed: int) -> None: ...
    def improve(self, seconds: float, limit: float) -> None: ...
    @property
    def finished(self) -> bool: ...
    @property
    def arena(self) -> int: ...
    @property
    def bound(self) -> int: ...
    @property
    def offsets(self) -> list[int]: ...

def place_greedily(buffers: Buffers, order: list[int], best_fit: bool, seconds: float) -> list[int]: ...
def place_outward(buffers: Buffers, stacking: int) -> list[int]: ...

class OrderMove:
    def __init__(
        self,
        needs: list[int],
        leads: list[int],
        brings: int,
        frees: int,
        scratch: int,
        brings_first: list[tuple[int, list[int]]],
        frees_last: list[tuple[int, list[int]]],
        takes_over: list[tuple[list[int], int, list[int]]],
    ) -> None: ...

class OrderWindow:
    def __init__(self, moves: list[OrderMove], alive: int, bound: int) -> None: ...

class OrderFound:
    peak: int
    steps: list[int]
    proved: bool
    states: int

def search_order(window: OrderWindow, peak: int, states: int, seconds: float) -> OrderFound: ...
def beam_order(window: OrderWindow, width: int, peak: int, states: int, seconds: float) -> OrderFound: ...

class OrderProblem:
    def __init__(
        self,
        before: Sequence[Sequence[int]],
        sizes: Sequence[int],
        makers: Sequence[Sequence[int]],
        users: Sequence[Sequence[int]],
        kept: list[bool],
        scratch: Sequence[int],
        target: list[int],
        sources: Sequence[Sequence[int]],
    ) -> None: ...

class OrderTrace:
    peak: int
    needs: list[int]
    leaves: list[int]
    hosts: list[tuple[int, int]]
    lower: list[int]
    upper: list[int]

def trace_order(problem: OrderProblem, order: Sequence[int]) -> OrderTrace: ...
def order_greedily(problem: OrderProblem, rule: int, compared: int) -> list[int]: ...

Array = npt.NDArray[Any]

def kernel_tiers() -> list[str]: ...
def kernel_tier() -> str: ...
def kernel_table() -> list[tuple[str, list[str]]]: ...
def operator_kinds() -> list[str]: ...

class BoundOperator:
    def run(self) -> list[Array]: ...
    def seconds(self, repeats: int) -> float: ...

class Operator:
    def __init__(self, kind: str, attributes: dict[str, Any], tier: str | None = None) -> None: ...
    def bind(
        self,
        inputs: list[Array],
        threads: int = 1,
        at_start: bool = False,
        pitches: list[int] | None = None,
    ) -> BoundOperator: ...
    def reference(self, inputs: list[Array]) -> list[Array]: ...
    @property
    def pitched(self) -> bool: ...
