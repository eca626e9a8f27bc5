r"""The diagonal of the Hessian, the matrix of second derivatives of the loss, and its estimate.

For a vector $u$ of random signs the mean of $u \odot H u$ is the diagonal of $H$, and $H u$ is the
gradient of $\langle \nabla L, u \rangle$: a second backward pass.

Hutchinson, *A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing
Splines*, 1990; Bekas, Kokiopoulou and Saad, *An estimator for the diagonal of a matrix*, 2007.
<https://doi.org/10.1016/j.apnum.2007.01.003>
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from schuss.adaptive import GenericAdaptiveOptimizer
from schuss.contract import Group, Rule, State
from schuss.domains import above, whole
from schuss.optimizer import Optimizer


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


class TakesCurvature(Optimizer):
    """The calls of an optimizer of which some groups have a rule that takes estimates."""

    def estimate_hessian(self, loss: Tensor, samples: int = 1) -> None:
        """Estimate the diagonal of the Hessian, and take it into the state.

        Call it before `backward`, as often as the algorithm wants: in every step, or every tenth.

        Args:
            loss: The loss with its graph, which is kept.
            samples: Number of backward passes to take the mean over, at least 1.

        Raises:
            ValueError: `samples` is less than 1.
            RuntimeError: The loss has no graph, or no rule takes an estimate.
        """
        taking = self._parameters_of(HessianDiagonal, "estimate_hessian")
        with torch.enable_grad():
            found = hutchinson(loss, taking, samples)
        self._run_with(dict(zip(taking, found, strict=True)), self._take_hessian)

    def set_hessian(self, diagonal: Sequence[Tensor | None]) -> None:
        """Take an estimate from elsewhere into the state.

        Args:
            diagonal: A tensor of the shape of each parameter, in the order of the groups; None
                leaves the state of one as it is. Estimates for rules that take none are not used.

        Raises:
            ValueError: There are not as many as parameters.
            RuntimeError: No rule takes an estimate.
        """
        params = [p for group in self.param_groups for p in group["params"]]
        if len(diagonal) != len(params):
            raise ValueError(
                f"the diagonal has {len(diagonal)} tensors, but there are {len(params)} parameters"
            )
        given = dict(zip(params, diagonal, strict=True))
        taking = self._parameters_of(HessianDiagonal, "set_hessian")
        self._run_with({param: given[param] for param in taking}, self._take_hessian)

    def _parameters_of(self, kind: type[Optimizer], call: str) -> list[Tensor]:
        """Return the parameters whose rule is of a kind.

        Raises:
            RuntimeError: There are none, though there are parameters.
        """
        groups = self.param_groups
        taking = [g for g in groups if isinstance(self.algorithm_of(g), kind)]
        if groups and not taking:
            raise RuntimeError(f"{call} was called, but no part of {type(self).__name__} needs it")
        return [param for group in taking for param in group["params"]]

    def _take_hessian(self, state: State, group: Group, estimate: Tensor, param: Tensor) -> None:
        algorithm: Any = self.algorithm_of(group)
        algorithm.take_hessian(state, group, estimate, param)

    def _run_with(self, grads: Mapping[Tensor, Tensor | None], rule: Rule) -> None:
        """Run a rule for some parameters, with estimates in place of their gradients."""
        if not torch.compiler.is_compiling():
            self._group_checks.check_changed(self)
        params = [p for group in self.param_groups for p in group["params"]]
        kept = [param.grad for param in params]
        try:
            for param in params:
                param.grad = grads.get(param)
            self._stepping.run(self, rule)
        finally:
            for param, grad in zip(params, kept, strict=True):
                param.grad = grad


class TakesSamples(TakesCurvature):
    """The same, of which some groups have a rule that takes gradients of sampled labels."""

    def update_hessian(self, n_tokens_training_batch: int) -> None:
        """Take the present gradients, those of sampled labels, into the estimate of the curvature.

        Call it every ten steps or so, after a backward pass of the mean loss on labels drawn from
        the model's predictions, and clear the gradients afterwards.

        Args:
            n_tokens_training_batch: Number B of labels (tokens, for a language model) that the loss
                is the mean of.

        Raises:
            TypeError: It is not a number.
            ValueError: It is not positive.
            RuntimeError: A gradient is sparse, or no rule takes such gradients. Nothing has been
                changed then.
        """
        above(0).check("n_tokens_training_batch", n_tokens_training_batch)
        taking = self._parameters_of(SampledDiagonal, "update_hessian")

        def take(state: State, group: Group, grad: Tensor, param: Tensor) -> None:
            algorithm: Any = self.algorithm_of(group)
            algorithm.take_samples(state, group, grad, param, n_tokens_training_batch)

        self._run_with({param: param.grad for param in taking}, take)


class HessianDiagonal(TakesCurvature, GenericAdaptiveOptimizer):
    """Base class of optimizers that use an estimate of the Hessian's diagonal.

    A subclass overrides `take_hessian`.
    """

    def take_hessian(self, state: State, group: Group, estimate: Tensor, param: Tensor) -> None:
        """Take an estimate of the diagonal into the state of one parameter; override it."""
        raise NotImplementedError


class SampledDiagonal(TakesSamples, HessianDiagonal):
    """Base class of those that estimate it by gradients of sampled labels, too.

    A subclass overrides `take_samples` as well.
    """

    def take_samples(
        self, state: State, group: Group, grad: Tensor, param: Tensor, count: int
    ) -> None:
        """Take a gradient of the mean loss on sampled labels into the state; override it.

        Args:
            state: The state of a parameter.
            group: Its group.
            grad: The gradient.
            param: The parameter.
            count: The number of labels.
        """
        raise NotImplementedError
