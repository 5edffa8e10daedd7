"""The search: reductions from coarse to fine, each on halves, quarters and so on of what it could do.

The outcome depends on the model and the answers of the predicate alone, not on how many are asked at a time:
candidates are looked at in one order, and what was asked ahead in vain is forgotten.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.io import load
from graphopt.io.weights import slots
from graphopt.ir import count_nodes
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.reduce import valid
from graphopt.testing.reduce.answers import Answers
from graphopt.testing.reduce.ask import Answer, Asker, Predicate, asker, with_inputs
from graphopt.testing.reduce.candidates import Candidates, forms
from graphopt.testing.reduce.case import Case, Feed
from graphopt.testing.reduce.progress import Progress, Watch
from graphopt.testing.reduce.reductions import LAST, REDUCTIONS, Reduction

MOST_ROUNDS = 20
"""Rounds over all reductions; each but the last makes the model smaller, and a few do."""


def reduce(
    model: ir.Model | onnx.ModelProto | str | os.PathLike[str],
    predicate: Predicate,
    *,
    jobs: int = 1,
    state: str | os.PathLike[str] | None = None,
    progress: Watch | None = None,
    inputs: Sequence[Mapping[str, Any]] | None = None,
) -> ir.Model:
    """A small model for which a predicate still holds.

    Args:
        model: A model for which it holds; only read.
        predicate: Says whether the failure is still there. It is asked about valid models only, each once,
            and may do with them what it likes; where it raises, the failure is not there. With `jobs` above
            1 it runs in forked processes.
        jobs: How many candidates to try at a time. The outcome is the same for any number.
        state: A file that keeps the answers of the predicate. Where it exists, the reduction that wrote it
            is continued: what was asked then is not asked again.
        progress: Called after each try.
        inputs: Sets of inputs; if the model runs on them, so must every candidate. By default those that a
            generated model carries in `meta["graphopt.inputs"]`, where they are kept: what becomes an input
            of a candidate comes with the array that was computed there.

    Returns:
        The smallest model found.

    Raises:
        UsageError: The predicate does not hold for `model`, or `state` belongs to another one.
        SaveError: `state` cannot be written.
        LoadError, ModelError: It is no valid model.
    """
    given = model.meta.get(INPUTS_KEY) if isinstance(model, ir.Model) else None
    original = load(model)
    feeds = [dict(feed) for feed in (inputs if inputs is not None else given or ())]
    with Reducer(original, asker(predicate, jobs), Answers(state), feeds=feeds, watch=progress) as reducer:
        return reducer.run()


class _Picker:
    """Takes a stretch of a reduction's targets, and counts them all."""

    def __init__(self, start: int, stop: int) -> None:
        self.count = 0
        self._range = range(start, stop)

    def __call__(self) -> bool:
        self.count += 1
        return self.count - 1 in self._range


class _Trial:
    """A candidate (None: not worth asking about), and the answer to come (None: it is known to hold)."""

    def __init__(self, case: Case | None, key: str = "", answer: Answer | None = None) -> None:
        self.case = case
        self.key = key
        self.answer = answer


class Reducer:
    """One reduction; a context manager that ends what still runs and writes the answers down.

    Args:
        original: Only read.
        asker: Puts candidates before the predicate.
        answers: What is known already; added to.
        feeds: Sets of inputs on which every candidate must run.
        watch: Called after each try.

    Attributes:
        tries: Candidates that the predicate was asked about.
        watch: As given.
    """

    def __init__(
        self,
        original: ir.Model,
        asker: Asker,
        answers: Answers,
        *,
        feeds: Sequence[Feed] = (),
        watch: Watch | None = None,
    ) -> None:
        self.tries = 0
        self._original = original
        self._asker = asker
        self.watch = watch
        self._candidates = Candidates(original)
        self._answers = answers
        if answers.are_kept:
            answers.read(self._candidates.identity())
        self._settled: dict[str, str] = {}  # reduction -> the best model on which it found nothing
        self._doing = ""
        self._cached = 0
        self._best = Case(original.clone(), [dict(feed) for feed in feeds], [])
        self._best_key = ""
        self._accepted: set[str] = set()  # none is gone back to

    def __enter__(self) -> Reducer:
        return self

    def __exit__(self, *exception: object) -> None:
        self._asker.close()
        self._answers.write()

    @property
    def best(self) -> ir.Model:
        """The smallest model so far."""
        return with_inputs(self._candidates.shown(self._best), self._best.feeds)

    def run(self) -> ir.Model:
        """Reduce.

        Returns:
            The smallest model found.

        Raises:
            UsageError: The predicate does not hold for the original.
            SaveError: The answers cannot be written down.
        """
        self._ask_about_original()
        self._find_plainest_form()
        for _ in range(MOST_ROUNDS):
            before = self._best_key
            for reduction in REDUCTIONS:
                self._work_off(reduction)
            if self._best_key == before:
                break
            self._find_plainest_form()
        self._work_off(LAST)
        return self.best

    def _ask_about_original(self) -> None:
        self._doing = "ask about the original"
        key = self._candidates.original_key
        if not self._answers.get(key):
            self.tries += 1
            if not self._asker.ask(self._original.clone(), self._best.feeds).result():
                raise self._asker.refusal()
            self._answers.add(key, True)
        self._candidates.infer(self._best.model)
        seen = valid.observe(self._best.model, self._best.feeds)
        if seen is None:
            self._best.feeds = []  # it does not run on them, and no candidate needs to
        self._best.seen = seen or []

    def _find_plainest_form(self) -> None:
        """Go over to the plainest form of the best model that still fails, unless it has that already."""
        self._doing = "remove what is not used"
        before = self._candidates.form
        for form in forms(self._original):
            self._candidates.form = form
            if self._best_key and form == before:
                return
            trial = self._trial(lambda case: None, reshaped=True)
            if self._holds(trial):
                self._accept(trial)
                return

    def _work_off(self, reduction: Reduction) -> None:
        if self._settled.get(reduction.name) == self._best_key:
            return
        self._doing = reduction.name
        while True:
            before = self._best_key
            size = 1 if reduction.one_by_one else self._count(reduction)
            while size:
                self._sweep(reduction, size)
                size = -(-size // 2) if size > 1 else 0
            if self._best_key == before:
                break
        self._settled[reduction.name] = self._best_key

    def _count(self, reduction: Reduction) -> int:
        picker = _Picker(0, 0)
        reduction.edit(self._best, picker)
        return picker.count

    def _sweep(self, reduction: Reduction, size: int) -> None:
        """Try each stretch of `size` targets in turn, some of them ahead of their turn."""
        total = self._count(reduction)
        ahead = 0
        queue: deque[tuple[int, _Trial]] = deque()
        while True:
            while ahead < total and len(queue) < self._asker.jobs:
                queue.append((ahead, self._edited(reduction, ahead, ahead + size)))
                ahead += size
            if not queue:
                return
            start, trial = queue.popleft()
            if not self._holds(trial):
                continue
            for _, other in queue:
                if other.answer is not None:
                    other.answer.cancel()
            queue.clear()
            self._accept(trial)
            left = self._count(reduction)
            ahead = start if left < total else start + size
            total = left

    def _edited(self, reduction: Reduction, start: int, stop: int) -> _Trial:
        picker = _Picker(start, stop)
        return self._trial(lambda case: reduction.edit(case, picker), reshaped=reduction.reshapes)

    def _trial(self, edit: Callable[[Case], None], *, reshaped: bool) -> _Trial:
        """Make a candidate of the best model, and begin to ask about it unless the answer is known."""
        case = self._best.clone()
        try:
            edit(case)
            made = self._candidates.make(case, reshaped=reshaped)
        except Exception:  # an edit that does not fit an odd model must not end the search
            return _Trial(None)
        if made is None or made.key in self._accepted:
            return _Trial(None)
        known = self._answers.get(made.key)
        if known is False:
            self._cached += 1
            return _Trial(None)
        if not self._candidates.is_valid(made):
            self._answers.add(made.key, False)
            return _Trial(None)
        if known:
            self._cached += 1
            return _Trial(case, made.key)
        self.tries += 1
        return _Trial(case, made.key, self._asker.ask(made.shown, case.feeds))

    def _holds(self, trial: _Trial) -> bool:
        if trial.case is None:
            return False
        if trial.answer is None:
            return True
        holds = trial.answer.result()
        self._answers.add(trial.key, holds)
        self._tell()
        return holds

    def _accept(self, trial: _Trial) -> None:
        assert trial.case is not None
        self._best, self._best_key = trial.case, trial.key
        self._accepted.add(trial.key)
        self._tell()

    def _tell(self) -> None:
        if self.watch is not None:
            model = self._best.model
            size = sum(slot.tensor.nbytes for slot in slots(model))
            self.watch(Progress(self._doing, count_nodes(model), size, self.tries, self._cached))
