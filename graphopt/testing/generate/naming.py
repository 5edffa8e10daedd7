"""Names of values and nodes: plain ones, and those that code which takes names apart does not expect."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.testing.generate.choices import Choices

PLAIN = ("{prefix}{number}",)
ODD = (
    "{prefix}{number}", "{number}", "scope/{prefix}.{number}:0", "/{prefix}/{number}", "{prefix} {number}",
    "é{prefix}{number}", "{prefix}_{number}_{prefix}", "__{prefix}{number}", "\"{prefix}'{number}",
    "#{number}",
)  # fmt: skip
"""Forms of names; every one holds a number that no other has."""


class Naming:
    """Gives names, each once.

    Args:
        choices: Decides between the forms.
        forms: As those of `ODD`.
    """

    def __init__(self, choices: Choices | None = None, forms: Sequence[str] = PLAIN) -> None:
        self._choices = choices
        self._forms = forms
        self._number = 0

    def name(self, prefix: str) -> str:
        """A name that nothing else has."""
        self._number += 1
        form = self._forms[0] if self._choices is None else self._choices.choose(self._forms)
        return form.format(prefix=prefix, number=self._number)
