r"""The diagonal of the Hessian, the matrix of second derivatives of the loss, and its estimate.

For a vector $u$ of random signs the mean of $u \odot H u$ is the diagonal of $H$, and $H u$ is the
gradient of $\langle \nabla L, u \rangle$: a second backward pass.

Hutchinson, *A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing
Splines*, 1990; Bekas, Kokiopoulou and Saad, *An estimator for the diagonal of a matrix*, 2007.
<https://doi.org/10.1016/j.apnum.2007.01.003>
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, State
from schuss.domains import whole


def hutchinson(loss: Tensor, params: Sequence[Tensor], samples: int = 1) -> list[Tensor | None]:
    """Return an estimate of the diagonal of the Hessian.

    Args:
        loss: A number with its graph, which is kept, so that `loss.backward()` can follow.
        params: The parameters, real or complex.
        samples: Number of vectors to take the mean over, at least 1; each is a backward pass.

    Returns:
        A tensor of the shape of each parameter; None where the loss does not depend on it.

    Raises:
        ValueError: `samples` is less than 1.
        RuntimeError: The loss has no graph.

    Example:
        >>> import torch
        >>> from schuss.curvature import hutchinson
        >>> weight = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> hutchinson((weight**3).sum(), [weight])
        [tensor([ 6., 12.])]
    """
    whole(1).check("samples", samples)
    grads = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
    means = [torch.zeros_like(param) for param in params]
    for _ in range(samples):
        for mean, estimate in zip(means, _estimate(grads, params), strict=True):
            mean.add_(estimate, alpha=1 / samples)
    used: list[Tensor | None] = list(grads)
    return [None if g is None else mean for g, mean in zip(used, means, strict=True)]


def _estimate(grads: Sequence[Tensor | None], params: Sequence[Tensor]) -> list[Tensor]:
    """Return one estimate; zero where the gradient does not depend on the parameters."""
    signs = [_signs(param) for param in params]
    pairs = [(g, u) for g, u in zip(grads, signs, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return [torch.zeros_like(param) for param in params]
    products = torch.autograd.grad(
        [g for g, _ in pairs],
        params,
        grad_outputs=[u for _, u in pairs],
        retain_graph=True,
        materialize_grads=True,
    )
    return [_times(u, product) for u, product in zip(signs, products, strict=True)]


def _signs(like: Tensor) -> Tensor:
    if like.is_complex():
        return torch.view_as_complex(_signs(torch.view_as_real(like.detach())))
    return torch.randint_like(like.detach(), 2) * 2 - 1


def _times(u: Tensor, product: Tensor) -> Tensor:
    """Return the product, of complex tensors that of real parts and that of imaginary parts."""
    if not u.is_complex():
        return u * product
    parts = torch.view_as_real(u) * torch.view_as_real(product.resolve_conj())
    return torch.view_as_complex(parts)


class HessianDiagonal(GenericAdaptiveOptimizer):
    """Base class of optimizers that use an estimate of the Hessian's diagonal.

    A subclass overrides `take_hessian`.
    """

    def estimate_hessian(self, loss: Tensor, samples: int = 1) -> None:
        """Estimate the diagonal of the Hessian, and take it into the state.

        Call it before `backward`, as often as the algorithm wants: in every step, or every tenth.

        Args:
            loss: The loss with its graph, which is kept.
            samples: Number of backward passes to take the mean over, at least 1.

        Raises:
            ValueError: `samples` is less than 1.
            RuntimeError: The loss has no graph.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        with torch.enable_grad():
            self.set_hessian(hutchinson(loss, params, samples))

    def set_hessian(self, diagonal: Sequence[Tensor | None]) -> None:
        """Take an estimate from elsewhere into the state.

        Args:
            diagonal: A tensor of the shape of each parameter, in the order of the groups; None
                leaves the state of one as it is.

        Raises:
            ValueError: There are not as many as parameters.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        if len(diagonal) != len(params):
            raise ValueError(
                f"the diagonal has {len(diagonal)} tensors, but there are {len(params)} parameters"
            )
        self._group_checks.check_changed(self)
        kept = [param.grad for param in params]
        try:
            for param, estimate in zip(params, diagonal, strict=True):
                param.grad = estimate
            self._stepping.run(self, self.take_hessian)
        finally:
            for param, grad in zip(params, kept, strict=True):
                param.grad = grad

    def take_hessian(self, state: State, group: Group, estimate: Tensor, param: Tensor) -> None:
        """Take an estimate of the diagonal into the state of one parameter; override it."""
        raise NotImplementedError
