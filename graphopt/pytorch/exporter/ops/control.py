"""Control flow: If, Loop and Scan, their bodies as modules of their own."""

from __future__ import annotations

from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional.control import branch


@translates("If")
def if_(site: Site) -> list[fx.Node]:
    """Both branches become modules that take what either of them reads from outside."""
    condition = site.sizes(0)
    predicate = site.tensor(0) if condition is None else condition.items[0]
    bodies = [site.body("then_branch", "then"), site.body("else_branch", "otherwise")]
    captured = list(dict.fromkeys(node for body in bodies for node in body.captured))
    modules = [site.emitter.submodule(body.module(captured), body.hint) for body in bodies]
    results = site.call(branch, predicate, *modules, *captured)
    return [site.item(results, index) for index in range(len(site.node.outputs))]
