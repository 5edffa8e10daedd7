"""Saving: whole or not at all, the same bytes for the same model, weights streamed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import SaveError
from graphopt.io import atomic, ensure_writable, load, save


def model(scale: float = 1.0, ir_version: int = 8) -> ir.Model:
    """y = (x + w) * v with 4 kB in w and 4 bytes in v."""
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> '
        "agraph (float[N] x) => (float[N] y) { s = Add(x, w) y = Mul(s, v) }"
    )
    proto.ir_version = ir_version
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.full(1024, scale, np.float32), "w"))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([scale], np.float32), "v"))
    return load(proto)


def weight(source: ir.Model) -> float:
    tensor = source.graph.initializers["w"].const_value
    assert tensor is not None
    return float(tensor.numpy()[7])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("external", [False, True])
def test_equal_models_give_equal_bytes(tmp_path: Path, external: bool) -> None:
    save(model(), tmp_path / "m.onnx", external_data=external)
    first = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    assert list(first) == (["m.onnx", "m.onnx.data"] if external else ["m.onnx"])
    save(load(tmp_path / "m.onnx"), tmp_path / "m.onnx")
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == first


def test_model_is_the_same_after_saving(tmp_path: Path) -> None:
    saved = model()
    tensors = [value.const_value for value in saved.graph.initializers.values()]
    before = ir.to_proto(saved).SerializeToString()
    save(saved, tmp_path / "m.onnx", external_data=True)
    assert [value.const_value for value in saved.graph.initializers.values()] == tensors
    assert ir.to_proto(saved).SerializeToString() == before


def test_small_tensors_stay_in_the_model(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx", external_data=True)
    proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert {t.name: bool(t.external_data) for t in proto.graph.initializer} == {"w": True, "v": False}
    assert (tmp_path / "m.onnx.data").stat().st_size == 4096
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)


def test_a_tensor_used_twice_is_stored_once(tmp_path: Path) -> None:
    tied = model()
    tied.graph.initializers["v"].const_value = tied.graph.initializers["w"].const_value
    save(tied, tmp_path / "m.onnx", external_data=True)
    assert (tmp_path / "m.onnx.data").stat().st_size == 4096


def test_external_data_becomes_inline(tmp_path: Path) -> None:
    save(model(3), tmp_path / "m.onnx", external_data=True)
    loaded = load(tmp_path / "m.onnx")
    save(loaded, tmp_path / "m.onnx", external_data=False)
    assert files(tmp_path) == ["m.onnx", "m.onnx.data"]
    assert onnx.load(tmp_path / "m.onnx", load_external_data=False).graph.initializer[0].raw_data
    assert weight(load(tmp_path / "m.onnx")) == weight(loaded) == 3


@pytest.mark.parametrize("external", [False, True, None])
def test_saving_over_the_file_the_weights_are_mapped_from(tmp_path: Path, external: bool | None) -> None:
    path = tmp_path / "m.onnx"
    save(model(3), path, external_data=True)
    loaded = load(path)
    loaded.graph.initializers["v"].const_value = ir.tensor(np.zeros(2048, np.float32), name="v")
    save(loaded, path, external_data=external)
    assert weight(load(path)) == 3
    save(loaded, tmp_path / "again.onnx")
    assert weight(load(tmp_path / "again.onnx")) == 3


def test_old_data_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    save(model(1), path, external_data=True)
    assert save(model(2), path, external_data=True) == [path, tmp_path / "m.onnx.1.data"]
    assert files(tmp_path) == ["m.onnx", "m.onnx.1.data", "m.onnx.data"]
    assert weight(load(path)) == 2


def test_data_that_another_model_shares_stays(tmp_path: Path) -> None:
    path, twin = tmp_path / "m.onnx", tmp_path / "twin.onnx"
    save(model(1), path, external_data=True)
    shutil.copy(path, twin)
    save(model(2), path, external_data=True)
    assert (weight(load(path)), weight(load(twin))) == (2, 1)
    assert save(model(3), path) == [path]
    assert weight(load(twin)) == 1


def test_equal_data_is_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for scale, name in [(1, "m.onnx.data"), (2, "m.onnx.1.data"), (1, "m.onnx.data"), (2, "m.onnx.1.data")]:
        assert save(model(scale), path, external_data=True) == [path, tmp_path / name]
        assert weight(load(path)) == scale
    assert files(tmp_path) == ["m.onnx", "m.onnx.1.data", "m.onnx.data"]


def test_saved_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.onnx").symlink_to("real/m.onnx")
    monkeypatch.chdir(tmp_path)
    saved = save(model(), "link.onnx", external_data=True)
    assert saved == [Path("link.onnx"), tmp_path.resolve() / "real" / "m.onnx.data"]


def test_data_of_other_models_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "m.onnx.data").write_bytes(b"somebody else's")
    save(model(), tmp_path / "m.onnx", external_data=True)
    save(model(2), tmp_path / "m.onnx")
    assert files(tmp_path) == ["m.onnx", "m.onnx.1.data", "m.onnx.data"]
    assert (tmp_path / "m.onnx.data").read_bytes() == b"somebody else's"


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failure_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, external: bool, error: BaseException
) -> None:
    path = tmp_path / "m.onnx"
    save(model(1), path, external_data=True)
    before = files(tmp_path)
    changed = model(2)

    def fail(*_: Any) -> None:
        raise error

    if failing == "write":
        monkeypatch.setattr(atomic.StagedFile, "finish", fail)
    else:
        monkeypatch.setattr(os, failing, fail)
    expected = SaveError if isinstance(error, OSError) and failing != "write" else type(error)
    with pytest.raises(expected):
        save(changed, path, external_data=external)
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert weight(load(path)) == 1


@pytest.mark.parametrize("external", [False, True])
def test_failure_between_data_and_model_leaves_the_old_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, external: bool
) -> None:
    path = tmp_path / "m.onnx"
    save(model(1), path, external_data=True)
    before = files(tmp_path)
    replace = os.replace

    def fail_for_the_model(source: str, target: str) -> None:
        if target.endswith(".onnx"):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_for_the_model)
    with pytest.raises(SaveError, match="Input/output error"):
        save(model(2), path, external_data=external)
    monkeypatch.undo()
    assert files(tmp_path) == before
    assert weight(load(path)) == 1


def test_disk_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = textwrap.dedent("""
        import resource, signal, sys
        from graphopt.errors import SaveError
        from graphopt.io import load, save
        model = load(sys.argv[1])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            save(model, sys.argv[2])
        except SaveError as error:
            print(error)
    """)
    save(model(), tmp_path / "m.onnx")
    result = subprocess.run(
        [sys.executable, "-c", limit, tmp_path / "m.onnx", tmp_path / "out.onnx"],
        capture_output=True,
        text=True,
    )
    assert "cannot write" in result.stdout, result.stderr
    assert files(tmp_path) == ["m.onnx"]


def test_termination_cleans_up(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, signal, sys, time
        from graphopt.io import load, save, atomic
        model = load(sys.argv[1])
        def finish(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        atomic.StagedFile.finish = finish
        save(model, sys.argv[2])
    """)
    save(model(), tmp_path / "m.onnx")
    result = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "m.onnx", tmp_path / "out.onnx"], check=False
    )
    assert result.returncode == 128 + signal.SIGTERM
    assert files(tmp_path) == ["m.onnx"]


def test_destinations_that_cannot_be_written(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "nowhere" / "m.onnx", "there is no folder"),
        (tmp_path, "it is a folder"),
        (Path(os.devnull), "not a regular file"),
        (tmp_path / ("n" * 300), "File name too long"),
    ]:
        with pytest.raises(SaveError, match=message) as caught:
            ensure_writable(path)
        assert caught.value.hint
    with pytest.raises(SaveError, match="not a file name"):
        ensure_writable("")
    assert files(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files")
def test_a_folder_that_takes_no_files_need_not_be_created() -> None:
    with pytest.raises(SaveError, match="cannot write") as caught:
        ensure_writable("/proc/x.onnx")
    assert caught.value.hint == "no file can be created there; save to another folder"


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.onnx"
    save(model(), real)
    real.chmod(0o640)
    (tmp_path / "link.onnx").symlink_to("real.onnx")
    save(model(2), tmp_path / "link.onnx")
    assert (tmp_path / "link.onnx").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert weight(load(real)) == 2


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "m.onnx").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_before_ir_version_4_free_initializers_become_constants(tmp_path: Path) -> None:
    old = model(ir_version=3)
    old.graph.inputs.append(old.graph.initializers["v"])
    save(old, tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    assert [tensor.name for tensor in proto.graph.initializer] == ["v"]
    assert [node.op_type for node in proto.graph.node] == ["Constant", "Add", "Mul"]
    assert [info.name for info in proto.graph.input] == ["x", "v"]
    onnx.checker.check_model(proto, full_check=True)


def test_notes_of_analysis_are_not_written(tmp_path: Path) -> None:
    noted = model()
    for value in (noted.graph.inputs[0], noted.graph.node(0).outputs[0]):
        value.metadata_props["pkg.onnx_shape_inference.sym_data"] = "[1]"
        value.metadata_props["mine"] = "kept"
    save(noted, tmp_path / "m.onnx")
    data = (tmp_path / "m.onnx").read_bytes()
    assert b"sym_data" not in data
    assert data.count(b"mine") == 2


def test_claims_about_initializers_are_not_written(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx")
    assert [info.name for info in onnx.load(tmp_path / "m.onnx").graph.value_info] == []


def test_data_that_is_gone(tmp_path: Path) -> None:
    save(model(), tmp_path / "m.onnx", external_data=True)
    loaded = load(tmp_path / "m.onnx")
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(SaveError, match=r"m\.onnx\.data' was changed or removed"):
        save(loaded, tmp_path / "copy.onnx")
    assert files(tmp_path) == ["m.onnx"]


def test_weights_are_streamed(tmp_path: Path) -> None:
    """256 MB of external data are loaded and saved within 32 MB."""
    elements = 64 * 2**20
    proto = ir.to_proto(model())
    weights = proto.graph.initializer[0]
    weights.CopyFrom(onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[elements]))
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="w.bin")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with open(tmp_path / "w.bin", "wb") as file:
        file.truncate(4 * elements)
    script = textwrap.dedent("""
        import resource, sys
        from graphopt.io import load, save
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        save(load(sys.argv[1]), sys.argv[2])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    command = [sys.executable, "-c", script, str(tmp_path / "m.onnx"), str(tmp_path / "out.onnx")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 32 * 1024  # kB
    assert (tmp_path / "out.onnx.data").stat().st_size == 4 * elements
