"""The pytest plug-in's fixtures and hooks: models by number and seed, and minimal models of failures.

A failure is reduced and saved once, when its test has failed, whatever raised it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from graphopt.testing.check import PassFailure
    from graphopt.testing.check.many import Tally

EXAMPLES = 100
FOLDER = Path(".graphopt", "failures")
"""Under the root folder of the tests."""


_SEED = "graphopt_seed"


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which seed was taken, where it was left to chance or told."""
    seed = _seed(config)
    return None if seed is None else f"graphopt: seed {seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests that draw from `models()` obey the options, and have the time that models take."""
    if "graphopt.testing.strategies" not in sys.modules:
        return
    examples, seed = config.getoption("graphopt_examples"), _seed(config)
    from graphopt.testing.given import obey

    for item in items:
        obey(getattr(item, "obj", None), examples, seed)


@pytest.fixture
def check_pass_on_models(request: pytest.FixtureRequest) -> Callable[..., Tally]:
    """`check_pass_on_models(MyPass(), ops=[...], max_nodes=...)`: `check_pass` on generated models.

    `--graphopt-examples` says on how many, and `--graphopt-seed` on which. `NothingTestedWarning` tells of a
    pass that changes none of them.
    """
    from graphopt.testing.check import Subject
    from graphopt.testing.check.many import tally_up, warn_of_nothing

    def check(what: Any, **bounds: Any) -> Tally:
        __tracebackhide__ = True
        given = request.config.getoption("graphopt_examples")
        bounds.setdefault("seed", _seed(request.config) or 0)
        examples = bounds.pop("examples", EXAMPLES)
        subject = Subject.of(what)
        tally = tally_up(subject, examples=examples if given is None else given, **bounds)
        warn_of_nothing(subject, tally)
        return tally

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reduce and save the failures of a test, and show them in a section of its report."""
    told = "\n\n".join(_settle(failure, item) for failure in _failures(call))
    report = yield
    if told:
        report.sections.append(("graphopt", told))
    return report


def _failures(call: pytest.CallInfo[None]) -> Iterator[PassFailure]:
    """The failures of passes among what a test raised; none is possible before its module was loaded."""
    loaded = sys.modules.get("graphopt.testing.check.failure")
    if loaded is None or call.excinfo is None:
        return
    waiting: list[BaseException] = [call.excinfo.value]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, loaded.PassFailure):
            yield error
        waiting += getattr(error, "exceptions", ())  # of a group: Hypothesis tells of several at once


def _settle(failure: PassFailure, item: pytest.Item) -> str:
    from graphopt.testing.check.reduced import reduce_failure
    from graphopt.testing.check.saved import save_failure

    reduced = reduce_failure(failure)
    saved = save_failure(reduced, item.config.rootpath / FOLDER, name=item.name)
    failure.report = f"reduced and saved as {saved.model}: see the section 'graphopt' below"
    return f"{reduced.headline}\n\n{saved.text}"


def settle_options(config: pytest.Config) -> None:
    """Look at the options once, and put a number for a seed left to chance: all then read that one.

    Raises:
        UsageError: A number makes no sense.
    """
    examples, seed = config.getoption("graphopt_examples"), config.getoption("graphopt_seed")
    if examples is not None and examples < 1:
        raise pytest.UsageError(f"--graphopt-examples {examples}: expected 1 or more")
    if seed == "random":
        told = getattr(config, "workerinput", {}).get(_SEED)
        config.option.graphopt_seed = told or str(random.SystemRandom().randrange(2**31))
    elif seed is not None:
        try:
            int(seed)
        except ValueError:
            raise pytest.UsageError(f"--graphopt-seed {seed}: expected a number or 'random'") from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each process of pytest-xdist the seed that was taken."""
    node.workerinput[_SEED] = node.config.getoption("graphopt_seed")


def _seed(config: pytest.Config) -> int | None:
    """The seed asked for; None where none was."""
    seed = config.getoption("graphopt_seed")
    return None if seed is None else int(seed)
