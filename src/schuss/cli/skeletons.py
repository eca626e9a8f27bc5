"""Models of which only the parameters are of interest, and these without memory."""

from __future__ import annotations

import re
from typing import Final

import torch
from torch import nn

from schuss.cli.bench.workloads import WORKLOADS, Shape
from schuss.cli.errors import OptionError

MODELS: Final = ("mnist", "resnet50", "gpt2")
"""The models whose shapes are known here."""

EMBEDDINGS: Final = {"gpt2": 2}
"""How many of the first matrices of a model are embeddings."""

UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9}

SIDES: Final = (4096, 1024)
"""The rows and columns of the matrices of a model that is only told by its size; the larger, if
there is room for 64 of them.
"""


class Vector(nn.Module):
    """One parameter that is no matrix, such as a bias."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.empty(shape))


class Skeleton(nn.ModuleList):
    """The modules of a model that have parameters.

    Args:
        modules: The modules.
        is_tied: Whether the output layer has the weights of the first of them, an embedding.
    """

    def __init__(self, modules: list[nn.Module], *, is_tied: bool) -> None:
        super().__init__(modules)
        self._is_tied = is_tied

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the output layer, as models of transformers do."""
        return self[0] if self._is_tied else None


def named(name: str, dtype: torch.dtype) -> nn.Module:
    """Return a model by name: one of `MODELS`, or a type of model that transformers has.

    Raises:
        OptionError: There is none.
    """
    with torch.device("meta"):
        if name in MODELS:
            return _of_shapes(WORKLOADS[name].shapes, EMBEDDINGS.get(name, 0)).to(dtype)
        return _of_transformers(name).to(dtype)


def of_size(size: str, dtype: torch.dtype) -> nn.Module:
    """Return a model that has so many numbers, in square matrices, and a vector of what is left.

    Args:
        size: A number such as 124000000, 124M or 7B.
        dtype: The precision of the parameters.

    Raises:
        OptionError: It is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMBG]?)", size.upper())
    count = round(float(match[1]) * UNITS[match[2]]) if match else 0
    if not count:
        raise OptionError(f"--parameters is {size!r}; it must be a number such as 350M or 7B")
    side = next((side for side in SIDES if count >= 64 * side * side), SIDES[-1])
    matrices, left = divmod(count, side * side)
    shapes: list[Shape] = [(side, side)] * matrices + ([(left,)] if left else [])
    with torch.device("meta"):
        return _of_shapes(shapes, 0).to(dtype)


def _of_shapes(shapes: list[Shape] | tuple[Shape, ...], embeddings: int) -> nn.Module:
    """Return modules with weights of some shapes, so that each has a role."""
    modules: list[nn.Module] = []
    for shape in shapes:
        if len(shape) == 4:
            outputs, inputs, *size = shape
            modules.append(nn.Conv2d(inputs, outputs, (size[0], size[1]), bias=False))
        elif len(shape) == 2 and len(modules) < embeddings:
            modules.append(nn.Embedding(*shape))
        elif len(shape) == 2:
            modules.append(nn.Linear(shape[1], shape[0], bias=False))
        else:
            modules.append(Vector(shape))
    return Skeleton(modules, is_tied=embeddings > 0)


def _of_transformers(name: str) -> nn.Module:
    """Return the model that transformers makes of the defaults for a type of model."""
    about = f"there are {', '.join(MODELS)}, and the types of models that transformers has"
    try:
        from transformers import AutoConfig, AutoModel
    except ModuleNotFoundError:
        raise OptionError(
            f"there is no model {name!r}; {about}, once it is installed: pip install transformers"
        ) from None
    try:
        model: nn.Module = AutoModel.from_config(AutoConfig.for_model(name))
    except ValueError:
        raise OptionError(f"there is no model {name!r}; {about}, such as llama") from None
    return model
