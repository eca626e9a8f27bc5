"""Names of torch's functions, as stand-ins meet them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from schuss.engines.errors import UntraceableError

_ASSIGNMENTS = {f"__i{name}__": name for name in ("add", "sub", "mul", "div", "pow")}
_ASSIGNMENTS |= {"__itruediv__": "div", "__ifloordiv__": "floor_divide", "__imod__": "remainder"}
_ASSIGNMENTS |= {f"__i{name}__": f"bitwise_{name}" for name in ("and", "or", "xor")}

WHOLE = frozenset(
    """
    addmm addmv addr argmax argmin argsort baddbmm bfloat16 block_diag bmm cat cdist
    cholesky_inverse cholesky_solve chunk cov cross cumprod cumsum diag diag_embed diagonal
    einsum flip fliplr flipud gather getitem half hstack index_add index_copy index_select
    inverse kron linalg_cholesky linalg_cholesky_ex linalg_cond linalg_cross linalg_det
    linalg_eigh linalg_eigvalsh linalg_householder_product linalg_inv linalg_inv_ex linalg_lu
    linalg_lu_factor linalg_lu_solve linalg_matrix_exp linalg_matrix_norm linalg_matrix_power
    linalg_matrix_rank linalg_multi_dot linalg_norm linalg_pinv linalg_qr linalg_slogdet
    linalg_solve linalg_solve_triangular linalg_svd linalg_svdvals logdet logsumexp matmul
    matrix_exp matrix_power median mm movedim mv narrow outer permute prod quantile repeat roll
    rot90 scatter select slogdet softmax sort split stack std svd swapaxes swapdims
    take_along_dim tensor_split tensordot tile topk trace triangular_solve tril triu unbind
    unflatten var vstack
    """.split()  # noqa: SIM905  # a list of names to be read
)
"""Functions of whole tensors, at which the program of a rule is cut."""


def function_of_torch(name: str) -> Callable[..., Any]:
    """Return the function of torch, or the method of tensors, that has a name."""
    for module in (torch.Tensor, torch):
        if hasattr(module, name):
            found: Callable[..., Any] = getattr(module, name)
            return found
    if hasattr(torch.linalg, name.removeprefix("linalg_")):
        return getattr(torch.linalg, name.removeprefix("linalg_"))  # type: ignore[no-any-return]
    raise UntraceableError(f"torch.{name} with a whole tensor")


def in_place_name(name: str) -> str | None:
    """Return the name of a function without its mark of writing in place; None if it has none."""
    if name in _ASSIGNMENTS:
        return _ASSIGNMENTS[name]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else None
