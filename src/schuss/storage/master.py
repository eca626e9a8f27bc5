"""Weights in half precision, and what is kept beside them so that small updates are not lost.

A bfloat16 weight near 1 cannot move by less than 0.004, so an update of 0.001 is rounded away, a
thousand times in a row. There are four cures. With each, the rule sees the weight and its state in
float32, and only the weight is in half precision when a step is over:

- The *master weight*, the weight in float32. A parameter in bfloat16 is the upper half of it, and
  the state keeps the lower half, a remainder of 16 bits. A parameter in float16 has other digits,
  so the state keeps all of its master, 32 bits.
- A master weight of 24 bits: the same with a remainder of 8.
- *Kahan summation*: what was lost when the weight was rounded is kept in bfloat16, and added to the
  weight in the next step.
- *Stochastic rounding*: the weight is rounded up or down at random, so that it is right on average.
  Nothing is kept beside it but two counts.

Micikevicius et al., *Mixed Precision Training*, 2018, section 3.1.
<https://arxiv.org/abs/1710.03740>
Zamirai et al., *Revisiting BFloat16 Training*, 2020, on the latter two.
<https://arxiv.org/abs/2010.06192>
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from schuss.contract import Group, State
from schuss.storage.halves import COMPARISONS, FUNCTIONS, JOINS, LOWERS, ROUNDINGS, UPPERS
from schuss.storage.kinds import CODES, KIND_OF, KINDS
from schuss.storage.precision import HALF

KEY = "master_param"
"""The key of a master weight in float32. Older checkpoints have one beside bfloat16 too."""
REMAINDER = "master_remainder"
"""The key of the lower half of a master weight."""
COMPENSATION = "kahan_compensation"
"""The key of what was lost in rounding."""
STREAM, STEP = "rounding_stream", "rounding_step"
"""The keys of two counts: random bits belong to the stream of a parameter, and to a step."""
KEYS = (KEY, REMAINDER, COMPENSATION, STREAM, STEP)
"""All keys of what is kept beside weights. Rules do not read them."""

Apply: TypeAlias = Callable[..., Any]
"""Applies an operation of `storage.halves`, given by its name, to tensors or to stand-ins."""


class Weights(Protocol):
    """A way to keep the weight of one parameter in half precision."""

    def is_kept(self, state: State) -> bool:
        """Tell whether a state has what is kept in this way."""

    def begin(self, state: State, param: Tensor, stream: int) -> None:
        """Put into a state what is kept beside a weight that is in half precision already."""

    def read(self, apply: Apply, kept: State, param: Any) -> Any:
        """Return the weight in float32, which a rule may write into."""

    def write(self, apply: Apply, kept: State, param: Any, weight: Any) -> None:
        """Keep a weight."""


class Master(NamedTuple):
    """The weight is kept in float32, and the parameter is it, rounded.

    Where the master rounds to the parameter, the parameter is as the last step left it. Elsewhere
    it was written from outside (loaded weights, pruning, averaging), and wins.
    """

    kind: str

    def is_kept(self, state: State) -> bool:
        """Tell whether there is a master."""
        return KEY in state

    def begin(self, state: State, param: Tensor, stream: int) -> None:
        """Keep a copy in float32."""
        state[KEY] = param.detach().float()

    def read(self, apply: Apply, kept: State, param: Any) -> Any:
        """Return the master, with the numbers of the parameter that were written from outside."""
        master = kept[KEY]
        untouched = apply(ROUNDINGS[self.kind], master, param)
        return master.copy_(torch.where(untouched, master, param))

    def write(self, apply: Apply, kept: State, param: Any, weight: Any) -> None:
        """Round the master into the parameter."""
        kept[KEY].copy_(weight)
        param.copy_(weight)


class Remainder(NamedTuple):
    """The parameter is the weight rounded to bfloat16, and the remainder is the rest of it."""

    kind: str

    def is_kept(self, state: State) -> bool:
        """Tell whether there is a remainder of this kind."""
        return REMAINDER in state and state[REMAINDER].dtype is KINDS[self.kind].dtype

    def begin(self, state: State, param: Tensor, stream: int) -> None:
        """Begin with nothing that remains."""
        state[REMAINDER] = _zeros(param, KINDS[self.kind].dtype)

    def read(self, apply: Apply, kept: State, param: Any) -> Any:
        """Join parameter and remainder."""
        return apply(JOINS[self.kind], param, kept[REMAINDER])

    def write(self, apply: Apply, kept: State, param: Any, weight: Any) -> None:
        """Divide the weight into both."""
        kept[REMAINDER].copy_(apply(LOWERS[self.kind], weight))
        param.copy_(apply(UPPERS[self.kind], weight))


class Kahan:
    """The loss of a rounding is kept in bfloat16, and given back to the weight in the next step."""

    def is_kept(self, state: State) -> bool:
        """Tell whether there is a compensation."""
        return COMPENSATION in state

    def begin(self, state: State, param: Tensor, stream: int) -> None:
        """Begin with no loss."""
        state[COMPENSATION] = _zeros(param, param.dtype)

    def read(self, apply: Apply, kept: State, param: Any) -> Any:
        """Give back what was lost."""
        return param.float() + kept[COMPENSATION].float()

    def write(self, apply: Apply, kept: State, param: Any, weight: Any) -> None:
        """Round, and keep what is lost."""
        rounded = apply(UPPERS["int16"], weight)
        kept[COMPENSATION].copy_(weight - rounded)
        param.copy_(rounded)


class Stochastic:
    """The weight is rounded up or down at random, so that it is right on average."""

    def is_kept(self, state: State) -> bool:
        """Tell whether it is known which random bits come next."""
        return STREAM in state and STEP in state

    def begin(self, state: State, param: Tensor, stream: int) -> None:
        """Note the number of the stream."""
        state[STREAM], state[STEP] = stream, 0

    def read(self, apply: Apply, kept: State, param: Any) -> Any:
        """Return the parameter, of which nothing is kept elsewhere."""
        return param.float()

    def write(self, apply: Apply, kept: State, param: Any, weight: Any) -> None:
        """Round at random."""
        param.copy_(apply("stochastic", weight, kept[STREAM], kept[STEP]))


ROUNDED: dict[str, Weights] = {"kahan": Kahan(), "stochastic": Stochastic()}
"""The ways that the hyper-parameter `rounding` names."""


def weights_of(group: Group, param: Tensor) -> Weights | None:
    """Return how the weight of a parameter is kept; None if it is the parameter alone."""
    if param.dtype not in HALF:
        return None
    if group["master_weights"]:
        if param.dtype is not torch.bfloat16:
            return Master(KIND_OF[param.dtype])
        return Remainder("int8" if group["master_weights"] == 24 else "int16")
    rounding = group.get("rounding")  # which groups of older pickles do not have
    return ROUNDED[rounding] if rounding and param.dtype is torch.bfloat16 else None


def check_weights(group: Group) -> None:
    """Refuse a group that asks for two ways to keep weights.

    Raises:
        ValueError: It does.
    """
    if group["master_weights"] and group.get("rounding"):
        raise ValueError(
            f"master_weights={group['master_weights']} keeps all that rounding="
            f"{group['rounding']!r} would save; leave one of them out"
        )


def check_rounded(group: Group) -> None:
    """Refuse parameters that cannot be rounded as their group asks.

    Raises:
        ValueError: One is in float16.
    """
    if group.get("rounding") and any(p.dtype is torch.float16 for p in group["params"]):
        raise ValueError(
            f"rounding={group['rounding']!r} is for bfloat16, and a parameter is torch.float16; "
            "use master_weights=True for it"
        )


def on_tensors(operation: str, *operands: Any) -> Tensor:
    """Apply an operation of `storage.halves` to tensors."""
    return (FUNCTIONS.get(operation) or COMPARISONS[operation])(*operands)


def weight_of(state: State, param: Tensor) -> Tensor:
    """Return the weight of a parameter: a new tensor in float32, or a parameter in full precision.

    Neither the state nor the parameter is changed.
    """
    weights = _kept_in(state, param)
    if weights is None:
        return param.float() if param.dtype in HALF else param
    kept = {key: state[key] for key in KEYS if key in state}
    if KEY in kept:
        kept[KEY] = kept[KEY].clone()
    return weights.read(on_tensors, kept, param.detach())  # type: ignore[no-any-return]


def set_weight(state: State, param: Tensor, weight: Tensor) -> None:
    """Write a weight into a parameter, and into the state what the parameter cannot hold of it."""
    weights = _kept_in(state, param)
    if weights is None or isinstance(weights, Stochastic):
        param.copy_(weight)
    else:
        weights.write(on_tensors, state, param, weight)


def mend(state: State, group: Group, param: Tensor, stream: Callable[[], int]) -> None:
    """Bring a state to the way in which its group wants weights to be kept, the same weight.

    A state beside a weight in float32 is in float32 itself from here on.

    Args:
        state: The state, which is not empty.
        group: The group.
        param: The parameter.
        stream: Returns the number of its stream of random bits.
    """
    weights = weights_of(group, param)
    if weights is not None and weights.is_kept(state):
        return
    present = [key for key in KEYS if key in state]
    weight = weight_of(state, param) if present and weights is not None else None
    for key in present:
        del state[key]
    if weights is None:
        return
    for key, value in state.items():
        if isinstance(value, Tensor) and value.dtype in HALF:
            state[key] = value.float()
    weights.begin(state, param, stream())
    if weight is not None:
        set_weight(state, param.detach(), weight)


def check_kept(key: str, value: object) -> None:
    """Refuse what cannot be kept beside a weight; the message is a predicate.

    Raises:
        ValueError: It is of another kind.
    """
    if key in (STREAM, STEP):
        return
    dtypes = tuple(CODES) if key == REMAINDER else tuple(KIND_OF)
    if not isinstance(value, Tensor) or value.dtype not in dtypes:
        told = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"is {told}; it must be a tensor of {' or '.join(map(str, dtypes))}")


def _kept_in(state: State, param: Tensor) -> Weights | None:
    """Return how the weight of a parameter is kept, as its state tells."""
    if param.dtype not in HALF:
        return None
    if KEY in state:
        return Master(KIND_OF[param.dtype])
    if REMAINDER in state:
        try:
            check_kept(REMAINDER, state[REMAINDER])
        except ValueError as error:
            told = f"the state {REMAINDER!r} of a parameter of shape {tuple(param.shape)} {error}"
            raise RuntimeError(told) from None
        return Remainder(CODES[state[REMAINDER].dtype])
    return next((each for each in ROUNDED.values() if each.is_kept(state)), None)


def _zeros(param: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros_like(param, dtype=dtype, requires_grad=False)
