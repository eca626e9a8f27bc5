"""Rules as strangers write them, with statistics of rows and columns."""

from __future__ import annotations

import torch


def factoring(state, group, grad, param):
    """Keep a mean of squares for each row and for each column, as Adafactor does."""
    square = grad.square() + 1e-3
    if grad.dim() < 2:
        state["v"] = state.get("v", torch.zeros_like(grad)).lerp(square, 0.5)
        param.sub_(0.1 * grad / state["v"].sqrt())
        return
    if "row" not in state:
        state["row"] = grad.new_zeros(grad.shape[:-1])
        state["col"] = grad.new_zeros(grad.shape[:-2] + grad.shape[-1:])
    row, col = state["row"], state["col"]
    row.mul_(0.5).add_(square.mean(dim=-1), alpha=0.5)
    col.mul_(0.5).add_(square.mean(dim=-2), alpha=0.5)
    r = (row / row.mean(dim=-1, keepdim=True)).rsqrt_().unsqueeze(-1)
    update = grad * r * col.unsqueeze(-2).rsqrt()
    update.div_(update.norm().div(update.numel() ** 0.5).clamp(min=1.0))
    param.add_(update, alpha=-0.1)


def multiplying(state, group, grad, param):
    """Keep dimensions of size 1, and multiply a column by a row as matrices."""
    if param.ndim < 2:
        param.sub_(grad, alpha=0.1)
        return
    row_mean = torch.norm(grad, dim=-1, keepdim=True).square_().div_(grad.size(-1) + 1e-3)
    col_mean = torch.norm(grad, dim=-2, keepdim=True).square_().div_(grad.size(-2) + 1e-3)
    state.setdefault("row", torch.zeros_like(row_mean)).lerp_(row_mean, 0.25)
    state.setdefault("col", torch.zeros_like(col_mean)).lerp_(col_mean, 0.25)
    estimate = state["row"] @ state["col"]
    estimate.div_(state["row"].mean(dim=-2, keepdim=True).clamp_(min=1e-3))
    param.sub_(estimate.clamp_(min=1e-6).rsqrt_().mul_(grad), alpha=0.1)


def one_for_each_output(state, group, grad, param):
    """Keep one mean of squares for everything that belongs to the first dimension."""
    dims = tuple(range(1, grad.dim()))
    mean = grad.square().mean(dim=dims, keepdim=True) if dims else grad.square()
    state["v"] = 0.5 * state["v"] + 0.5 * mean if "v" in state else mean
    state["m"] = state.get("m", torch.zeros_like(param)).lerp(grad, 0.1)
    param.sub_(0.1 * state["m"] / (state["v"].sqrt() + 1e-3))


def covering(state, group, grad, param):
    """Bound every element by the largest of its row and of its column, as SM3 does."""
    if grad.ndim < 2:
        state["v"] = state.get("v", torch.zeros_like(param)) + grad**2
        param.sub_(0.1 * grad / (state["v"] + 1e-3).sqrt())
        return
    if "row" not in state:
        state["row"] = torch.zeros_like(grad.amax(-1, keepdim=True))
        state["col"] = torch.zeros_like(grad.amax(-2, keepdim=True))
    bound = torch.minimum(state["row"], state["col"]) + grad * grad
    state["row"] = bound.amax(dim=-1, keepdim=True)
    state["col"].copy_(bound.amax(dim=-2, keepdim=True))
    param.sub_(0.1 * grad / (bound + 1e-3).sqrt())


def centering(state, group, grad, param):
    """Need several passes, through elements, columns, rows and the batch."""
    if grad.dim() > 1:
        grad = grad - grad.mean(-2, keepdim=True)
        deviation = grad.square().mean(-1).sqrt()
        deviation = deviation / (deviation.amax(-1, keepdim=True) + 1e-3)
        largest = deviation.sum() / (deviation.amax() + 1e-3) + grad.abs().sum(dim=(-2, -1)).amin()
        grad = grad / (deviation[..., None] + 0.1) / (1 + largest)
    param.sub_(0.1 * grad)


def flattening(state, group, grad, param):
    """Make a matrix of whatever comes, and look at it from both sides."""
    if param.dim() < 2:
        param.sub_(grad.view(-1).sum(0) * 0.01)
        return
    flat = grad.view(grad.shape[0], -1)
    size = flat.abs().sum(1)
    state["size"] = state.get("size", torch.ones_like(size)).mul(0.5).add(size)
    columns = flat.t().pow(2).sum(dim=1)
    update = flat / (state["size"][:, None] + 1) + torch.outer(size, columns) * 1e-3
    param.sub_(update.view_as(param) * 0.1)


def following_views(state, group, grad, param):
    """Write to a tensor of which there is a view, and read the view."""
    if grad.dim() < 2:
        return
    row = state.setdefault("row", grad.new_zeros(grad.shape[:-1]))
    column = row.unsqueeze(-1)
    row.add_(grad.amin(dim=-1)).mul_(0.5)
    param.sub_((grad + column).sign_().mul_(0.1))
    row.fill_(0.25).neg_()
    param.mul_(1 + column)


def by_shapes(state, group, grad, param):
    """Compute with sizes as numbers."""
    if param.dim() < 2:
        return
    rows, columns = param.shape[-2], param.shape[-1]
    scale = max(1, rows / max(columns, 1)) ** 0.5
    state.setdefault("sum", grad.new_zeros((*param.shape[:-1], 1))).add_(grad.sum(-1, True))
    param.sub_(state["sum"] * scale * 0.01 + columns * grad * 1e-3)


def by_halves(state, group, grad, param):
    """Divide the first dimension into two equal parts."""
    if param.dim() == 0 or len(param) % 2 or len(param) == 0:
        return
    mean = grad.reshape(2, -1).square().mean(dim=1, keepdim=True)
    state["half"] = state.get("half", torch.zeros_like(mean)).lerp(mean, 0.5)
    update = param.reshape(2, -1) * 0.1 + grad.reshape(2, -1) / (state["half"].sqrt() + 1e-3)
    rows = grad.square().mean(dim=-1, keepdim=True) if grad.dim() > 1 else 0.0
    param.sub_(0.1 * update.reshape(param.shape) + 0.01 * rows)


def in_a_shape_of_one_number(state, group, grad, param):
    """See a norm as a scalar and as a vector."""
    norm = grad.norm().reshape(1).reshape(())
    param.sub_(0.1 * grad / (norm + 1e-3) + 0.01 * grad.mean(dim=0))


def with_state_from_the_start(state, group, grad, param):
    if grad.dim() < 2:
        return
    for key, dim in (("row", -1), ("col", -2)):
        state[key].add_((grad * grad).sum(dim))
    state["m"].mul_(0.9).add_(grad)
    both = state["row"].unsqueeze(-1) + state["col"].unsqueeze(-2)
    param.addcdiv_(state["m"], both.add_(1e-3).sqrt_(), value=-0.1)


def rows_and_columns(state, param):
    """Begin the state of `with_state_from_the_start`."""
    if param.dim() > 1:
        state["row"] = param.new_zeros(param.shape[:-1])
        state["col"] = param.new_zeros(param.shape[:-2] + param.shape[-1:])
        state["m"] = torch.zeros_like(param)


ALONG = [
    factoring,
    multiplying,
    one_for_each_output,
    covering,
    centering,
    flattening,
    following_views,
    by_shapes,
    by_halves,
    in_a_shape_of_one_number,
    with_state_from_the_start,
]
