"""Small faults that can be planted in Python source, as edits of its syntax tree.

The faults are those that people make: a boundary off by one, a guard left out, two operands swapped. What
does not compute is left alone: docstrings, annotations, the texts of refusals and errors, hints of names. So
is what cannot be wrong by so little, or at all:

- bounds of effort, `MOST_...`, `MAX_...`, `LONGEST_...`, `DEEPEST_...`, off by one: other work is done, none
  of it wrong; that there is a bound at all may still be lost;
- one number of a table of probes (five numbers or more, one a fraction), and seeds;
- operands of what is the same both ways: of commutative operators, of an absolute difference;
- what only checks, or is so anyway: `strict` of `zip`, `dtype=np.int64` of integers.

Nothing runs here.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
}
ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.MatMult)
OPPOSITES = {"any": "all", "all": "any", "min": "max", "max": "min"}
JUMPS = (ast.Raise, ast.Return, ast.Continue, ast.Break)
TYPE_FIELDS = ("annotation", "returns", "type_params", "decorator_list")
NAMES_OF_TOOLS = ("tape", "ask", "model", "node", "root", "self", "changes", "names")
"""Arguments that nothing else can stand for: swapped, they raise at once, which tells nothing about tests."""

TYPE_TESTS = ("isinstance", "issubclass")
CHECKS_ONLY = ("strict",)
"""Keywords of calls that only raise where something else is wrong already."""
EFFORT = ("MOST_", "MAX_", "LONGEST_", "DEEPEST_")
"""How names of bounds of effort begin."""
BOUNDARIES = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
PROBES = 5
"""So many numbers together, one of them a fraction, are probes: places where something is tried."""
COMMUTATIVE = ("Add", "And", "Equal", "Max", "Mean", "Min", "Mul", "Or", "Sum", "Xor")
"""Operators of ONNX that take their operands in any order; so does the engine in patterns."""
NEUTRAL = ("dtype=np.int64",)
"""Keywords that say what is so anyway, where faults are planted: NumPy's integers have 64 bits."""
NAMING = ("const", "ints")
"""Methods of a tape whose second argument is a hint of a name."""


@dataclass(frozen=True)
class Mutation:
    """One fault that may be planted.

    Attributes:
        kind: What is done, in words.
        line: Line of the part that changes, from 1.
        lines: First and last line of the head of its statement; None where it runs on import.
        statement: The smallest statement around it.
        plant: Does it, in the tree that it was found in.
    """

    kind: str
    line: int
    lines: tuple[int, int] | None
    statement: ast.stmt
    plant: Callable[[], None]


def mutations(tree: ast.Module) -> Iterator[Mutation]:
    """All faults that may be planted in a module, in the order of its source."""
    yield from _below(tree, None, False)


def planted(source: str, index: int) -> tuple[ast.Module, str, str]:
    """The tree of `source` with the fault of that index in `mutations`; its statement before and after."""
    tree = ast.parse(source)
    fault = list(mutations(tree))[index]
    before = _text(fault.statement)
    fault.plant()
    after = _text(fault.statement)
    return ast.fix_missing_locations(tree), before, after if after != before else fault.kind


def _text(statement: ast.stmt) -> str:
    """The statement in one line; of one with a body, its head and where it leads."""
    short = copy.copy(statement)
    if isinstance(short, (ast.FunctionDef, ast.ClassDef)):
        short.body = [ast.Expr(ast.Constant(...))]
    elif isinstance(short, (ast.If, ast.For, ast.While, ast.With)):
        short.body = [short.body[0], *(each for each in short.body[1:] if each is short.body[-1])]
        if not isinstance(short, ast.With):
            short.orelse = []
    return " ".join(line.strip() for line in ast.unparse(ast.fix_missing_locations(short)).splitlines())


def _below(parent: ast.AST, statement: ast.stmt | None, called: bool) -> Iterator[Mutation]:
    for field, value in ast.iter_fields(parent):
        if field in TYPE_FIELDS and not (field == "decorator_list" and isinstance(parent, ast.FunctionDef)):
            continue
        in_call = called or (field == "body" and isinstance(parent, (ast.FunctionDef, ast.Lambda)))
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _only_tells(child) or _cannot_be_wrong(parent, field, index):
                continue
            within = child if isinstance(child, ast.stmt) else statement
            if within is not None:
                position = index if isinstance(value, list) else None
                for kind, plant in _faults(parent, field, position, child):
                    line = getattr(child, "lineno", within.lineno)
                    yield Mutation(kind, line, _head(within) if in_call else None, within, plant)
            yield from _below(child, within, in_call)


def _head(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return statement.lineno, max(last, statement.lineno)


def _only_tells(node: ast.AST) -> bool:
    """Whether a part computes nothing: it raises, narrows a type, names, imports or is text."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        return name.endswith(("Error", "Reject", "refuse", "dataclass")) or name == "frozenset"
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    return isinstance(node, (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr))


def _cannot_be_wrong(parent: ast.AST, field: str, index: int) -> bool:
    """Whether no small change of a part is a fault: a bound of effort, a probe, a seed, a name's hint."""
    if isinstance(parent, (ast.Assign, ast.AnnAssign)) and field == "value":
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        return any(map(_is_effort, targets)) and not isinstance(parent.value, ast.Call)
    if isinstance(parent, (ast.List, ast.Tuple)) and field == "elts":
        numbers = [each.operand if isinstance(each, ast.UnaryOp) else each for each in parent.elts]
        values = [each.value for each in numbers if isinstance(each, ast.Constant)]
        return len(values) >= PROBES and any(isinstance(value, float) for value in values)
    if isinstance(parent, ast.keyword):
        return parent.arg in CHECKS_ONLY
    if isinstance(parent, ast.Call) and field == "args":
        method = parent.func.attr if isinstance(parent.func, ast.Attribute) else ""
        return method == "default_rng" or (method in NAMING and index == 1)
    return False


def _is_effort(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.lstrip("_").startswith(EFFORT)


def _put(parent: ast.AST, field: str, index: int | None, new: ast.AST) -> Callable[[], None]:
    def plant() -> None:
        if index is None:
            setattr(parent, field, new)
        else:
            getattr(parent, field)[index] = new

    return plant


Fault = tuple[str, Callable[[], None]]


def _faults(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> Iterator[Fault]:
    """The faults that may be planted at `node`, which is the `field` of `parent`, or there at an `index`."""

    def put(new: ast.AST) -> Callable[[], None]:
        return _put(parent, field, index, new)

    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            sides = (node.left, *node.comparators)[position : position + 2]
            if isinstance(operator, BOUNDARIES) and any(map(_is_effort, sides)):
                continue
            yield "comparison", _put(node, "ops", position, COMPARISONS[type(operator)]())
    elif isinstance(node, ast.BoolOp):
        yield "and / or", _put(node, "op", None, ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", put(node.operand)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign dropped", put(node.operand)
    elif isinstance(node, ast.Constant):
        first = isinstance(parent, ast.Subscript)  # [0] and [-1] are one where there is one element
        for kind, other in _other_constants(node.value):
            if not (first and other == -1):
                yield kind, put(ast.Constant(other))
    elif isinstance(node, ast.BinOp):
        if type(node.op) in ARITHMETIC:
            yield "operator", _put(node, "op", None, ARITHMETIC[type(node.op)]())
        distance = isinstance(parent, ast.Call) and ast.unparse(parent.func) in ("abs", "np.abs")
        if isinstance(node.op, ORDERED) and not (distance and isinstance(node.op, ast.Sub)):
            yield "operands swapped", put(ast.BinOp(node.right, node.op, node.left))
    elif isinstance(node, ast.IfExp):
        yield "branches swapped", put(ast.IfExp(node.test, node.orelse, node.body))
    elif isinstance(node, ast.Call):
        yield from _faults_of_call(node)
    elif isinstance(node, ast.comprehension):
        for position in range(len(node.ifs)):
            yield "filter dropped", _put(node, "ifs", position, ast.Constant(True))
    elif isinstance(node, ast.stmt):
        yield from _faults_of_statement(node, put)


def _other_constants(value: object) -> Iterator[tuple[str, bool | int | float]]:
    if isinstance(value, bool):
        yield "True / False", not value
    elif isinstance(value, int):
        yield "constant + 1", value + 1
        yield "constant - 1", value - 1
    elif isinstance(value, float):
        yield "constant + 1", value + 1.0


def _faults_of_call(node: ast.Call) -> Iterator[Fault]:
    if isinstance(node.func, ast.Name) and node.func.id in OPPOSITES:
        yield "opposite function", _put(node, "func", None, ast.Name(OPPOSITES[node.func.id], ast.Load()))
    operands = [] if ast.unparse(node.func) in TYPE_TESTS or _commutes(node) else node.args
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("op", "ops") and len(node.args) > 1:
        operands = node.args[1].elts if isinstance(node.args[1], ast.List) and not _commutes(node) else []
    for place in range(len(operands) - 1):
        first, second = operands[place : place + 2]
        if _may_swap(first, second):
            swapped = [*operands[:place], second, first, *operands[place + 2 :]]
            yield "operands swapped", lambda swapped=swapped: operands.__setitem__(slice(None), swapped)  # type: ignore[misc]
    for keyword in node.keywords:
        if keyword.arg is not None and keyword.arg not in CHECKS_ONLY and ast.unparse(keyword) not in NEUTRAL:
            kept = [each for each in node.keywords if each is not keyword]
            yield "argument dropped", lambda kept=kept: setattr(node, "keywords", kept)  # type: ignore[misc]


def _commutes(node: ast.Call) -> bool:
    """Whether a call matches or makes an operator that takes its operands in any order."""
    if ast.unparse(node.func).rpartition(".")[2] not in ("op", "ops") or not node.args:
        return False
    named = node.args[0].elts if isinstance(node.args[0], ast.Tuple) else [node.args[0]]
    return all(isinstance(each, ast.Constant) and each.value in COMMUTATIVE for each in named)


def _may_swap(first: ast.expr, second: ast.expr) -> bool:
    """Whether each may stand in the other's place without being of another type at first sight."""
    if type(first) is not type(second) or ast.unparse(first) == ast.unparse(second):
        return False
    if isinstance(first, ast.Name) and isinstance(second, ast.Name):
        return first.id not in NAMES_OF_TOOLS and second.id not in NAMES_OF_TOOLS
    return isinstance(first, (ast.Attribute, ast.Subscript, ast.Call, ast.BinOp))


def _faults_of_statement(node: ast.stmt, put: Callable[[ast.AST], Callable[[], None]]) -> Iterator[Fault]:
    if isinstance(node, ast.If) and not node.orelse:
        guard = len(node.body) == 1 and isinstance(node.body[0], JUMPS)
        yield "guard dropped" if guard else "statement dropped", put(ast.Pass())
    elif isinstance(node, (ast.For, ast.While)):
        yield "loop left early", lambda: node.body.append(ast.Break())
    elif isinstance(node, (ast.Break, ast.Continue)):
        yield "break / continue", put(ast.Continue() if isinstance(node, ast.Break) else ast.Break())
    elif (
        isinstance(node, ast.AugAssign)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        or (isinstance(node, ast.Assign) and isinstance(node.targets[0], (ast.Attribute, ast.Subscript)))
    ):
        yield "statement dropped", put(ast.Pass())
