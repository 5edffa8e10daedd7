"""How often generated models give each pass something to do: a pass that never fires is not tested.

    python benchmarks/generator_reach.py [--count N] [--first SEED] [PASS ...]

Prints, for each pass, the share of models that it changes, of plain ones and of those generated for it, and
how many of its rules found something (rules that only refused in brackets).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.ir import infer_shapes
from graphopt.pipeline import Pass, Pipeline, default_catalog
from graphopt.testing.aim import aimed, rules_of
from graphopt.testing.generate import Spec, Unfit, generate_model


@dataclass
class Reach:
    """What a pass did in a number of models."""

    models: int = 0
    changed: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def add(self, pass_: Pass, model: ir.Model) -> None:
        """Run the pass on a copy and count."""
        self.models += 1
        try:
            (record,) = Pipeline([pass_]).run(model.clone()).records
        except GraphoptError as error:
            print(f"{pass_.name}: {error}", file=sys.stderr)
            return
        self.changed += bool(record.changes)
        self.hits.update(record.hits)
        self.refusals.update(record.refusals)

    @property
    def share(self) -> str:
        """Models changed, in percent."""
        return f"{100 * self.changed / max(self.models, 1):5.1f} %"


def models(seeds: Iterable[int], spec: Spec) -> Iterable[ir.Model]:
    """Generated models, shapes inferred."""
    for seed in seeds:
        try:
            model = generate_model(seed, spec)
        except Unfit:
            continue
        infer_shapes(model)
        yield model


def rules_reached(pass_: Pass, reach: Reach) -> str:
    """Rules that applied, and those that at least refused, of all."""
    names = [rule.name for rule in rules_of(pass_)]
    if not names:
        return f"{len(reach.hits)} kinds, {len(reach.refusals)} refusals"
    refused = {reason.partition(":")[0] for reason in reach.refusals}
    never = [name for name in names if not reach.hits[name]]
    told = ", ".join(f"({name})" if name in refused else name for name in never)
    return f"{len(names) - len(never)} of {len(names)} rules" + (f"; not {told}" if told else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; exits 1 if a pass never fires."""
    parser = argparse.ArgumentParser(description="How often generated models give each pass something to do.")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=200, help="number of seeds")
    parser.add_argument("passes", nargs="*", help="names of passes; all by default")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.count)
    catalog = {name: made() for name, made in default_catalog().items() if issubclass(made, Pass)}
    chosen = [each for name, each in catalog.items() if not options.passes or name in options.passes]
    plain = {each.name: Reach() for each in chosen}
    for model in models(seeds, Spec()):
        for each in chosen:
            plain[each.name].add(each, model)
    silent = 0
    for each in chosen:
        reach = Reach()
        for model in models(seeds, aimed(Spec(), each)):
            reach.add(each, model)
        silent += not reach.changed
        rules = rules_reached(each, reach)
        print(f"{each.name:24} plain {plain[each.name].share}  aimed {reach.share}  {rules}", flush=True)
    print(f"{silent} of {len(chosen)} passes never fired")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
