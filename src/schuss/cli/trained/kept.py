"""The memory of an optimizer at the end of a training: that its state is kept as was asked for."""

from __future__ import annotations

from torch import Tensor

from schuss.optimizer import Optimizer
from schuss.storage.codecs import Encoded


def kept_in_fewer(optimizer: Optimizer) -> dict[str, str]:
    """Return the codec or the dtype of each key of the state that is kept in fewer bytes.

    A tensor is kept so if it is encoded, or if it is of a floating dtype with fewer bytes than its
    parameter has. Tensors of one key may be kept in different ways; the dictionary has the
    narrowest.
    """
    found: dict[str, tuple[float, str]] = {}
    for param, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                size, name = _width(value)
                if size < min(param.element_size(), found.get(key, (size + 1, ""))[0]):
                    found[key] = size, name
    return {key: name for key, (_, name) in found.items()}


def _width(tensor: Tensor) -> tuple[float, str]:
    """Return the bytes of a number, and the name of the codec or the dtype."""
    if isinstance(tensor, Encoded):
        return tensor.codec.bytes, tensor.codec.name
    return tensor.element_size(), str(tensor.dtype).removeprefix("torch.")


def bytes_kept(optimizer: Optimizer) -> float:
    """Return the bytes of weights and state now, of each number of all parameters."""
    memory = optimizer.memory()
    return (memory.parameters.measured + memory.all_state.measured) / memory.numbers
