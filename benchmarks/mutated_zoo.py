"""Mutates real models and holds passes, pipelines, levels and targets to their properties on the mutants.

    python benchmarks/mutated_zoo.py [--first SEED] [--count N] [--whole] [--minutes M] [FILE...]

Models are those given, or what lies in the cache of the zoo and of the exporters, and onnx's light ones. Of
each, N pieces are cut out (with --whole, all of it is taken) and mutated up to six times; the numbers come
from the mutant itself in onnxruntime. A pass that is left out counts as a failure. What fails is told with
the seed that makes it again. Exits 1 on any failure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import onnx_ir as ir
import zoo
from zoo_wheels import ZooError

from graphopt.compile import optimize
from graphopt.compile.levels import pipeline_for
from graphopt.errors import ExecutionError, GraphoptError
from graphopt.execute import make_inputs
from graphopt.io import load
from graphopt.ir import infer_shapes, nodes, static_shape
from graphopt.pipeline import Pipeline
from graphopt.targets import known_targets
from graphopt.testing.check import PassFailure, Reference, check_pass
from graphopt.testing.generate import Choices, Seeded, Unfit
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.mutation import CLAIMS, DONE, Recording, cut, mutate
from graphopt.testing.pipelines import random_pipeline

MOST_MUTATIONS = 6
LARGEST_RECORDING = 512 << 20
"""Bytes that the inner values of a model may take."""
MEMORY = 12 << 30
"""Bytes of addresses for the process that tries mutants: sizes that nothing infers may ask for anything."""
PATIENCE = 180.0
"""Seconds for one mutant, and for opening a model; what takes longer counts as hanging."""
HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
NO_PASS_TO_BLAME = "even without any pass the model differs"
"""How the check says that the model is not equal to itself."""
HELD, UNFIT, FAILED, CRASHED = "held", "unfit", "failed", "crashed"
MADE = "made"


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        seed: Makes it again.
        kind: "held", "unfit" (no mutant was made), "failed" or "crashed"; "made" on the way.
        detail: What failed.
    """

    seed: int
    kind: str
    detail: str = ""


class Source:
    """A real model to make mutants of.

    Args:
        path: Its file.
        whole: Mutate all of it, not pieces.

    Raises:
        GraphoptError: It cannot be read or run.
    """

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self._whole = whole
        self._model = load(path)
        _read_external(self._model)
        infer_shapes(self._model)
        if not whole and _size(self._model) > LARGEST_RECORDING:
            raise GraphoptError(f"{path.name}: its inner values are too large to be kept")
        feeds = [each.values for each in make_inputs(self._model, count=1)]
        self._model.meta[INPUTS_KEY] = feeds
        self._recording = None if whole else Recording(self._model, feeds[0])

    def mutant(self, seed: int) -> tuple[ir.Model, Choices]:
        """The mutant of a seed, and what follows from it.

        Raises:
            Unfit: There is none.
            ExecutionError: A piece does not run by itself.
        """
        choices = Seeded(seed)
        piece = self._model if self._recording is None else cut(self._recording, choices)
        return mutate(
            piece, choices, count=choices.integer(0 if self._recording else 1, MOST_MUTATIONS)
        ), choices


def _read_external(model: ir.Model) -> None:
    """Hold weights from other files in memory: mutants stand nowhere that these could lie beside."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor):
            value.const_value = ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=value.name)


def _size(model: ir.Model) -> int:
    """Bytes of inner values of known shape."""
    total = 0
    for node in nodes(model):
        for value in node.outputs:
            shape = static_shape(value)
            if shape is not None and value.dtype is not None:
                elements = 1
                for size in shape:
                    elements *= size
                total += int(elements * value.dtype.itemsize)
    return total


def hold(model: ir.Model, choices: Choices) -> str:
    """Check a level, then a pipeline at random; what fails, or ""."""
    level, target = choices.choose(((1, "portable"), *((2, target) for target in known_targets())))
    if model.meta[CLAIMS]:
        return _hold_against_claims(model, level, target)
    reference = Reference(model)
    tried: tuple[tuple[str, Pipeline], ...] = (
        (f"-O{level} for {target}", pipeline_for(level, None, (), target)),
        ("pipeline", random_pipeline(choices)),
    )
    for name, pipeline in tried:
        try:
            check_pass(pipeline, reference)
        except PassFailure as failure:
            if _is_rounding_of_halves(reference, failure):
                continue
            shown = "" if name != "pipeline" else f" {pipeline}"
            return f"{name}{shown}: {failure.property}: {failure.detail}"
    return ""


def _is_rounding_of_halves(reference: Reference, failure: PassFailure) -> bool:
    """onnxruntime computes half floats in float32 and rounds between nodes: with fewer nodes, less often."""
    if failure.property != "numbers" or "within tolerance, but not the same bits" not in failure.detail:
        return False
    return _computes_in_halves(reference.model)


def _computes_in_halves(model: ir.Model) -> bool:
    values = [*model.graph.inputs, *(value for node in nodes(model) for value in node.outputs)]
    casts = [node.attributes["to"].as_int() for node in nodes(model) if node.op_type == "Cast"]
    return any(kind in HALVES for kind in (*(value.dtype for value in values), *casts))


def _hold_against_claims(model: ir.Model, level: int, target: str) -> str:
    """A model that lies about inner shapes is right only where a real run may refute them."""
    feeds = model.meta[INPUTS_KEY]
    try:
        result = optimize(model, level=level, target=target, inputs=feeds[0], measure=False)
    except ExecutionError as error:
        # Where halves overflow, it is for onnxruntime to say which nodes round; it differs from itself.
        if NO_PASS_TO_BLAME in error.message and _computes_in_halves(model):
            return ""
        raise
    found = [f"left out: {each}" for each in result.report.left_out]
    check = result.report.check
    if check is None or not (check.ran and check.equal):
        found.append(f"not equal: {check.reason if check is not None else 'not checked'}")
    return "; ".join(found)


def _work(path: Path, seeds: range, whole: bool, channel: Connection) -> None:
    """Try the seeds one after another and send each outcome."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        source = Source(path, whole=whole)
    except GraphoptError as error:
        channel.send(Outcome(-1, UNFIT, error.message))
        return
    channel.send(Outcome(-1, HELD))
    for seed in seeds:
        channel.send(attempt(source, seed, tell=channel.send))


def attempt(source: Source, seed: int, *, tell: Callable[[Outcome], None] = lambda made: None) -> Outcome:
    """Make the mutant of a seed and check it; `tell` is called in between."""
    try:
        model, choices = source.mutant(seed)
    except (Unfit, GraphoptError) as error:
        return Outcome(seed, UNFIT, str(error))
    tell(Outcome(seed, MADE))
    try:
        failure = hold(model, choices)
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    return Outcome(seed, FAILED, f"{failure} | {model.meta[DONE]}") if failure else Outcome(seed, HELD)


def outcomes(
    path: Path, seeds: range, *, whole: bool = False, until: float = float("inf")
) -> Iterator[Outcome]:
    """Try the seeds on a model, in a process of its own that is started again after a crash.

    Args:
        path: The model.
        seeds: Seeds of mutants.
        whole: Mutate all of it, not pieces.
        until: `time.monotonic()` to stop at.
    """
    context = multiprocessing.get_context("forkserver")
    while seeds and time.monotonic() < until:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(path, seeds, whole, sender))
        process.start()
        sender.close()
        died, last = False, UNFIT
        try:
            opened = receiver.recv() if receiver.poll(PATIENCE) else Outcome(-1, CRASHED, "opening it hangs")
            if opened.kind != HELD:
                yield opened
                return
            while seeds and time.monotonic() < until:
                if not receiver.poll(PATIENCE):
                    raise EOFError
                outcome = receiver.recv()
                last = outcome.kind
                if last != MADE:
                    yield outcome
                    seeds = seeds[1:]
        except EOFError:
            died = True
        finally:
            process.kill()
            process.join()
        if died:
            # Some mutants end onnxruntime, and the process, all by themselves.
            yield Outcome(seeds[0], CRASHED if last == MADE else UNFIT, f"exit code {process.exitcode}")
            seeds = seeds[1:]


def default_files() -> list[Path]:
    """What there is in the caches, and the light models of the onnx package."""
    found = [*sorted(zoo.cache().glob("*.onnx")), *sorted(zoo.cache().glob("exporters/*.onnx"))]
    for entry in zoo.LIGHT:
        try:
            found.append(entry.path())
        except ZooError:
            continue
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Try every model; print failures and a line of counts for each, then the sum."""
    parser = argparse.ArgumentParser(description="Mutate real models and check passes on the mutants.")
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="models; all that are cached by default"
    )
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=20, help="seeds for each model")
    parser.add_argument("--whole", action="store_true", help="mutate whole models, not pieces of them")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after that time")
    options = parser.parse_args(arguments)
    until = time.monotonic() + 60 * options.minutes
    total: Counter[str] = Counter()
    for path in options.files or default_files():
        begin = time.monotonic()
        counts: Counter[str] = Counter()
        note = ""
        for outcome in outcomes(
            path, range(options.first, options.first + options.count), whole=options.whole, until=until
        ):
            counts[outcome.kind] += 1
            if outcome.kind in (FAILED, CRASHED):
                print(f"  {path.name} --first {outcome.seed}: {outcome.detail}", flush=True)
            elif outcome.seed < 0:
                note = outcome.detail
        total += counts
        shown = ", ".join(f"{counts[kind]} {kind}" for kind in (HELD, UNFIT, FAILED, CRASHED))
        print(f"{path.stem:40} {shown} in {time.monotonic() - begin:.0f} s {note}", flush=True)
    print(", ".join(f"{total[kind]} {kind}" for kind in (HELD, UNFIT, FAILED, CRASHED)))
    return int(bool(total[FAILED] or total[CRASHED]))


if __name__ == "__main__":
    sys.exit(main())
