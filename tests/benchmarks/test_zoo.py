"""The zoo's registry and its inputs; nothing here is downloaded."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("zoo")


def test_holds_eight_real_and_nine_light_models(zoo: Any) -> None:
    assert [len(zoo.REAL), len(zoo.LIGHT), len(zoo.ZOO)] == [8, 9, 17]
    assert all(name == entry.name for name, entry in zoo.ZOO.items())
    assert set(zoo.BASELINES) <= set(zoo.ZOO)


def test_wheels_are_pinned_by_hash(zoo: Any) -> None:
    origins = [entry.origin for entry in zoo.REAL]
    wheels = {w for o in origins for w in (o.wheels if isinstance(o, zoo.Exported) else (o.wheel,))}
    assert len(wheels) == 7
    for wheel in wheels:
        assert len(bytes.fromhex(wheel.sha256)) == 32
        assert wheel.filename.startswith(f"{wheel.project.replace('-', '_')}-{wheel.version}-")


def test_inputs_depend_on_the_seed_alone(zoo: Any) -> None:
    for entry in (*zoo.REAL, zoo.ZOO["light_vgg19"]):
        first, again, other = entry.inputs(0), entry.inputs(0), entry.inputs(1)
        assert len(first) == len(entry.bindings)
        for one, two in zip(first, again, strict=True):
            assert all(np.array_equal(one[name], two[name]) for name in one)
        assert any(not np.array_equal(first[0][name], other[0][name]) for name in first[0]), entry.name


def test_bindings_choose_the_sizes(zoo: Any) -> None:
    (page,) = zoo.ZOO["ppocr-det"].inputs(3, [{"batch": 2, "height": 96, "width": 160}])
    (tokens,) = zoo.ZOO["minilm"].inputs(3, [{"batch": 3, "length": 24}])
    assert page["x"].shape == (2, 3, 96, 160)
    assert {array.shape for array in tokens.values()} == {(3, 24)}


def test_sentences_are_masked_where_they_are_padded(zoo: Any) -> None:
    (tokens,) = zoo.ZOO["minilm"].inputs(0, [{"batch": 8, "length": 64}])
    ids, mask = tokens["input_ids"], tokens["attention_mask"]
    assert np.array_equal(ids != 0, mask == 1)
    assert mask[0].all() and not mask.all()
    assert ids.max() < 30522


def test_file_bytes_are_padded_inwards_with_256(zoo: Any) -> None:
    tokens = zoo.zoo_inputs.magika_tokens(b"  abc\n")
    assert tokens[:6].tolist() == [97, 98, 99, 10, 256, 256]
    assert tokens[-6:].tolist() == [256, 32, 32, 97, 98, 99]
    assert tokens.dtype == np.int32 and tokens.shape == (2048,)


def test_light_models_take_their_inputs(zoo: Any) -> None:
    entry = zoo.ZOO["light_squeezenet"]
    session = onnxruntime.InferenceSession(str(entry.path()), providers=["CPUExecutionProvider"])
    (probability,) = session.run(None, entry.inputs()[0])
    assert probability.shape == (1, 1000, 1, 1)


def test_cache_follows_the_environment(zoo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHOPT_ZOO", str(tmp_path))
    assert zoo.cache() == tmp_path


def test_unknown_names_are_refused(zoo: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        zoo.main(["no-such-model"])
    assert "no model named no-such-model" in capsys.readouterr().err


def test_list_fetches_nothing(
    zoo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAPHOPT_ZOO", str(tmp_path / "zoo"))
    assert zoo.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 17
    assert not (tmp_path / "zoo").exists()


def test_a_failed_write_leaves_nothing_behind(zoo: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), zoo.zoo_wheels.replacing(tmp_path / "model.onnx") as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
