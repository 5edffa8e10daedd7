"""A plan as a C header for firmware: the size of the arena, and the offset of each value in it."""

from __future__ import annotations

import re

from graphopt.memory.graph_plan import GraphPlan

LARGEST_32 = (1 << 32) - 1


def c_header(plan: GraphPlan, name: str) -> str:
    """The header's text: macros, and the steps in their order as comments.

    Args:
        plan: What to write.
        name: Of the model; macros begin with it.
    """
    prefix = _identifier(name).upper()
    kind = "UINT32_C" if plan.arena <= LARGEST_32 else "UINT64_C"
    guard = f"{prefix}_ARENA_H"
    taken: set[str] = set()
    lines = [
        f"/* Memory plan of {_comment(name)}: {len(plan.order)} steps, {len(plan.offsets)} values. */",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stdint.h>",
        "",
        f"#define {prefix}_ARENA_BYTES {kind}({plan.arena})",
        f"#define {prefix}_ARENA_ALIGNMENT {plan.options.alignment}",
        "",
        "/* Bytes from the start of the arena to each value, and its own bytes. */",
    ]
    for index, size in enumerate(plan.steps.sizes):
        value = plan.steps.name(index)
        known = _unused(_identifier(value), taken)
        lines.append(f"#define {prefix}_OFFSET_{known} {kind}({plan.offsets[value]}) /* {_comment(value)} */")
        lines.append(f"#define {prefix}_BYTES_{known} {kind}({size})")
    lines += ["", "/* Order of the steps:"]
    lines += [
        f"   {place} {_comment(node.op_type)} {_comment(plan.called(place))}"
        for place, node in enumerate(plan.nodes)
    ]
    return "\n".join([*lines, "*/", "", f"#endif /* {guard} */", ""])


def _identifier(text: str) -> str:
    clean = re.sub(r"[^0-9A-Za-z_]", "_", text)
    return clean if re.match(r"[A-Za-z]", clean) else f"m{clean}"


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if another text has led to it."""
    unused, number = name, 1
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    taken.add(unused)
    return unused


def _comment(text: str) -> str:
    """Text that cannot end a comment, on one line."""
    return " ".join(text.replace("*/", "* /").replace("/*", "/ *").split())
