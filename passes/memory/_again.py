"""Which values that lie idle at a place could be made a second time behind it: what that costs and needs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import onnx_ir as ir

from graphopt.ir import Names, is_deterministic
from graphopt.memory.steps import START
from graphopt.passes.memory._load import Load

LONGEST = 24
"""Nodes that are run again for one value."""


@dataclasses.dataclass(frozen=True)
class Again:
    """Nodes that are run a second time, right before a step.

    Attributes:
        steps: Of the nodes, in order.
        values: What is made anew, for all steps that read it from `before` on.
        before: The first of these steps.
        extra: Multiply-accumulates and elements of the nodes.
        bytes: What is needed at the place, and where they run again; about.
    """

    steps: tuple[int, ...]
    values: tuple[int, ...]
    before: int
    extra: int
    bytes: int

    @property
    def nodes(self) -> int:
        """How many nodes it adds."""
        return len(self.steps)

    @property
    def done(self) -> str:
        """What is done, in words."""
        return f"{self.nodes} node{'s' * (self.nodes > 1)} run again"

    @property
    def whole(self) -> frozenset[tuple[str, str]]:
        """Nothing needs to be whole for it that was not."""
        return frozenset()

    def write(self, model: ir.Model, load: Load) -> None:
        """Run the nodes again in a model that needs `load`, like the one in which they were found."""
        steps, names = load.steps, Names(model)
        again: dict[ir.Value, ir.Value] = {}
        made = []
        for step in self.steps:
            node = steps.nodes[step]
            outputs = []
            for value in node.outputs:
                output = ir.Value(
                    name=names.fresh(f"{value.name}/again") if value.name else "",
                    type=value.type,
                    shape=value.shape,
                )
                outputs.append(output)
                if value.name:
                    again[value] = output
            inputs = [value if value is None else again.get(value, value) for value in node.inputs]
            attributes = list(node.attributes.values())
            name = names.fresh(f"{node.outputs[0].name}/again")
            made.append(ir.Node(node.domain, node.op_type, inputs, attributes, outputs=outputs, name=name))
        model.graph.insert_before(steps.nodes[self.before], made)
        for index in self.values:
            value = steps.values[index]
            for user in steps.users[index]:
                if user >= self.before:
                    node = steps.nodes[user]
                    for place, read in enumerate(node.inputs):
                        if read is value:
                            node.replace_input_with(place, again[value])


def recomputations(load: Load, place: int, goal: int) -> Iterator[Again]:
    """What could be made again instead of being kept while a step runs."""
    steps, storages = load.steps, load.storages
    touched = {storages.home[value] for value in load.sized.reads[place]}
    touched.update(storages.home[steps.index[value]] for value in steps.nodes[place].outputs if value.name)
    for storage in load.alive_at(place):
        values = storages.members[storage]
        if storage in touched or not set(steps.outputs).isdisjoint(values):
            continue
        late = tuple(value for value in values if steps.users[value] and steps.users[value][-1] > place)
        users = [user for value in late for user in steps.users[value] if user > place]
        if (
            not late
            or any(steps.makers[value] == START for value in late)
            or not _are_read(load, late, place)
        ):
            continue
        yield from _chains(load, place, storage, late, min(users))


def _are_read(load: Load, values: tuple[int, ...], place: int) -> bool:
    """Whether the steps behind a place read values themselves; their bodies cannot be told of others."""
    steps = load.steps
    return all(
        value in load.sized.reads[user] and not steps.scratch[user]
        for value in values
        for user in steps.users[value]
        if user > place
    )


def _chains(load: Load, place: int, storage: int, late: tuple[int, ...], before: int) -> Iterator[Again]:
    """Longer and longer chains of nodes that make the values again, from what is alive anyway."""
    steps = load.steps
    nodes = {steps.makers[value] for value in late}
    while len(nodes) <= LONGEST and all(_is_repeatable(load, step) for step in nodes):
        inside = {steps.index[value] for step in nodes for value in steps.nodes[step].outputs if value.name}
        missing = [
            value
            for value in dict.fromkeys(value for step in sorted(nodes) for value in load.sized.reads[step])
            if value not in inside and not _is_alive(load, value, place, before, storage)
        ]
        order = tuple(sorted(nodes))
        extra = sum(load.sized.macs[step] + _elements(load, step) for step in order)
        yield Again(order, late, before, extra, _bytes(load, place, storage, order, missing, before))
        longer = nodes | {steps.makers[value] for value in missing if steps.makers[value] != START}
        if longer == nodes:
            return
        nodes = longer


def _is_repeatable(load: Load, step: int) -> bool:
    return not load.steps.scratch[step] and is_deterministic(load.steps.nodes[step])


def _is_alive(load: Load, value: int, place: int, before: int, storage: int) -> bool:
    """Whether a value is there from a place until nodes run again, without being kept for that."""
    home, trace = load.storages.home[value], load.trace
    hosted = home in trace.hosts.values()
    return home != storage and not hosted and trace.lower[home] <= place and trace.upper[home] > before


def _elements(load: Load, step: int) -> int:
    steps = load.steps
    return sum(
        math.prod(steps.shapes[steps.index[value]]) for value in steps.nodes[step].outputs if value.name
    )


def _bytes(
    load: Load, place: int, storage: int, nodes: tuple[int, ...], missing: list[int], before: int
) -> int:
    sizes, home = load.storages.sizes, load.storages.home
    kept = {home[value] for value in missing}
    alive = set(load.alive_at(place))
    there = load.trace.needs[place] - sizes[storage] + sum(sizes[each] for each in kept - alive)
    alive = set(load.alive_at(before))
    here = load.trace.needs[before] + sum(sizes[each] for each in kept - alive)
    return max(there, here + _beside(load, nodes) - sizes[storage])


def _beside(load: Load, nodes: tuple[int, ...]) -> int:
    """The most bytes of what nodes make that are alive at a time while they run one after another."""
    steps, sized = load.steps, load.sized
    last = {value: step for step in nodes for value in sized.reads[step]}
    sizes: dict[int, int] = {}
    alive = peak = 0
    for step in nodes:
        made = {steps.index[value] for value in steps.nodes[step].outputs if value.name}
        dying = [value for value in sized.reads[step] if value in sizes and last[value] == step]
        new = sum(steps.sizes[value] for value in made)
        in_place = any(value in dying for value in sized.overwrites[step])
        peak = max(peak, alive + (0 if in_place else new))
        sizes.update((value, steps.sizes[value]) for value in made)
        alive += new - sum(sizes.pop(value) for value in dying)
    return peak
