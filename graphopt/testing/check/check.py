"""`check_pass`: run a pass on a model and hold it to every property that a pass must keep."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import onnx
import onnx_ir as ir

from graphopt.testing.branches import repeated_ends
from graphopt.testing.check.count import honest_count
from graphopt.testing.check.deterministic import same_twice
from graphopt.testing.check.failure import Broken, PassFailure, Unchecked
from graphopt.testing.check.idempotent import nothing_left
from graphopt.testing.check.interface import same_interface
from graphopt.testing.check.numbers import same_numbers
from graphopt.testing.check.reference import Reference
from graphopt.testing.check.run import PassRun
from graphopt.testing.check.subject import PassLike, Subject
from graphopt.testing.check.trial import Trial, attempt
from graphopt.testing.check.untouched import original_untouched
from graphopt.testing.check.validity import serialized
from graphopt.testing.inputs import Inputs


def is_valid(trial: Trial) -> None:
    """Set the trial's serialized form.

    Raises:
        Broken: See `serialized`; or a branch ends in one value twice, which it did not before.
    """
    repeated = repeated_ends(trial.after)
    if repeated and repeated > repeated_ends(trial.before):
        raise Broken("a branch of an If ends in one value twice: onnxruntime leaves one output unwritten")
    trial.proto = serialized(trial.after, trial.reference.strictness, trial.reference.declared)


PROPERTIES: Mapping[str, Callable[[Trial], None]] = {
    "valid": is_valid,
    "interface": same_interface,
    "count": honest_count,
    "numbers": same_numbers,
    "untouched": original_untouched,
    "deterministic": same_twice,
    "idempotent": nothing_left,
}
"""What must hold after a run that did not raise, in the order in which it is looked at."""


def check_pass(
    what: PassLike | Subject,
    model: Reference | ir.Model | onnx.ModelProto | str | os.PathLike[str],
    *,
    inputs: Sequence[Inputs] | None = None,
    rtol: float | None = None,
    opset: int = 18,
    full_check: bool = True,
    pass_timeout: float | None = None,
) -> PassRun:
    """Run a pass on a copy of a model, and assert what must hold of every pass on every model.

    It ends and does not raise; the outcome is as valid as the original and can be saved; the interface is the
    same; so are the numbers, bit for bit where every pass says that it is `exact`; changes are counted where
    there are any; the original is left alone; two runs give the same bytes; a second run finds nothing to do.
    What depends on unseeded random operators is compared by type and shape, and as many of them must draw as
    before. The numbers of a `lossy` pass may be off by what noise of the size of its error explains.

    Args:
        what: A pass (ours or of `onnx_ir`), a pipeline or its text, `module:Class`, or a function that
            changes a model in place or returns another.
        model: A model, its ONNX text, a path, or a `Reference` to use again for other passes (which then
            decides on all that follows).
        inputs: Sets of inputs to compare outputs on; () to compare none. By default those that a generated
            model carries, else random ones that fit.
        rtol: Relative tolerance of floats after passes that are not exact; by default that of each type, and
            what rounding alone moves is forgiven.
        opset: For a text without a header.
        full_check: Let onnx.checker infer shapes strictly; False for models that it wrongly refuses.
        pass_timeout: Seconds that one run of a pass may take; by default a minute, and more for large
            models; infinity for no limit.

    Returns:
        The outcome, and which properties could not be looked at: the numbers of a model that nobody can run.

    Raises:
        PassFailure: A property does not hold.
        GraphoptError: The model is not valid by itself, or there is no such pass.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    subject = Subject.of(what).within(pass_timeout)
    if not isinstance(model, Reference):
        model = Reference(model, inputs=inputs, rtol=rtol, opset=opset, full_check=full_check)
    return hold_properties(subject, model, model.fresh())


def hold_properties(
    subject: Subject, reference: Reference, model: ir.Model, *, settled: bool = False
) -> PassRun:
    """Run and look at every property.

    Args:
        subject: The pass.
        reference: The original.
        model: A copy of the reference's model; may be changed.
        settled: Passes in a row must leave nothing for a second run either.

    Raises:
        PassFailure: One does not hold.
    """
    __tracebackhide__ = True
    # Before the pass can spoil tensors that copies share.
    oracle = reference.oracle(exact=subject.exact, overrides=subject.keeps_defaults)
    inputs = None if isinstance(oracle, str) else oracle.input_sets[0].values
    checked, unchecked = ["raises"], {}
    try:
        outcome = attempt(subject, model)
    except Broken as broken:
        raise _failure("raises", broken, subject, reference, inputs) from broken.__cause__
    trial = Trial(subject, reference, model, outcome, settled=settled or subject.settles)
    for name, hold in PROPERTIES.items():
        try:
            hold(trial)
        except Broken as broken:
            raise _failure(name, broken, subject, reference, trial.inputs or inputs) from broken.__cause__
        except Unchecked as reason:
            unchecked[name] = str(reason)
        else:
            checked.append(name)
    changed = not trial.unchanged if outcome.counted is None else outcome.counted > 0
    return PassRun(outcome.model, reference.model, outcome.records, tuple(checked), unchecked, changed)


def _failure(
    name: str, broken: Broken, subject: Subject, reference: Reference, inputs: Inputs | None
) -> PassFailure:
    return PassFailure(
        broken.property or name,
        str(broken),
        subject=subject,
        proto=reference.proto,
        inputs=inputs,
        rtol=reference.rtol,
    )
