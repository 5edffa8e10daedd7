"""Families of hostile files, one module each; a family is a function that lists its cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from graphopt.testing.hostile.case import Case
from graphopt.testing.hostile.families import (
    attributes,
    bombs,
    containers,
    damaged,
    external,
    functions,
    graphs,
    large,
    loops,
    names,
    nesting,
    not_models,
    operators,
    sizes,
    sparse,
    text_forms,
    versions,
)

FAMILIES: Mapping[str, Callable[[], Iterator[Case]]] = {
    "attributes": attributes.cases,
    "bombs": bombs.cases,
    "containers": containers.cases,
    "damaged": damaged.cases,
    "external": external.cases,
    "functions": functions.cases,
    "graphs": graphs.cases,
    "large": large.cases,
    "loops": loops.cases,
    "names": names.cases,
    "nesting": nesting.cases,
    "not_models": not_models.cases,
    "operators": operators.cases,
    "sizes": sizes.cases,
    "sparse": sparse.cases,
    "text_forms": text_forms.cases,
    "versions": versions.cases,
}
