"""Orders of steps that keep the fewest bytes alive: exact where the graph's cuts are small, else searched.

Between steps that every order must pass (`sections`) each stretch is ordered alone: by greedy rules, then
exactly within a budget of states (`search`), else by beam search and by reordering windows around the peak
exactly (`improve`). Work is counted in states, so that outcomes do not hang on the machine's speed; a
time limit is for those who would rather have an answer than the same answer.
"""

from __future__ import annotations

from graphopt.memory.order.best import Limits, Ordering, best_order
from graphopt.memory.order.problem import Problem, Trace, peak, trace

__all__ = ["Limits", "Ordering", "Problem", "Trace", "best_order", "peak", "trace"]
