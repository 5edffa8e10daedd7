"""The pytest plug-in's front: its options. All else is loaded once pytest runs, and what it needs when used.

Importing this module loads neither pytest nor Hypothesis nor onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("graphopt", "passes checked on generated models")
    group.addoption(
        "--graphopt-examples",
        metavar="N",
        type=int,
        help="models for each test that takes `check_pass_on_models` or draws from `models()` (100)",
    )
    group.addoption(
        "--graphopt-seed",
        metavar="N|random",
        help="what the models follow from; random takes one and prints it "
        "(0 for `check_pass_on_models`, else Hypothesis's choice)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Settle the options; register the fixtures and hooks."""
    from graphopt.testing import fixtures

    fixtures.settle_options(config)
    config.pluginmanager.register(fixtures, "graphopt-fixtures")
