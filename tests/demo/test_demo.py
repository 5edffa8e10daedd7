"""The demo's files: small, valid, and as accurate as claimed."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from graphopt import demo


def test_files_are_small() -> None:
    folder = demo.load().model.parent
    assert sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) < 500_000


def test_model_is_an_untidy_export_that_full_check_accepts() -> None:
    model = onnx.load(demo.load().model)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert {"BatchNormalization", "Shape", "Gather", "Concat", "Reshape"} <= {
        n.op_type for n in model.graph.node
    }


def test_model_reads_the_test_images() -> None:
    sample = demo.load()
    session = onnxruntime.InferenceSession(str(sample.model))
    (probability,) = session.run(None, {"image": sample.images})
    accuracy = float(np.mean(probability.argmax(1) == sample.labels))
    assert sample.images.shape == (500, 1, 8, 8)
    assert accuracy == 0.982
