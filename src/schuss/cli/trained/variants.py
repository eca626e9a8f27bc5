"""Variants of an optimizer: the same one with other options, or for weights of another dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from schuss.cli.errors import OptionError
from schuss.cli.mnist.settings import parse_option

DTYPES: Final = ("float32", "bfloat16")
"""The dtypes in which the weights of a network may be trained; the first is the usual one."""


@dataclass(frozen=True)
class Variant:
    """Options that come to those of an optimizer.

    Attributes:
        text: The options as the command line takes them. `dtype` among them is that of the weights
            of the network, and is no option of an optimizer.

    Example:
        >>> variant = Variant("dtype='bfloat16',rounding='kahan'")
        >>> variant.options, variant.dtype
        ({'rounding': 'kahan'}, 'bfloat16')
    """

    text: str

    @property
    def options(self) -> dict[str, Any]:
        """The options of the optimizer."""
        return {key: value for key, value in self._given.items() if key != "dtype"}

    @property
    def dtype(self) -> str:
        """The dtype of the weights, by its name in torch."""
        return str(self._given.get("dtype", DTYPES[0]))

    @property
    def _given(self) -> dict[str, Any]:
        return parse_option("--with", f"optimizer:{self.text}")[1]


ALONE: Final = Variant("")
"""The optimizer as it is, for weights in float32."""


def variants(asked: list[str]) -> list[Variant]:
    """Return the variants that a command line names.

    Raises:
        OptionError: One is malformed, has a dtype that cannot be trained, or is given twice.
    """
    found = [Variant(text) for text in asked]
    for number, variant in enumerate(found):
        if variant.dtype not in DTYPES:
            raise OptionError(f"--with dtype={variant.dtype!r} is none of {', '.join(DTYPES)}")
        if variant in [ALONE, *found[:number]]:
            raise OptionError(f"--with {variant.text!r} is given twice; leave one of them out")
    return found
