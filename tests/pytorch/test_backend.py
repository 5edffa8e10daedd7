"""torch.compile(module, backend="graphopt"): the same results as PyTorch's, whatever a graph does."""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from graphopt.compile.backend import part
from graphopt.compile.backend.program import Program


class Runs:
    """Counts what is compiled and run."""

    def __init__(self) -> None:
        self.compiled = 0
        self.run = 0


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    counted = Runs()
    opened, called = Program.__init__, Program.__call__

    def opening(self: Program, *args: Any) -> None:
        counted.compiled += 1
        opened(self, *args)

    def calling(self: Program, args: Any) -> Any:
        counted.run += 1
        return called(self, args)

    monkeypatch.setattr(Program, "__init__", opening)
    monkeypatch.setattr(Program, "__call__", calling)
    return counted


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with torch.no_grad():
            yield


def compiled(module: Any, **options: Any) -> Any:
    return torch.compile(module, backend="graphopt", options={"measure": False, "level": 1, **options})


def same(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class Net(nn.Module):  # type: ignore[misc]
    """A convolution with statistics, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish())
        self.head = nn.Linear(4, 5)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.head(self.stem(image).mean((2, 3)))
        return result


class Of(nn.Module):  # type: ignore[misc]
    """A module around a function."""

    def __init__(self, function: Callable[..., Any], **buffers: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def test_a_whole_module_runs_in_onnxruntime(runs: Runs) -> None:
    module = Net().eval()
    fast = compiled(module, level=2)
    for _ in range(3):
        image = torch.randn(2, 3, 6, 6)
        same(fast(image), module(image))
    assert (runs.compiled, runs.run) == (1, 3)  # the check is a run; the first call is PyTorch's


def test_one_session_serves_all_sizes(runs: Runs) -> None:
    module = Net().eval()
    fast = torch.compile(module, backend="graphopt", dynamic=True, options={"measure": False, "level": 1})
    for batch, side in ((2, 6), (3, 9), (5, 7)):
        image = torch.randn(batch, 3, side, side)
        same(fast(image), module(image))
    assert (runs.compiled, runs.run) == (1, 3)


def test_marked_dimensions_are_free(runs: Runs) -> None:
    fast = compiled(Of(lambda self, x: (x @ x.mT, x.shape[0] * 2)))
    for batch in (3, 4, 6):
        x = torch.randn(batch, 2, 5)
        torch._dynamo.mark_dynamic(x, 0)
        result, size = fast(x)
        same(result, x @ x.mT)
        assert size == batch * 2
    assert runs.compiled == 1


def test_results_keep_their_structure(runs: Runs) -> None:
    def nested(self: Any, x: Tensor, scale: int) -> Any:
        y = x.exp() * scale
        return {"a": [y, None], "b": (y, scale), "c": x.new_zeros(())}

    module = Of(nested)
    x = torch.randn(3)
    fast = compiled(module)
    fast(x, 2)
    found, expected = fast(x, 2), module(x, 2)
    same(found["a"][0], expected["a"][0])
    assert found["a"][1] is None and found["b"][1] == 2 and found["c"].shape == ()
    assert found["a"][0] is found["b"][0]
    assert runs.run > 0


def test_results_share_memory_as_in_pytorch(runs: Runs) -> None:
    def shared(self: Any, x: Tensor) -> Any:
        y = x.exp()
        left, right = y.chunk(2, 1)
        return x, x.view(-1)[2:], left, right, y.sum()

    module = Of(shared)
    fast = compiled(module)
    fast(torch.randn(2, 4))
    x = torch.randn(2, 4)
    same_x, tail, left, right, total = fast(x)
    assert same_x is x and tail.data_ptr() == x.view(-1)[2:].data_ptr()
    same((left, right, total), module(x)[2:])
    assert left.untyped_storage().data_ptr() == right.untyped_storage().data_ptr()
    assert runs.run > 0


def test_arguments_and_buffers_are_written_to(runs: Runs) -> None:
    def count(self: Any, x: Tensor) -> Any:
        self.seen += x.sum(0)
        x.mul_(2)
        return x + self.seen, x

    fast, slow = (Of(count, seen=torch.zeros(3)) for _ in range(2))
    run = compiled(fast)
    for _ in range(3):
        x = torch.randn(2, 3)
        other = x.clone()
        found, argument = run(x)
        same(found, slow(other)[0])
        same((x, fast.seen), (other, slow.seen))
        assert argument is x
    assert runs.run > 0


def test_gradients_are_pytorchs(runs: Runs) -> None:
    module, twin = Net(), Net()
    twin.load_state_dict(module.state_dict())
    fast = compiled(module)
    image = torch.randn(2, 3, 6, 6)
    with torch.enable_grad():
        with pytest.warns(UserWarning, match=r"forward \(test_backend.py:\d+\).*: gradients are needed"):
            fast(image).square().sum().backward()
        twin(image).square().sum().backward()
    same([p.grad for p in module.parameters()], [p.grad for p in twin.parameters()])
    module.eval()
    twin.eval()
    fast(image)
    same(fast(image), twin(image))
    assert runs.compiled == 1


def test_buffers_of_a_sequence_are_written_by_number(runs: Runs) -> None:
    """Their paths begin with a digit, which no argument's name does."""
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)).train()
    twin = copy.deepcopy(module)
    fast = compiled(module)
    x = torch.randn(3, 4)
    with torch.no_grad():
        for _ in range(2):
            same(fast(x), twin(x))
    same(module[1].running_mean, twin[1].running_mean)
    assert runs.run > 0


def test_training_mode_is_right(runs: Runs) -> None:
    module = Net()
    twin = copy.deepcopy(module)
    fast = compiled(module)
    for _ in range(3):
        image = torch.randn(2, 3, 6, 6)
        same(fast(image), twin(image))
        same(dict(module.named_buffers()), dict(twin.named_buffers()))
    assert runs.run > 0


def test_random_numbers_are_pytorchs(runs: Runs) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    fast = compiled(module)
    x = torch.randn(2, 3)
    with pytest.warns(UserWarning, match="random numbers"):
        fast(x)
    torch.manual_seed(3)
    found = fast(x)
    torch.manual_seed(3)
    same(found, module(x))
    assert runs.run == 0


def test_what_cannot_be_translated_is_named(runs: Runs) -> None:
    module = Of(lambda self, x: torch.linalg.eigvalsh(x @ x.mT))
    fast = compiled(module)
    x = torch.randn(3, 3)
    with pytest.warns(UserWarning, match="runs as PyTorch runs it: .*eigh|linalg"):
        same(fast(x), module(x))
    same(fast(x), module(x))
    assert runs.run == 0


def write_in_place(module: Net) -> None:
    module.head.weight.add_(1)


def write_through_data(module: Net) -> None:
    module.head.weight.data.add_(1)


def load_others(module: Net) -> None:
    module.load_state_dict(Net().state_dict())


def replace_data(module: Net) -> None:
    module.head.weight.data = torch.ones(5, 4)


def test_changed_weights_are_seen(runs: Runs) -> None:
    module = Net().eval()
    fast = compiled(module)
    image = torch.randn(2, 3, 6, 6)
    fast(image)
    for times, change in enumerate((write_in_place, write_through_data, load_others, replace_data), 2):
        fast(image)
        change(module)
        same(fast(image), module(image))
        same(fast(image), module(image))
        assert runs.compiled == times


def test_weights_that_keep_changing_are_left_to_pytorch(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "MOST_COMPILATIONS", 2)
    module = Net().eval()
    fast = compiled(module)
    image = torch.randn(2, 3, 6, 6)
    for _ in range(2):
        fast(image)
        write_in_place(module)
    with pytest.warns(UserWarning, match="keep changing"):
        same(fast(image), module(image))
    assert runs.compiled == 2


def test_weights_are_not_kept_alive(runs: Runs) -> None:
    module = Net().eval()
    fast = compiled(module)
    image = torch.randn(2, 3, 6, 6)
    fast(image), fast(image)
    weight = weakref.ref(module.head.weight)
    del fast, module
    gc.collect()
    assert weight() is None


def test_graph_breaks(runs: Runs) -> None:
    def broken(self: Any, x: Tensor) -> Tensor:
        y = torch.relu(x @ x.mT)
        torch._dynamo.graph_break()
        return torch.sigmoid(y @ x)

    module = Of(broken)
    fast = compiled(module)
    x = torch.randn(3, 4)
    fast(x)
    same(fast(x), module(x))
    assert runs.compiled == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.int32, torch.uint8, torch.bool])
def test_types(dtype: torch.dtype, runs: Runs) -> None:
    def both(self: Any, x: Tensor) -> Any:
        return torch.cat([x, x.flip(0)]), x[0] != x[1], x.T.reshape(-1)[0], x.to(torch.float32)

    module = Of(both)
    fast = compiled(module)
    x = (torch.randn(3, 4) * 3).to(dtype)
    fast(x)
    torch.testing.assert_close(fast(x), module(x))
    assert runs.run > 0


def test_a_type_that_onnxruntime_lacks_is_left_to_pytorch(runs: Runs) -> None:
    module = Of(lambda self, x: x + x)
    x = torch.ones(3, dtype=torch.bfloat16)
    with pytest.warns(UserWarning, match="could not load the model, at Add"):
        same(compiled(module)(x), x + x)


def test_odd_tensors(runs: Runs) -> None:
    module = Of(lambda self, x, y, n: x.cos() * y + n)
    fast = compiled(module)
    with torch.inference_mode():
        for x in (torch.randn(4, 3).T, torch.randn(4, 1).expand(4, 4)[1:], torch.randn(3, 8)[:, ::2]):
            y = torch.tensor(2.5)
            for _ in range(2):
                same(fast(x, y, 3), module(x, y, 3))
    assert runs.run > 0


def test_attention_of_pytorchs_fast_path(runs: Runs) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
    module = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    fast = compiled(module)
    x = torch.randn(2, 5, 8)
    hidden = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    fast(x, src_key_padding_mask=hidden)
    same(fast(x, src_key_padding_mask=hidden), module(x, src_key_padding_mask=hidden))
    assert runs.run > 0


def test_a_graph_that_onnxruntime_runs_slower_is_left_to_pytorch(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "race", lambda *_: 1.2)
    module = Net().eval()
    fast = compiled(module, measure=True)
    image = torch.randn(2, 3, 6, 6)
    fast(image)
    before = runs.run
    same(fast(image), module(image))
    assert runs.run == before


def test_threads_are_pytorchs(runs: Runs) -> None:
    threads = torch.get_num_threads()
    fast = compiled(Net().eval())
    image = torch.randn(2, 3, 6, 6)
    first = fast(image)
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        same(fast(image), first)
    finally:
        torch.set_num_threads(threads)


def test_unknown_options_are_named() -> None:
    with pytest.raises(Exception, match=r"no option 'levle'"):
        torch.compile(Net().eval(), backend="graphopt", options={"levle": 1})(torch.randn(1, 3, 6, 6))
    with pytest.raises(Exception, match=r"no mode 'max-autotune'"):
        torch.compile(Net().eval(), backend="graphopt", mode="max-autotune")(torch.randn(1, 3, 6, 6))


def test_the_backend_is_found_by_name() -> None:
    assert "graphopt" in torch._dynamo.list_backends()
