"""State in codes beside sharded parameters: what two processes keep, save and load."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

from schuss import AdamW
from schuss.storage.codecs import Encoded

CASES: dict[str, tuple[Any, torch.dtype]] = {
    "8 bits": ("8bit", torch.float32),
    "4 bits, 24 bits": ("4bit", torch.bfloat16),
    # Whose blocks shrink when they are encoded anew.
    "dynamic": ({"exp_avg": "dynamic8", "exp_avg_sq": "udynamic8"}, torch.float32),
}
"""How state is kept, and in which precision weights are."""

FORMS = {
    "sharded": StateDictOptions(),
    "full": StateDictOptions(full_state_dict=True),
    "flat": StateDictOptions(flatten_optimizer_state_dict=True),
}

# 33 rows, of which one rank has 17 and the other 16, each of whole blocks of any codec.
INPUTS = torch.linspace(-1, 1, 4 * 256).reshape(4, 256).mul(9).sin()


def network(mesh: DeviceMesh | None, dtype: torch.dtype) -> nn.Sequential:
    torch.manual_seed(0)
    # The rows of the second matrix are not made of whole blocks.
    model = nn.Sequential(nn.Linear(256, 33), nn.Tanh(), nn.Linear(33, 128, bias=False)).to(dtype)
    if mesh is not None:
        fully_shard(model, mesh=mesh)
    return model


def optimizer_of(model: nn.Module, storage: Any) -> AdamW:
    half = next(model.parameters()).dtype is torch.bfloat16
    options = {"master_weights": 24} if half else {}
    return AdamW(model.parameters(), lr=0.01, state_storage=storage, foreach=False, **options)


def step(model: nn.Module, optimizer: AdamW, number: int) -> None:
    """Take a step with gradients that are the same on all ranks, and in one process."""
    params = list(model.parameters())
    torch.manual_seed(number)
    for param in params:
        grad = torch.randn(param.shape).to(param.dtype)
        param.grad = grad if type(param) is nn.Parameter else _divided(grad, param)
    optimizer.step()


def _divided(grad: Tensor, param: Any) -> Tensor:
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(grad, param.device_mesh, param.placements)


def whole(tensor: Any) -> Tensor:
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def kept(model: nn.Module, optimizer: AdamW) -> list[tuple[str, Tensor]]:
    """Return parameters, and what their states consist of, all of it on every rank."""
    found = []
    for name, param in model.named_parameters():
        found.append((name, whole(param)))
        for key, value in optimizer.state[param].items():
            if isinstance(value, Encoded):
                parts = {"codes": value.codes, "scales": value.scales}
                found += [(f"{name} {key} {k}", whole(x)) for k, x in parts.items()]
            elif isinstance(value, Tensor):
                found.append((f"{name} {key}", whole(value)))
    return found


def findings(folder: str, name: str, mesh: DeviceMesh) -> dict[str, Any]:
    """Train sharded and alone, and load checkpoints of both into others, shared in other ways."""
    storage, dtype = CASES[name]
    first, alone = network(mesh, dtype), network(None, dtype)
    optimizer, expected = (optimizer_of(model, storage) for model in (first, alone))
    for number in range(3):
        step(first, optimizer, number)
        step(alone, expected, number)
    found: dict[str, Any] = {"ours": kept(first, optimizer), "alone": kept(alone, expected)}
    for form, options in FORMS.items():
        saved = copy.deepcopy(get_optimizer_state_dict(first, optimizer, options=options))
        second = network(mesh, dtype)
        second.load_state_dict(first.state_dict())
        other = optimizer_of(second, storage)
        set_optimizer_state_dict(second, other, saved, options=options)
        found[form] = kept(second, other)
    of_one = network(mesh, dtype)
    of_one.load_state_dict(first.state_dict())
    other = optimizer_of(of_one, storage)
    other.load_state_dict(expected.state_dict())
    found["of one process"] = kept(of_one, other)
    # Files, read by ranks in another mesh.
    place = f"{folder}/{name}"
    checkpoint.save(_both(first, optimizer), checkpoint_id=place)
    names = "replicas", "parts"
    of_another = init_device_mesh("cpu", (1, dist.get_world_size()), mesh_dim_names=names)
    third = network(of_another, dtype)
    other = optimizer_of(third, storage)
    into = _both(third, other)
    checkpoint.load(into, checkpoint_id=place)
    set_state_dict(third, other, model_state_dict=into["model"], optim_state_dict=into["state"])
    found["file"] = kept(third, other)
    return found


def _both(model: nn.Module, optimizer: AdamW) -> dict[str, Any]:
    return dict(zip(("model", "state"), get_state_dict(model, optimizer), strict=True))
