"""The contenders: implementations of the same optimizer, and the floor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from schuss.cli.bench.cases import ADAMW, Case
from schuss.cli.bench.workloads import Workload, parameters
from schuss.cli.devices import CPU
from schuss.registry import create_optimizer
from schuss.transforms import EMA, ClipByGlobalNorm

_NORM: Final = 1.0
"""The global norm that the chains clip the gradients to."""
_DECAY: Final = 0.999
"""The decay rate of the mean of weights that the chains keep."""

Params: TypeAlias = Sequence[nn.Parameter]


class NotAvailableError(RuntimeError):
    """A contender cannot take part here; the message says why."""


class Steps(Protocol):
    """An object that can take a step: an optimizer, or a stand-in for one."""

    def step(self) -> object:
        """Take a step."""


@dataclass(frozen=True)
class Contender:
    """An implementation.

    Attributes:
        name: Its name on the command line.
        title: Its name in prose.
        build: Returns it for parameters and a case; raises `NotAvailableError`.
        on_demand: Whether it takes part only if it is asked for.
    """

    name: str
    title: str
    build: Callable[[Params, Case], Steps]
    on_demand: bool = False


TORCH_FUSED: Final = "torch-fused"
TORCH_COMPILE: Final = "torch-compile"
OUR_FUSED: Final = "schuss-fused"
OUR_ADAMW: Final = "schuss-adamw"
TORCH_CHAIN: Final = "torch-chain"
OUR_CHAIN: Final = "schuss-chain"
FLOOR: Final = "floor"

_ALIASES: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {"amsgrad": ("adam", {"amsgrad": True})}
"""Optimizers that torch has under another name."""


def _torch(params: Params, case: Case, **form: Any) -> torch.optim.Optimizer:
    name, options = _ALIASES.get(case.name, (case.name, {}))
    classes = {key.lower(): getattr(torch.optim, key) for key in torch.optim.__all__}
    if name not in classes:
        raise NotAvailableError(f"torch.optim has no {case.name}")
    for key in form:
        if key not in inspect.signature(classes[name]).parameters:
            raise NotAvailableError(f"torch's {classes[name].__name__} has no option {key}")
    optimizer: torch.optim.Optimizer = classes[name](
        params, **options, **case.hyperparameters, **form
    )
    return optimizer


@dataclass(frozen=True)
class _Compiled:
    step: Callable[[], object]


def _torch_compiled(params: Params, case: Case) -> _Compiled:
    optimizer = _torch(params, case, foreach=True, capturable=True)
    for group in optimizer.param_groups:
        # As a number it would be part of the compiled program, and a schedule compile it anew.
        group["lr"] = torch.tensor(group["lr"], device=params[0].device)
    return _Compiled(torch.compile(optimizer.step))


def _labml(params: Params, case: Case) -> Steps:
    try:
        from labml_nn.optimizers import WeightDecay
        from labml_nn.optimizers.adam import Adam
    except ModuleNotFoundError as error:
        raise NotAvailableError(f"{error.name} is not installed") from None
    options = {"weight_decay": 0.01, "eps": 1e-8, **case.hyperparameters}
    decay = WeightDecay(options.pop("weight_decay"))
    optimizer: Steps = Adam(params, weight_decay=decay, **options)
    return optimizer


def _pytorch_optimizer(params: Params, case: Case) -> Steps:
    try:
        from pytorch_optimizer import AdamC
    except ModuleNotFoundError as error:
        raise NotAvailableError(f"{error.name} is not installed") from None
    # Its AdamW is torch's. AdamC is its own, and does the same but for groups of normalization.
    return AdamC(params, **{"weight_decay": 0.01, **case.hyperparameters})


def _ours(params: Params, case: Case, **form: Any) -> Steps:
    return create_optimizer(case.name, params, **case.hyperparameters, **form)


def _our_adamw(params: Params, case: Case) -> Steps:
    return create_optimizer(ADAMW, params, fused=True)


@dataclass(frozen=True)
class _TorchChain:
    """Clips by the global norm, steps, and takes the weights into a mean: three passes."""

    params: Params
    optimizer: torch.optim.Optimizer
    model: nn.Module
    mean: AveragedModel

    def step(self) -> None:
        nn.utils.clip_grad_norm_(self.params, _NORM)
        self.optimizer.step()
        self.mean.update_parameters(self.model)


def _torch_chain(params: Params, case: Case) -> _TorchChain:
    model = nn.Module()
    for number, param in enumerate(params):
        model.register_parameter(str(number), param)
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(_DECAY))
    return _TorchChain(params, _torch(params, case, fused=True), model, mean)


def _our_chain(params: Params, case: Case) -> Steps:
    return _ours(params, case, fused=True, transforms=[ClipByGlobalNorm(_NORM), EMA(_DECAY)])


def _floor(params: Params, case: Case) -> Steps:
    if params[0].device.type != CPU:
        return _Copy(params, case)
    from schuss.cli.bench.floor import Floor  # which brings the compiler

    return Floor(params, case.states, torch.get_num_threads())


class _Copy:
    """The floor on a device: a copy within its memory that moves as many bytes as a step.

    Attributes:
        tensors: The tensor that is written, and the one that is read.
    """

    def __init__(self, params: Params, case: Case) -> None:
        size = case.bytes(sum(param.numel() for param in params)) // 2
        self.tensors = [
            torch.zeros(size, dtype=torch.uint8, device=params[0].device) for _ in range(2)
        ]

    def step(self) -> None:
        self.tensors[0].copy_(self.tensors[1])


CONTENDERS: Final[Mapping[str, Contender]] = {
    contender.name: contender
    for contender in (
        Contender("torch-loop", "torch loop", partial(_torch, foreach=False)),
        Contender("torch-foreach", "torch foreach", partial(_torch, foreach=True)),
        Contender(TORCH_FUSED, "torch fused", partial(_torch, fused=True)),
        Contender(TORCH_COMPILE, "torch compiled", _torch_compiled, on_demand=True),
        Contender("labml", "labml Adam", _labml),
        Contender("pytorch-optimizer", "pytorch-optimizer AdamC", _pytorch_optimizer),
        Contender("schuss-loop", "schuss loop", partial(_ours, foreach=False)),
        Contender("schuss-foreach", "schuss foreach", partial(_ours, foreach=True)),
        Contender(OUR_FUSED, "schuss fused", partial(_ours, fused=True)),
        Contender(OUR_ADAMW, "schuss fused AdamW", _our_adamw),
        Contender(TORCH_CHAIN, "torch fused, clip, mean", _torch_chain, on_demand=True),
        Contender(OUR_CHAIN, "schuss fused, clip, mean", _our_chain, on_demand=True),
        Contender(FLOOR, "floor", _floor),
    )
}
"""All contenders, in the order of the tables: the values of `--contender`."""

_ADAMW_ONLY: Final = ("labml", "pytorch-optimizer")


def yardsticks(case: Case) -> tuple[str, ...]:
    """Return the contenders that every heat has, because the others are compared with them."""
    return (TORCH_FUSED, our_adamw(case), FLOOR)


def our_adamw(case: Case) -> str:
    """Return the contender whose time for a byte is the measure of the others."""
    return OUR_FUSED if case.name == ADAMW else OUR_ADAMW


def selected(case: Case, asked: Sequence[str]) -> list[str]:
    """Return the names of those that take part in a case, in the order of the tables.

    Args:
        case: The case.
        asked: Those that were asked for; if none, all but those that take part on demand.
    """
    measures = yardsticks(case)
    chosen = []
    for name, contender in CONTENDERS.items():
        wanted = name in asked if asked else not contender.on_demand and name != OUR_ADAMW
        if name in _ADAMW_ONLY and case.name != ADAMW:
            wanted = False
        if wanted or name in measures:
            chosen.append(name)
    return chosen


def prepared(case: Case, workload: Workload, device: str, name: str) -> Callable[[], object]:
    """Return the step of a contender, on parameters of its own on a device.

    Raises:
        NotAvailableError: It cannot take part.
    """
    return CONTENDERS[name].build(parameters(workload, device), case).step
