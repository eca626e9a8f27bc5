"""The base class of optimizers whose rule is for matrices."""

from __future__ import annotations

from typing import ClassVar

from schuss.declarations import hyper
from schuss.matrices.shapes import MATRICES, Matrices
from schuss.optimizer import Optimizer


class MatrixOptimizer(Optimizer):
    """An optimizer that refuses parameters which consist of no matrices, when a group is added."""

    matrices: Matrices = hyper(
        "",
        "how a parameter consists of matrices, see schuss.matrices",
        MATRICES,
        default=None,
        kw_only=True,
    )

    takes_matrices_only: ClassVar[bool] = True
