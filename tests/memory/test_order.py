"""Orders: as good as brute force on small instances, never worse than given, always topological."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from graphopt.memory.order import Limits, Problem, best_order, peak, trace
from graphopt.memory.order.budget import Budget
from graphopt.memory.order.greedy import RULES, greedy_orders
from graphopt.memory.order.improve import improve
from graphopt.memory.order.search import beam, search
from graphopt.memory.order.sections import sections
from graphopt.memory.order.window import Tables


@st.composite
def problems(draw: DrawFn, most: int = 6) -> Problem:
    """Steps 0, 1, 2 ... in topological order, each making a piece, and pieces of several makers or none."""
    count = draw(st.integers(1, most))
    before = [
        set(draw(st.lists(st.integers(0, step - 1), max_size=3))) if step else set[int]()
        for step in range(count)
    ]
    sizes = [draw(st.integers(0, 9)) for _ in range(count)]
    makers: list[tuple[int, ...]] = [(step,) for step in range(count)]
    users = [{step, *(user for user in range(count) if step in before[user])} for step in range(count)]
    kept = {step for step in range(count) if draw(st.integers(0, 5)) == 0}
    for _ in range(draw(st.integers(0, 2))):  # a graph input
        sizes.append(draw(st.integers(0, 9)))
        makers.append(())
        users.append(set(draw(st.lists(st.integers(0, count - 1), max_size=3))))
    for _ in range(draw(st.integers(0, 1))):  # inputs of a Concat made in place
        sizes.append(draw(st.integers(0, 9)))
        made = set(draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3)))
        makers.append(tuple(sorted(made)))
        readers = [step for step in draw(st.lists(st.integers(0, count - 1), max_size=2)) if step > min(made)]
        for step in readers:  # what is read was made before
            before[step].add(min(made))
        users.append(made.union(readers))
    takes_over: list[tuple[int, tuple[int, ...]] | None] = []
    for step in range(count):
        alike = tuple(
            p for p in range(len(sizes)) if p != step and sizes[p] == sizes[step] and step in users[p]
        )
        alike = tuple(p for p in alike if step not in makers[p])
        takes_over.append((step, alike) if alike and bool(draw(st.booleans())) else None)
    return Problem(
        tuple(tuple(sorted(each)) for each in before),
        tuple(sizes),
        tuple(makers),
        tuple(tuple(sorted(each)) for each in users),
        frozenset(kept),
        tuple(draw(st.integers(0, 4)) for _ in range(count)),
        tuple(takes_over),
    )


def orders(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Every topological order."""
    for order in itertools.permutations(range(len(problem.before))):
        if is_topological(problem, order):
            yield order


def is_topological(problem: Problem, order: tuple[int, ...] | list[int]) -> bool:
    place = {step: position for position, step in enumerate(order)}
    return sorted(order) == list(range(len(problem.before))) and all(
        place[source] < place[step] for step, sources in enumerate(problem.before) for source in sources
    )


def state_bytes(problem: Problem, ran: frozenset[int]) -> int:
    """Bytes alive after a set of steps ran, by the definition."""
    total = 0
    for piece, size in enumerate(problem.sizes):
        made = not problem.makers[piece] or bool(ran.intersection(problem.makers[piece]))
        users = problem.users[piece]
        done = piece not in problem.kept and ran.issuperset(users)
        total += size if made and not done else 0
    return total


@given(problem=problems())
def test_a_trace_counts_what_is_alive(problem: Problem) -> None:
    order = list(range(len(problem.before)))
    found = trace(problem, order)
    for place in range(len(order)):
        assert found.leaves[place] == state_bytes(problem, frozenset(order[: place + 1]))
    assert problem.bytes_at_start() == state_bytes(problem, frozenset())


@given(problem=problems(), data=st.data())
def test_renumbered_steps_need_the_same(problem: Problem, data: st.DataObject) -> None:
    order = data.draw(st.sampled_from(list(orders(problem))))
    found, again = trace(problem, order), trace(problem.renumbered(order), range(len(order)))
    assert again == found and peak(problem, order) == found.peak


@given(problem=problems())
def test_a_trace_counts_what_each_step_brings(problem: Problem) -> None:
    order = range(len(problem.before))
    found = trace(problem, order)
    for step in order:
        before = state_bytes(problem, frozenset(order[:step]))
        made = (p for p, makers in enumerate(problem.makers) if makers and min(makers) == step)
        spared = (problem.sizes[p] for p, _ in found.hosts.items() if step in problem.makers[p])
        needed = before + problem.scratch[step] + sum(problem.sizes[p] for p in made) - sum(spared)
        assert found.needs[step] == needed
    for target, other in found.hosts.items():
        assert found.upper[other] == found.lower[target] + 1 and other not in problem.kept


def test_an_order_holds_each_step_once() -> None:
    problem = Problem(((), ()), (1,), ((0,),), ((0, 1),), frozenset(), (0, 0), (None, None))
    for order in ([0], [0, 0], [0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="each step once"):
            trace(problem, order)


@settings(max_examples=300, deadline=None)
@given(problem=problems())
def test_best_order_is_that_of_brute_force(problem: Problem) -> None:
    best = min(trace(problem, order).peak for order in orders(problem))
    found = best_order(problem)
    assert is_topological(problem, found.order)
    assert found.peak == trace(problem, found.order).peak == best
    assert found.optimal and found.given == trace(problem, range(len(problem.before))).peak


@settings(max_examples=200, deadline=None)
@given(problem=problems(), states=st.integers(0, 3))
def test_few_states_give_valid_orders_and_bounds(problem: Problem, states: int) -> None:
    found = best_order(problem, limits=Limits(states))
    best = min(trace(problem, order).peak for order in orders(problem))
    assert is_topological(problem, found.order)
    assert found.bound <= best <= found.peak <= found.given


@settings(max_examples=200, deadline=None)
@given(problem=problems(), width=st.integers(1, 4))
def test_beam_and_windows_never_lose(problem: Problem, width: int) -> None:
    count = len(problem.before)
    given = list(range(count))
    tables, start = Tables(problem), trace(problem, given)
    window = tables.window(given, given, 0, count, problem.bytes_at_start())
    assert window.bound <= min(trace(problem, order).peak for order in orders(problem))
    found = beam(window, start.peak + 1, width, Budget(1000))
    if found.steps is not None:
        assert is_topological(problem, found.steps)
        assert trace(problem, found.steps).peak == found.peak
    better = improve(tables, given, 0, count, Budget(1000))
    assert is_topological(problem, better) and trace(problem, better).peak <= start.peak


@settings(max_examples=200, deadline=None)
@given(problem=problems(), data=st.data())
def test_a_part_of_an_order_is_searched_alone(problem: Problem, data: st.DataObject) -> None:
    """The best order of a window, other steps left where they are, by brute force."""
    count = len(problem.before)
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    given, now = list(range(count)), trace(problem, range(count))
    alive = now.leaves[first - 1] if first else problem.bytes_at_start()
    found = search(Tables(problem).window(given, given, first, last, alive), 1 << 40, Budget(10_000), 10_000)
    inside = [
        max(trace(problem, order).needs[first:last])
        for order in orders(problem)
        if order[:first] == tuple(given[:first]) and order[last:] == tuple(given[last:])
    ]
    assert found.proved and found.steps is not None and found.peak == min(inside)


@given(problem=problems())
def test_greedy_orders_are_topological(problem: Problem) -> None:
    found = list(greedy_orders(problem))
    assert len(found) == len(RULES) and all(is_topological(problem, order) for order in found)


@given(problem=problems())
def test_sections_hold_the_same_steps_in_every_order(problem: Problem) -> None:
    open_places = sections(problem, list(range(len(problem.before))))
    for order in itertools.islice(orders(problem), 50):
        assert sections(problem, order) == open_places
        assert all(set(order[first:last]) == set(range(first, last)) for first, last in open_places)
