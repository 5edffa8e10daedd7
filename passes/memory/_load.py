"""How many bytes a graph needs while each of its nodes runs, in the order it stands in."""

from __future__ import annotations

import dataclasses
import functools

import onnx_ir as ir

from graphopt.cost.dims import Dims
from graphopt.ir import opset
from graphopt.memory.graph_plan import Options, sharing_of
from graphopt.memory.order import Problem, Trace, trace
from graphopt.memory.steps import Steps, steps_of
from graphopt.memory.storages import Storages
from graphopt.passes.memory._regions import Sized


@dataclasses.dataclass(frozen=True)
class Load:
    """What a graph needs.

    Attributes:
        sized: Its steps.
        storages: Which values share memory.
        trace: Bytes by step.
    """

    sized: Sized
    storages: Storages
    trace: Trace

    @classmethod
    def of(cls, model: ir.Model) -> Load:
        """What the main graph of a model with inferred shapes needs.

        Raises:
            ModelError: Memory cannot be planned for a value; the message names it.
        """
        sharing = sharing_of(model.graph, Dims(model).known_shape, Options(reorder=False, by_parts=False))
        found = trace(Problem.of(sharing), range(len(sharing.steps.nodes)))
        return cls(Sized(sharing.steps, opset(model) or 0), sharing, found)

    @classmethod
    def like(cls, model: ir.Model, load: Load) -> Load:
        """The load of a copy of a model, as far as it can be told without sharing memory anew."""
        steps = steps_of(model.graph, Dims(model).known_shape)
        steps = dataclasses.replace(steps, scratch=load.steps.scratch)
        return dataclasses.replace(load, sized=Sized(steps, load.sized.opset))

    @property
    def steps(self) -> Steps:
        """The steps."""
        return self.sized.steps

    @property
    def peak(self) -> int:
        """The most bytes at a time while nodes run."""
        return max(self.trace.needs, default=0)

    @property
    def place(self) -> int:
        """The first step that needs the most."""
        return self.trace.needs.index(self.peak)

    def above(self, goal: int) -> list[int]:
        """What each step that needs more than so many bytes needs, largest first: the smaller, the nearer."""
        return sorted((need for need in self.trace.needs if need > goal), reverse=True)

    @functools.cached_property
    def making(self) -> tuple[int, ...]:
        """For each storage the most bytes needed while it, or what it writes over, is made."""
        most = [0] * len(self.storages.sizes)
        for storage, lower in enumerate(self.trace.lower):
            if self.trace.needs:
                most[storage] = self.trace.needs[min(lower, len(self.trace.needs) - 1)]
        for storage, host in sorted(self.trace.hosts.items(), key=lambda each: self.trace.lower[each[0]]):
            most[storage] = max(most[storage], most[host])
        return tuple(most)

    def alive_at(self, place: int) -> list[int]:
        """Storages that are alive while a step runs."""
        lower, upper = self.trace.lower, self.trace.upper
        return [
            storage
            for storage, size in enumerate(self.storages.sizes)
            if size and lower[storage] <= place < upper[storage]
        ]

    def names_at(self, place: int) -> set[str]:
        """Names of what is alive while a step runs, and of what that was written over."""
        found: set[str] = set()
        for storage in self.alive_at(place):
            host: int | None = storage
            while host is not None:
                found.update(self.steps.name(value) for value in self.storages.members[host])
                host = self.trace.hosts.get(host)
        return found
