"""Where nodes come from: names by submodule, the submodule's path and the source line as metadata."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import onnx_ir as ir

from graphopt.pytorch.importer.source_lines import line_of_node

MODULE_KEY = "graphopt.module"
"""`metadata_props` of a node: path of the submodule it computes for, as in `layer1.0.conv1`."""
SOURCE_KEY = "graphopt.source"
"""`metadata_props` of a node: file and line of the user's code, as in `model.py:42`."""


def tell_provenance(model: ir.Model) -> None:
    """Name nodes after their submodules, and replace torch's metadata, which holds paths, by ours."""
    taken: dict[str, int] = {}
    for node in model.graph.all_nodes():
        origin = node.meta.get("node")
        node.metadata_props.clear()
        path = module_path(origin)
        if path:
            node.metadata_props[MODULE_KEY] = path
        if source := source_line(origin):
            node.metadata_props[SOURCE_KEY] = source
        stem = "/".join([*path.split("."), node.op_type]) if path else node.op_type
        count = taken.get(stem, 0)
        taken[stem] = count + 1
        node.name = f"{stem}_{count}" if count else stem
        node.meta.pop("node", None)
        for value in node.outputs:
            value.metadata_props.clear()
    for value in model.graph.inputs:
        value.meta.clear()
        value.metadata_props.clear()
    model.metadata_props.clear()
    model.graph.metadata_props.clear()


def module_path(origin: Any) -> str:
    """Path of the innermost submodule an FX node was made in, or ""."""
    stack = getattr(origin, "meta", {}).get("nn_module_stack") or {}
    paths = [str(path) for path, _ in stack.values()]
    if not paths or "_empty_nn_module_stack" in paths[-1]:
        return ""
    return paths[-1].split("@")[0]


def source_line(origin: Any) -> str:
    """`file.py:line` of the innermost frame that is not torch's, or ""."""
    where = line_of_node(origin) if origin is not None else None
    return f"{PurePath(where.file).name}:{where.line}" if where is not None else ""
