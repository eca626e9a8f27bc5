r"""The two sides of a matrix: products of its gradients with themselves, and their eigenvectors.

Shampoo and its kin keep two square matrices for a parameter of m rows and n columns. The *left*
side is a mean of $G G^\top$, of shape (m, m), and the *right* side one of $G^\top G$, of shape
(n, n). Each has an orthogonal matrix of eigenvectors, its *basis*. A side that is longer than an
option allows is left out, as if its basis were the identity.

The state of a stack of matrices holds them under the keys `left`, `right`, `left_basis` and
`right_basis`, each of shape (batch, size, size). Shampoo has `left_root` and `right_root` in place
of the bases.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import (
    handle_torch_function,
    has_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
)

from schuss.contract import Group, State, wide_dtype
from schuss.domains import Domain, whole
from schuss.matrices.shapes import keyed, matrix_shapes
from schuss.matrices.symmetric import mean_of_squares

LEFT, RIGHT = "left", "right"
BASIS, ROOT = "basis", "root"
MAX_DIM: Domain = whole(1)


def begin_sides(state: State, group: Group, param: Tensor) -> None:
    """Put the sides of all matrices of a parameter into its state: zeros.

    The group's `matrices` says which matrices these are, and `max_dim` which sides there are.
    """
    for index, (batch, *sizes) in enumerate(matrix_shapes(param.shape, group["matrices"])):
        for name, size in zip((LEFT, RIGHT), sizes, strict=True):
            if size <= group["max_dim"]:
                shape, dtype = (batch, size, size), wide_dtype(param)
                state[keyed(name, index)] = param.new_zeros(shape, dtype=dtype)


def begin_bases(state: State, group: Group, param: Tensor, kind: str = BASIS) -> None:
    """Put the sides into the state, and a basis or a root for each: the identity."""
    begin_sides(state, group, param)
    for key in [key for key in state if key.partition(".")[0] in (LEFT, RIGHT)]:
        side = state[key]
        eye = torch.eye(side.shape[-1], dtype=side.dtype, device=side.device)
        name, dot, index = key.partition(".")
        state[f"{name}_{kind}{dot}{index}"] = eye.expand_as(side).clone()


def side(state: State, name: str, index: int) -> Tensor | None:
    """Return a side of a stack of matrices, or None if it has been left out."""
    found: Tensor | None = state.get(keyed(name, index))
    return found


def basis(state: State, name: str, index: int, kind: str = BASIS) -> Tensor | None:
    """Return the basis or the root of a side, or None if that has been left out."""
    found: Tensor | None = state.get(keyed(f"{name}_{kind}", index))
    return found


def gather(state: State, x: Tensor, index: int, share: float, kept: float | None = None) -> None:
    """Take the products of matrices with themselves into their sides.

    Args:
        state: The state, after `begin_sides`.
        x: The stack of matrices.
        index: The number of the stack.
        share: The weight of the new product.
        kept: The weight of what there is; 1 - `share` if it is None.
    """
    kept = 1 - share if kept is None else kept
    left, right = (side(state, name, index) for name in (LEFT, RIGHT))
    if left is not None:
        left.copy_(mean_of_squares(left, x, kept, share))
    if right is not None:
        right.copy_(mean_of_squares(right, x.mT, kept, share))


def gather_first(state: State, x: Tensor, index: int, share: float) -> None:
    """Let the sides be a share of the products of matrices with themselves.

    A matrix with more rows than columns has a left side with several eigenvectors of the eigenvalue
    zero. Which ones a decomposition finds depends on how these zeros are rounded. The first product
    is rounded as in the authors' code of SOAP, so that the first bases are the same.
    """
    for name, product in ((LEFT, x @ x.mT), (RIGHT, x.mT @ x)):
        held = side(state, name, index)
        if held is not None:
            held.copy_(product * share)


def rotated(state: State, x: Tensor, index: int) -> Tensor:
    """Return matrices in the bases of their sides."""
    left, right = (basis(state, name, index) for name in (LEFT, RIGHT))
    x = x if left is None else left.mT @ x
    return x if right is None else x @ right


def rotated_back(state: State, x: Tensor, index: int) -> Tensor:
    """Return matrices that are in the bases of their sides as they are outside of them."""
    left, right = (basis(state, name, index) for name in (LEFT, RIGHT))
    x = x if left is None else left @ x
    return x if right is None else x @ right.mT


def eigenvectors(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues and eigenvectors of symmetric matrices, the largest first.

    A decomposition that does not converge is made again in float64, and that of no other matrix.
    """
    if has_torch_function_unary(x):
        found: tuple[Tensor, Tensor] = handle_torch_function(eigenvectors, (x,), x)
        return found
    try:
        values, vectors = torch.linalg.eigh(x)
    except torch.linalg.LinAlgError:
        if x.dim() > 2:
            of_each = [eigenvectors(each) for each in x]
            return torch.stack([v for v, _ in of_each]), torch.stack([w for _, w in of_each])
        values, vectors = (found.to(x.dtype) for found in torch.linalg.eigh(x.double()))
    return values.flip(-1), vectors.flip(-1)


eigenvectors.takes_stacks = True  # type: ignore[attr-defined]  # and catches what no program can


def turn_to_eigenvectors(state: State, index: int) -> None:
    """Let the bases be the eigenvectors of their sides, the one of the largest eigenvalue first."""
    for name in (LEFT, RIGHT):
        held, turned = side(state, name, index), basis(state, name, index)
        if held is not None and turned is not None:
            turned.copy_(eigenvectors(held)[1])


def turn_by_power_iteration(state: State, index: int, v: Tensor) -> Tensor:
    """Let the bases come nearer to the eigenvectors, and return `v` with its rows so ordered.

    One step of the power iteration and a QR decomposition take the place of an eigendecomposition.
    The columns of each basis are first brought into the order of their eigenvalues, the largest
    first, and so are the rows and the columns of a second moment `v` that belong to them.
    """
    orders: list[Tensor | None] = []
    for name in (LEFT, RIGHT):
        held, turned = side(state, name, index), basis(state, name, index)
        orders.append(None)
        if held is not None and turned is not None:
            found, orders[-1] = power_iterated(held, turned)
            turned.copy_(found)
    return reordered(v, *orders)


def reordered(x: Tensor, rows: Tensor | None, columns: Tensor | None) -> Tensor:
    """Return matrices with their rows and columns in other orders, each of which may be None."""
    given = [y for y in (x, rows, columns) if y is not None]
    if has_torch_function(given):
        found: Tensor = handle_torch_function(reordered, given, x, rows, columns)
        return found
    x = x if rows is None else _rows(x, rows)
    return x if columns is None else x.gather(-1, columns.unsqueeze(-2).expand(x.shape))


reordered.takes_stacks = True  # type: ignore[attr-defined]  # so that engines need no vmap


def power_iterated(x: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return a basis that is nearer to the eigenvectors of symmetric matrices, and its old order.

    Args:
        x: The matrices.
        basis: For each of them an orthogonal matrix.

    Returns:
        The new basis, and which column of the old one each of its columns comes from: the one
        with the largest eigenvalue first, as the diagonal of QᵀLQ estimates these.
    """
    if has_torch_function_variadic(x, basis):
        found: tuple[Tensor, Tensor] = handle_torch_function(power_iterated, (x, basis), x, basis)
        return found
    columns = basis.mT @ x  # the columns of LQ, as rows, which are sorted without gaps
    order = (basis.mT * columns).sum(-1).argsort(-1, descending=True)
    columns = _rows(columns, order)
    return orthonormal(columns.mT), order


power_iterated.takes_stacks = True  # type: ignore[attr-defined]  # so that engines need no vmap


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """Return matrices with their rows in another order, in a ninth of the time of `gather`."""
    begins = torch.arange(0, order.numel(), order.shape[-1], dtype=torch.int64, device=x.device)
    rows = (order.reshape(len(begins), -1) + begins.unsqueeze(-1)).flatten()
    return x.reshape(-1, x.shape[-1]).index_select(0, rows).reshape(x.shape)


def orthonormal(x: Tensor) -> Tensor:
    """Return the matrices Q of QR decompositions.

    On a CPU they are made without the matrices R, which takes a seventh less time.
    """
    is_followed = x.requires_grad and torch.is_grad_enabled()
    if x.device.type != "cpu" or is_followed or torch.compiler.is_compiling():
        q: Tensor = torch.linalg.qr(x).Q
    else:
        q = torch.linalg.householder_product(*torch.geqrf(x))
    return q
