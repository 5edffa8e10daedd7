"""Generate valid models, with inputs on which they run, from a seed or from any source of decisions.

Knows nothing of passes and nothing of Hypothesis.
"""

from __future__ import annotations

from graphopt.testing.generate.choices import Choices, Seeded
from graphopt.testing.generate.finish import SPECIALS
from graphopt.testing.generate.model import generate_model
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.generate.schemas import standard_operators
from graphopt.testing.generate.spec import DTYPES, OPSETS, Spec
from graphopt.testing.inputs import INPUTS_KEY

__all__ = [
    "DTYPES",
    "INPUTS_KEY",
    "OPSETS",
    "SPECIALS",
    "Choices",
    "Seeded",
    "Spec",
    "Unfit",
    "generate_model",
    "standard_operators",
]
