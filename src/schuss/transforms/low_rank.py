r"""The base class of transforms that let the rule see the gradient of a matrix in fewer dimensions.

The gradient $G$ of a matrix of m rows and n columns is multiplied by a matrix $P$ of r columns, so
that its shorter side becomes r: $R = P^\top G$ of shape (r, n) if there are fewer rows than
columns, and $R = G P$ of shape (m, r) otherwise. The rule is given $R$ in place of the gradient,
and all that it remembers has the shape of $R$.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from schuss.contract import Group, State
from schuss.storage.ranks import is_distributed
from schuss.transforms.transform import Transform
from schuss.transforms.unread import unread

COUNT = "projected_steps"


class LowRank(Transform):
    """Projects the gradients of matrices whose shorter side is longer than a rank.

    A parameter of more than two dimensions is a matrix if its group says `matrices="flatten"`: the
    first dimension is its rows.
    """

    prefix: ClassVar[str]
    """The beginning of the names of the hyper-parameters."""

    def check_parameters(self, group: Group) -> None:
        """Check that the matrices are real, and whole.

        Raises:
            TypeError: One is complex, or divided among several ranks.
        """
        for param in group["params"]:
            if self.rank_of(group, param) is None:
                continue
            if param.is_complex():
                self._refuse(param, "a complex matrix, of which it has no basis")
            if is_distributed(param):
                self._refuse(param, "of which a rank may have a part, and so another basis")
            if isinstance(group.get("matrices"), (tuple, list)):
                self._refuse(param, "that consists of several matrices, and projects it as one")

    def _refuse(self, param: Tensor, why: str) -> None:
        raise TypeError(
            f"{self!r} does not take a {type(param).__name__} of {param.dtype} and shape "
            f"{tuple(param.shape)}, {why}; set {self.prefix}_rank=None in its group"
        )

    def rank_of(self, group: Group, param: Tensor) -> int | None:
        """Return the rank to which gradients are projected, or None if they stay as they are."""
        rank: int | None = group[f"{self.prefix}_rank"]
        if rank is None or not self._is_matrix(group, param) or min(sizes(param)) <= rank:
            return None
        return rank

    def _is_matrix(self, group: Group, param: Tensor) -> bool:
        dim = param.dim()
        return dim == 2 or (dim > 2 and group.get("matrices") == "flatten")

    def seen(self, group: Group, param: Tensor) -> Tensor:
        """Return a stand-in of the shape in which the rule sees the gradient."""
        rank = self.rank_of(group, param)
        if rank is None:
            return param
        rows, cols = sizes(param)
        return unread(param.new_empty((rank, cols) if rows < cols else (rows, rank)))

    def init_state(self, state: State, group: Group, param: Tensor) -> None:
        """Start the count of steps, if the gradient of the parameter is projected."""
        if self.rank_of(group, param) is not None:
            state[COUNT] = 0

    def around(
        self,
        rule: Callable[[Tensor, Tensor], Tensor],
        state: State,
        group: Group,
        grad: Tensor,
        param: Tensor,
    ) -> Tensor:
        """Return the update, computed from the projected gradient if the state began so."""
        if COUNT not in state:
            return rule(grad, param)
        step = state[COUNT]
        state[COUNT] = step + 1
        g = grad if grad.dim() == 2 else grad.reshape(sizes(param))
        p = self.projection(state, group, g, step)
        r = p.mT @ g if is_wide(g) else g @ p
        n = rule(r, unread(r))
        u = self.lifted(state, group, p, r, n, g)
        return u if grad.dim() == 2 else u.reshape(param.shape)

    def projection(self, state: State, group: Group, grad: Tensor, step: int) -> Tensor:
        """Return the matrix P; override it.

        Args:
            state: The state of the parameter, to be changed in place.
            group: The hyper-parameters.
            grad: The gradient, a matrix; only read.
            step: How many steps there have been.
        """
        raise NotImplementedError

    def lifted(
        self, state: State, group: Group, p: Tensor, r: Tensor, n: Tensor, grad: Tensor
    ) -> Tensor:
        """Return the update of the parameter; override it.

        Args:
            state: The state of the parameter, to be changed in place.
            group: The hyper-parameters.
            p: The matrix P.
            r: The projected gradient.
            n: The update of the rule for that.
            grad: The gradient.
        """
        raise NotImplementedError


def sizes(param: Tensor) -> tuple[int, int]:
    """Return the rows and the columns of a parameter as one matrix: its first dimension, the rest.

    Example:
        >>> import torch
        >>> from schuss.transforms.low_rank import sizes
        >>> sizes(torch.empty(16, 8, 3, 3))
        (16, 72)
    """
    rows, *others = param.shape
    return rows, math.prod(others)


def is_wide(matrix: Tensor) -> bool:
    """Tell whether a matrix has fewer rows than columns."""
    rows, cols = matrix.shape
    return rows < cols
