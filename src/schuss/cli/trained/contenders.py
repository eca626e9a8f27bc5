"""The contenders of a command: optimizers, each with its recipe and the options asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from schuss.cli.errors import OptionError
from schuss.cli.mnist.settings import parse_option
from schuss.cli.trained.recipes import RECIPES, Recipe
from schuss.cli.trained.variants import ALONE, Variant

STEP: Final = 3
"""Learning rates that are tried lie apart by this factor."""


@dataclass(frozen=True)
class Contender:
    """An optimizer as it is asked for.

    Attributes:
        text: Its name, or name, colon and options. They come before those of the recipe, and a
            learning rate among them is not swept.

    Example:
        >>> contender = Contender("sgd:nesterov=True")
        >>> contender.spec(steps=100, power=1)
        'sgd:lr=0.09,momentum=0.9,nesterov=True'
        >>> contender.is_swept, Contender("sgd:lr=0.1").is_swept
        (True, False)
    """

    text: str

    @property
    def name(self) -> str:
        """The name in the registry."""
        return self.text.partition(":")[0]

    @property
    def recipe(self) -> Recipe:
        """How such an optimizer is trained."""
        return RECIPES[self.name]

    @property
    def is_swept(self) -> bool:
        """Whether its learning rate is one to choose."""
        return self.recipe.is_swept and "lr" not in self._given

    @property
    def _given(self) -> dict[str, Any]:
        return parse_option("--optimizer", self.text)[1]

    def spec(self, steps: int, power: int = 0, variant: Variant = ALONE) -> str:
        """Return the optimizer with all of its options, as `schuss mnist` takes it.

        Args:
            steps: Length of the training.
            power: How often the learning rate of the recipe is multiplied by `STEP`.
            variant: Further options, which come before all others.
        """
        rate = f"{self.recipe.lr * STEP**power:.3g}"
        of_recipe = f"lr={rate},{self.recipe.options.format(steps=steps, warmup=steps // 10)}"
        values = parse_option("recipe", f"{self.name}:{of_recipe.rstrip(',')}")[1]
        values |= self._given | variant.options
        return f"{self.name}:{','.join(f'{key}={value!r}' for key, value in values.items())}"


def contenders(asked: list[str] | None) -> list[Contender]:
    """Return the contenders that a command line names, or one for each recipe.

    Raises:
        OptionError: One is malformed, has no recipe, or is named twice.
    """
    found = []
    for text in asked or RECIPES:
        name, _ = parse_option("--optimizer", text)
        if name not in RECIPES:
            raise OptionError(f"--optimizer {text}: there is no recipe; see `schuss list`")
        contender = Contender(":".join([name, *text.split(":", 1)[1:]]))
        if contender in found:
            raise OptionError(f"--optimizer {text} is given twice; leave one of them out")
        found.append(contender)
    return found
