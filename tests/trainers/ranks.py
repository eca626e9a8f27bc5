"""What two processes do with sharded parameters; `test_ranks.py` looks at what they found."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own use of torch.jit
    from torch.distributed.optim import ZeroRedundancyOptimizer

import schuss
from schuss import EMA, SAM, SGD, AdamW, ClipByGlobalNorm, Optimizer, Prodigy, SkipNonFinite
from tests.trainers import codes

RANKS = 2
Create = Callable[[list[nn.Parameter]], Optimizer]

# The last layer has one row: the second rank has nothing of it.
SIZES = (6, 5, 3, 1)
INPUTS = torch.linspace(-1, 1, 48).reshape(8, 6).mul(9).sin()
TARGETS = torch.linspace(0, 3, 8).reshape(8, 1)

RATES = ("adamw", "sgd", "lamb", "adafactor", "came", "sm3", "novograd")
DISTANCES = ("prodigy", "dadaptadam", "dadaptlion", "dadaptsgd")
SHARDED: dict[str, Create] = {
    **{name: partial(schuss.create_optimizer, name, lr=0.01) for name in RATES},
    **{name: partial(schuss.create_optimizer, name, d0=0.01) for name in DISTANCES},
    "dog": partial(schuss.DoG, reps_rel=0.01),
    "ldog": partial(schuss.LDoG, reps_rel=0.01),
    "clipped": lambda params: AdamW(params, lr=0.01, transforms=[ClipByGlobalNorm(0.01)]),
    "half": partial(schuss.Adafactor, lr=0.01, master_weights=True),
    "half, kahan": partial(AdamW, lr=0.01, rounding="kahan"),
    "half, stochastic": partial(AdamW, lr=0.01, rounding="stochastic"),
}
RESUMED: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adamw": (AdamW, {}),
    "lamb": (schuss.LAMB, {}),
    "adafactor": (schuss.Adafactor, {}),
    "schedule-free": (schuss.AdamWScheduleFree, {}),
    "mean": (AdamW, {"transforms": [EMA(0.9)]}),
    "codes": (AdamW, {"state_storage": "8bit"}),
}
WIDE = (6, 700, 1)
"""The sizes of a network with so many numbers in a parameter that their state is encoded."""


def network(dtype: torch.dtype = torch.float32, sizes: tuple[int, ...] = SIZES) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for into, out in pairwise(sizes):
        layers += [nn.Linear(into, out), nn.Tanh()]
    return nn.Sequential(*layers[:-1]).to(dtype)


def learn(model: nn.Module, rows: slice) -> None:
    dtype = next(model.parameters()).dtype
    (model(INPUTS[rows].to(dtype)) - TARGETS[rows]).square().mean().backward()


def trained(model: nn.Module, create: Create, rows: slice) -> Optimizer:
    optimizer = create(list(model.parameters()))
    for _ in range(3):
        optimizer.zero_grad()
        learn(model, rows)
        optimizer.step()
    return optimizer


def place(params: Any) -> Tensor:
    whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in params]
    return torch.cat([p.detach().float().flatten() for p in whole])


def error(create: Callable[[], Any]) -> str:
    try:
        create()
    except RuntimeError as found:
        return str(found)
    return "none"


class Rank:
    """One of the processes."""

    def __init__(self, rank: int, folder: str) -> None:
        self.rank = rank
        self.folder = folder
        self.rows = slice(4 * rank, 4 * rank + 4)
        self.mesh = init_device_mesh("cpu", (RANKS,))

    def sharded(self, dtype: torch.dtype = torch.float32) -> nn.Sequential:
        model = network(dtype)
        fully_shard(model, mesh=self.mesh)
        return model

    def step_as_one(self, name: str) -> dict[str, Any]:
        """Train sharded on half of the rows each, and alone on all of them; then resume."""
        dtype = torch.bfloat16 if name.startswith("half") else torch.float32
        model, alone = self.sharded(dtype), network(dtype)
        start = place(alone.parameters())
        optimizer = trained(model, SHARDED[name], self.rows)
        expected = trained(alone, SHARDED[name], slice(8))
        numbers, theirs = (
            {k: v for k, v in each.param_groups[0].items() if isinstance(v, float)}
            for each in (optimizer, expected)
        )
        ours = place(model.parameters())
        again = self.sharded(dtype)
        again.load_state_dict(model.state_dict())
        resumed = SHARDED[name](list(again.parameters()))
        resumed.load_state_dict(optimizer.state_dict())
        for each, of_it in ((model, optimizer), (again, resumed)):
            of_it.zero_grad()
            learn(each, self.rows)
            of_it.step()
        places = {"start": start, "place": ours, "expected": place(alone.parameters())}
        ends = {"end": place(model.parameters()), "resumed": place(again.parameters())}
        return {**places, **ends, "numbers": numbers, "expected_numbers": theirs}

    def skip(self) -> Tensor:
        """Take a step with a NaN in the gradient of one rank; return how all have moved."""
        model = self.sharded()
        before = place(model.parameters())
        optimizer = SGD(model.parameters(), lr=0.1, transforms=[SkipNonFinite()])
        learn(model, self.rows)
        if self.rank == 1:
            grad: Any = model[0].weight.grad
            grad.to_local()[0, 0] = float("nan")
        optimizer.step()
        return place(model.parameters()) - before

    def clip_beside_plain(self) -> list[float]:
        """Clip a DTensor and a plain parameter together; return what is left of a gradient."""
        from torch.distributed.tensor import Shard, distribute_tensor

        sharded = nn.Parameter(distribute_tensor(torch.zeros(2), self.mesh, [Shard(0)]))
        plain = nn.Parameter(torch.zeros(1))
        sharded.grad = distribute_tensor(torch.tensor([4.0, 4.0]), self.mesh, [Shard(0)])
        plain.grad = torch.tensor([7.0])
        SGD([sharded, plain], lr=1.0, transforms=[ClipByGlobalNorm(0.9)]).step()
        return place([sharded, plain]).tolist()

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Return the mean and what is trained after it, of sharded parameters."""
        model = self.sharded()
        optimizer = trained(model, lambda p: AdamW(p, lr=0.01, transforms=[EMA(0.5)]), self.rows)
        optimizer.eval()
        mean = place(model.parameters())
        optimizer.train()
        return mean, place(model.parameters())

    def resume(self, name: str) -> dict[str, Tensor]:
        """Train with ZeRO, in one go and from a checkpoint after two steps."""

        def create(model: nn.Module) -> Any:
            made, options = RESUMED[name]
            return ZeroRedundancyOptimizer(model.parameters(), made, lr=0.01, **options)

        def train(model: nn.Module, optimizer: Any) -> None:
            for _ in range(2):
                optimizer.zero_grad()
                learn(model, slice(8))
                optimizer.step()

        whole, resumed = (network(sizes=WIDE if name == "codes" else SIZES) for _ in range(2))
        optimizer = create(whole)
        train(whole, optimizer)
        optimizer.consolidate_state_dict(to=0)
        saved = [copy.deepcopy(optimizer.state_dict()) if self.rank == 0 else None]
        dist.broadcast_object_list(saved, src=0)
        resumed.load_state_dict(whole.state_dict())
        train(whole, optimizer)
        again = create(resumed)
        again.load_state_dict(saved[0])
        train(resumed, again)
        return {"whole": place(whole.parameters()), "resumed": place(resumed.parameters())}

    def parts_of_sums(self) -> dict[str, str]:
        """Return the errors of optimizers that would know the sums of their own parts only."""
        params = list(network().parameters())
        flat = FullyShardedDataParallel(network(), device_id=torch.device("cpu"))
        clip, climb = [ClipByGlobalNorm()], [SAM()]
        return {
            "prodigy": error(lambda: ZeroRedundancyOptimizer(params, Prodigy)),
            "clipped": error(lambda: ZeroRedundancyOptimizer(params, AdamW, transforms=clip)),
            "sharpness": error(lambda: ZeroRedundancyOptimizer(params, AdamW, transforms=climb)),
            "flattened": error(lambda: AdamW(flat.parameters(), transforms=clip)),
            "without sums": error(lambda: AdamW(flat.parameters())),
        }

    def findings(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "sharded": {name: self.step_as_one(name) for name in SHARDED},
            "skip": self.skip(),
            "beside plain": self.clip_beside_plain(),
            "evaluate": self.evaluate(),
            "resumed": {name: self.resume(name) for name in RESUMED},
            "parts": self.parts_of_sums(),
            "codes": {n: codes.findings(self.folder, n, self.mesh) for n in codes.CASES},
        }


def work(rank: int, folder: str) -> None:
    """Be one of the processes, and leave in a file what was found."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # that DTensors are stepped on the loop
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=RANKS)
    torch.save(Rank(rank, folder).findings(), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
