"""Run a float model on the user's samples, and tell what of a failure is a sample's fault.

A sample on which the model itself fails, or whose infinities spoil its values, is named. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import DataError, ExecutionError
from graphopt.execute.samples import Sample
from graphopt.execute.session import NodeFailure, Session


def run_sample(session: Session, model: ir.Model, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Run a session on a sample.

    Args:
        session: Of the model, with outputs of any kind.
        model: The float model.
        sample: Arrays by input name.

    Raises:
        DataError: The model cannot run on this sample of the user's.
        ExecutionError: It cannot run on data that were made up, or fails by what the session adds to it.
    """
    try:
        return session.run(sample)
    except NodeFailure as failure:
        if not isinstance(sample, Sample):
            raise
        cause = _own_failure(model, sample)
        if cause is None:
            raise
        raise DataError(
            f"the model cannot run on {sample.name}: {cause.message}",
            hint="leave the sample out, or give values that the model takes",
        ) from failure


def infinite_input(sample: Mapping[str, Any]) -> str | None:
    """The name of an input that holds infinities; None if none does."""
    return next((name for name, value in sample.items() if not _is_finite(value)), None)


def refuse_nan(sample: Mapping[str, Any], name: str, value: Any) -> None:
    """Raise a `DataError` if a value of the float model is NaN because of infinities in a sample."""
    culprit = infinite_input(sample) if _holds_nan(value) else None
    if culprit is not None and isinstance(sample, Sample):
        raise spoilt(sample, culprit, f"make NaN of {name!r}")


def spoilt(sample: Sample, culprit: str, what: str) -> DataError:
    """What to raise where infinities of an input do harm."""
    return DataError(
        f"input {culprit!r} of {sample.name} holds infinities, which {what}",
        hint="give finite values there: neither ranges nor accuracy can be told from others",
    )


def _own_failure(model: ir.Model, sample: Sample) -> ExecutionError | None:
    """How the model itself, without any outputs added, fails on a sample; None if it does not."""
    try:
        Session(model).run(sample)
    except ExecutionError as error:
        return error
    return None


def _is_finite(value: Any) -> bool:
    arrays = value if isinstance(value, list) else [value]
    return all(np.isfinite(array).all() for array in map(np.asarray, arrays) if array.dtype.kind in "fc")


def _holds_nan(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc" and bool(np.isnan(value).any())
