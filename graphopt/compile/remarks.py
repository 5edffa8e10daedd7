"""What the passes that changed a model have to say of it to its user."""

from __future__ import annotations

from collections.abc import Iterable

from graphopt.pipeline import Pass, Record, default_catalog


def remarks(records: Iterable[Record]) -> list[str]:
    """The remark of each pass that changed something, once."""
    catalog = default_catalog()
    made = [catalog.get(record.name.partition("{")[0]) for record in records if record.changes]
    told = [each.remark for each in made if each is not None and issubclass(each, Pass)]
    return list(dict.fromkeys(filter(None, told)))
