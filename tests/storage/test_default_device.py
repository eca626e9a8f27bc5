"""No step depends on torch's default device and dtype: what makes a tensor names both."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils._device import _device_constructors

import schuss
from schuss.storage import halves
from schuss.storage.codecs import CODECS, policy

SOURCES = Path(schuss.__file__).parent
MAKING = {function.__name__ for function in _device_constructors()}
"""The functions of torch that put a tensor on the default device."""

ELSEWHERE = {
    "torch_layout.py": "its tensors are made within `with torch.device('cpu')`, whatever the dtype",
    "adagrad.py": "a sparse tensor is where its values are, and of their dtype",
}


def undecided(path: Path) -> Iterator[str]:
    """Yield the calls in a file that leave a device or a dtype to torch's defaults."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        named = {keyword.arg for keyword in node.keywords}
        is_making = ast.unparse(node.func.value) == "torch" and node.func.attr in MAKING
        if is_making and not {"device", "dtype"} <= named:
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def test_whatever_makes_a_tensor_names_its_device_and_its_dtype() -> None:
    paths = [path for path in SOURCES.rglob("*.py") if "cli" not in path.parts]
    found = [call for path in paths if path.name not in ELSEWHERE for call in undecided(path)]
    assert found == []


def test_a_call_that_leaves_something_open_is_found(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("torch.zeros(2, dtype=x)\ntorch.ones(2, device=y, dtype=x)\n")
    assert [call.split(": ")[1] for call in undecided(source)] == ["torch.zeros(2, dtype=x)"]


@contextmanager
def by_default(device: str | None, dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_device(device)
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)


OPTIMIZERS = {
    "AdamW": partial(schuss.AdamW, lr=0.1),
    "Prodigy": schuss.Prodigy,
    "codes": partial(schuss.Lion, lr=0.1, state_storage={"*": "dynamic8"}),
    "few codes": partial(schuss.AdamW, lr=0.1, state_storage="4bit"),
    "GaLore": partial(schuss.AdamW, lr=0.1, transforms=(schuss.GaLore(2, 3),)),
    "APOLLO": partial(schuss.AdamW, lr=0.1, transforms=(schuss.APOLLO(2, 3),)),
    "noise": partial(
        schuss.SGD, lr=0.1, transforms=(schuss.GradientNoise(0.1), schuss.ClipByGlobalNorm(1.0))
    ),
}
ENGINES = {"automatic": {}, "loop": {"foreach": False}}


def path(create, engine: dict[str, bool]) -> Sequence[Tensor]:
    """Return parameters after five steps, with a checkpoint in between."""
    cpu = torch.device("cpu")
    starts = [torch.arange(n, dtype=torch.float32, device=cpu).cos() for n in (24, 8)]
    params = [nn.Parameter(starts[0].view(6, 4).t()), nn.Parameter(starts[1][::2])]
    torch.manual_seed(0)
    optimizer = create(params, **engine)
    for step in range(5):
        for param in params:
            param.grad = (param.detach() * 3 + step).cos()
        optimizer.step()
        if step == 3:
            optimizer.load_state_dict(optimizer.state_dict())
    return params


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_ignores_the_default_device(name, engine, monkeypatch) -> None:
    monkeypatch.setattr(policy, "SMALLEST", 2)
    expected = path(OPTIMIZERS[name], ENGINES[engine])
    with by_default("meta", torch.float32):
        found = path(OPTIMIZERS[name], ENGINES[engine])
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", CODECS)
def test_codes_ignore_the_default_dtype(name, dtype) -> None:
    codec = CODECS[name]
    numbers = torch.linspace(-3.0, 5.0, 1000, dtype=torch.float32)
    codes, scales = codec.encoded(numbers)
    expected = codec.decoded(codes, scales, numbers.shape)
    with by_default(None, dtype):
        assert torch.equal(codec.encoded(numbers)[0], codes)
        found = codec.decoded(codes, scales, numbers.shape)
    assert found.dtype is torch.float32
    assert torch.equal(found, expected)


def test_random_rounding_counts_steps_exactly() -> None:
    numbers = torch.linspace(1, 2, 999, dtype=torch.float32)
    late = 2.0**24 + 1
    expected = halves.FUNCTIONS["stochastic"](numbers, 3.0, torch.tensor(late, dtype=torch.float64))
    assert torch.equal(halves.FUNCTIONS["stochastic"](numbers, 3.0, late), expected)
    with by_default("meta", torch.bfloat16):
        assert torch.equal(halves.FUNCTIONS["stochastic"](numbers, 3.0, late), expected)
