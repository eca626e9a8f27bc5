"""Orthogonalized matrices: against an exact decomposition, and against torch's own iteration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim._muon import _zeropower_via_newtonschulz

from schuss.matrices import SETS, orthogonalized
from schuss.matrices.coefficients import JORDAN
from schuss.matrices.iteration import flops_of_forms, runs
from tests.covers import combinations

SHAPES = ((5, 3), (3, 5), (64, 64), (96, 32), (32, 96), (1, 1), (7, 1))
SAFE = [name for name, chosen in SETS.items() if chosen.is_safe]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def spread(condition: float, rows: int, cols: int) -> Tensor:
    """Return a matrix whose singular values lie at equal distances on a logarithmic scale."""
    short = min(rows, cols)
    left = torch.linalg.qr(random(rows, short, dtype=torch.float64)).Q
    right = torch.linalg.qr(random(cols, short, seed=1, dtype=torch.float64)).Q
    exponents = torch.linspace(0.0, 1.0, short, dtype=torch.float64)
    return left * condition**-exponents @ right.mT


@pytest.mark.parametrize("form", ["ordinary", "gram"])
@pytest.mark.parametrize("name", SETS)
def test_no_number_is_read_from_a_device(name, form):
    # Tensors on the meta device have no numbers: to read one is an error.
    for precision in ("bfloat16", "float32", "medium"):
        if form == "gram" and precision != "float32" and name not in SAFE:
            continue
        for shape in ((2, 5, 3), (3, 5)):
            x = torch.empty(shape, device="meta")
            options = {"coefficients": name, "form": form, "precision": precision, "eps": 1e-7}
            assert orthogonalized(x, **options).shape == shape


def in_numpy(x: Tensor, name: str) -> Tensor:
    """Return what the formula of the iteration gives for one wide matrix, in float64."""
    y = x.double().numpy()
    y = y / np.linalg.norm(y)
    if SETS[name].scales_rows:
        y = 0.8 * y / np.sqrt(np.abs(y @ y.T).sum(axis=1, keepdims=True))
    for a, b, c in SETS[name].taken():
        gram = y @ y.T
        y = a * y + b * gram @ y + c * gram @ gram @ y
    return torch.from_numpy(y)


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_in_bfloat16_it_is_the_iteration_of_torch_bit_for_bit(shape):
    for seed in range(3):  # of hundreds, one is rounded otherwise
        x = random(*shape, seed=seed)
        theirs = _zeropower_via_newtonschulz(x.clone(), JORDAN, 5, 1e-7)
        assert torch.equal(orthogonalized(x, form="ordinary"), theirs.float())


@pytest.mark.parametrize("form", ["ordinary", "gram"])
@pytest.mark.parametrize("name", SETS)
def test_every_set_follows_its_formula(name, form):
    x = random(12, 40, dtype=torch.float64)
    expected = in_numpy(x, name)
    for matrix, polar in ((x, expected), (x.mT, expected.mT)):
        found = orthogonalized(matrix, coefficients=name, precision="float32", form=form)
        assert distance(found, polar) < 1e-13  # ten steps of products of float64


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (30, 30)], ids=str)
def test_a_convergent_set_leads_to_the_polar_factor(shape):
    x = spread(30.0, *shape)
    left, _, right = torch.linalg.svd(x, full_matrices=False)
    found = orthogonalized(x, coefficients="ns5", steps=14, precision="float32")
    assert distance(found, left @ right) < 1e-12  # quadratic convergence has come to its end
    quick = orthogonalized(x, coefficients="polar_express", steps=8, precision="float32")
    assert distance(quick, left @ right) < 1e-4  # its last step is made for 0.001 to 1


@pytest.mark.parametrize(
    ("name", "shape", "condition"),
    combinations(SAFE, [(40, 40), (16, 80), (90, 30)], [10.0, 1e4, 1e8]),
)
def test_the_gram_form_rounds_about_as_the_ordinary_one_does(name, shape, condition):
    x = spread(condition, *shape)
    for steps in (3, 5, 8, 12):
        exact = orthogonalized(x, coefficients=name, steps=steps, precision="float32")
        ordinary, gram = (
            distance(orthogonalized(x.float(), coefficients=name, steps=steps, form=form), exact)
            for form in ("ordinary", "gram")
        )
        # Where rounding errors grow, they do so by powers of ten.
        assert gram < 15 * ordinary


@pytest.mark.parametrize("name", SAFE)
def test_the_form_that_is_taken_by_default_is_as_near_to_the_polar_factor(name):
    low_rank = random(48, 8, dtype=torch.float64) @ random(8, 192, seed=1, dtype=torch.float64)
    gaussian = random(48, 192, dtype=torch.float64)
    kinds = (gaussian, low_rank, low_rank + 1e-2 * gaussian, gaussian.cumsum(1).cumsum(0))
    for x in (*kinds, *(spread(10.0**power, 192, 48) for power in (1, 2, 3, 6))):
        left, values, right = torch.linalg.svd(x, full_matrices=False)
        there = values > 1e-9 * values[0]
        exact = left[:, there] @ right[there]
        ordinary, default = (
            distance(orthogonalized(x.float(), coefficients=name, form=form), exact)
            for form in ("ordinary", None)
        )
        assert default < ordinary + 0.01


def test_a_run_of_the_gram_form_is_as_long_as_rounding_allows():
    lengths = {name: [len(run) for run in runs(SETS[name].taken())] for name in SETS}
    assert lengths["jordan"] == [3, 2]
    assert lengths["polar_express"] == [2, 2, 1]
    assert lengths["ns3"] == [7, 5, 3]


def test_the_form_with_fewer_operations_is_chosen():
    steps = SETS["jordan"].taken()
    # 5 (4 r + 2) m^3 in the one; in the other 2 (4 r) m^3, 5 squares and 9 products beside.
    assert flops_of_forms(10, 40, steps) == (90_000, 60_000)
    for shape, form in (((10, 40), "gram"), ((40, 10), "gram"), ((20, 20), "ordinary")):
        x = random(*shape)
        assert torch.equal(orthogonalized(x, form=None), orthogonalized(x, form=form))
    x = random(10, 40)
    unsafe = orthogonalized(x, coefficients="cans", form=None)
    assert torch.equal(unsafe, orthogonalized(x, coefficients="cans"))


@pytest.mark.parametrize("precision", ["bfloat16", "float32", "medium"])
@pytest.mark.parametrize("form", ["ordinary", "gram"])
@pytest.mark.parametrize("shape", [(30, 24, 40), (30, 40, 24), (3, 150, 160)], ids=str)
def test_a_matrix_of_a_stack_is_what_it_is_alone(shape, form, precision):
    def alone(matrix: Tensor) -> Tensor:
        return orthogonalized(matrix, precision=precision, form=form)

    x = random(*shape)
    together = orthogonalized(x, precision=precision, form=form)
    assert torch.equal(together, torch.stack([alone(matrix) for matrix in x]))
    assert torch.equal(together, torch.vmap(alone)(x))
    assert torch.equal(together[:, None], torch.vmap(alone)(x[:, None]))
    last = torch.vmap(alone, in_dims=2, out_dims=2)(x.movedim(0, 2))
    assert torch.equal(together, last.movedim(2, 0))


@pytest.mark.parametrize("name", SETS)
def test_small_and_large_matrices_get_the_result_of_their_direction(name):
    x = random(6, 9)
    expected = orthogonalized(x, coefficients=name)
    for exponent in (-100, -20, 20, 100):  # by powers of two, which round nothing
        assert torch.equal(orthogonalized(x * 2.0**exponent, coefficients=name), expected)
    tiny = (x * 1e-43).double()  # numbers that float32 keeps with few digits
    subnormal = orthogonalized(tiny.float(), coefficients=name, precision="float32")
    assert (
        distance(
            subnormal,
            orthogonalized(tiny.float().double() * 1e43, coefficients=name, precision="float32"),
        )
        < 1e-3
    )


@pytest.mark.parametrize("name", SETS)
def test_zeros_remain_zeros_beside_others_and_within_a_matrix(name):
    x = random(3, 6, 9)
    x[1] = 0
    x[2, 3] = 0
    for form in ("ordinary", "gram") if SETS[name].is_safe else ("ordinary",):
        found = orthogonalized(x, coefficients=name, form=form)
        assert found.isfinite().all()
        assert found[1].count_nonzero() == 0
        assert found[2, 3].count_nonzero() == 0
        assert found[2].norm() > 1
    assert orthogonalized(torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("name", SETS)
def test_no_matrix_is_turned_around(name):
    # The singular values of these are the largest that a normalized matrix may have.
    for x in (torch.outer(random(8), random(20, seed=1)), random(12).diag(), torch.ones(3, 3)):
        assert (orthogonalized(x, coefficients=name) * x).sum() > 0.4 * x.norm()


def test_infinities_are_not_hidden():
    x = random(3, 4)
    for value in (float("inf"), float("nan")):
        x[1, 2] = value
        assert orthogonalized(x).isnan().all()


def test_a_matrix_below_eps_moves_less():
    x = random(4, 4)
    x = x / x.norm()
    once = {"coefficients": (1.0, 0.0, 0.0), "steps": 1, "precision": "float32"}
    assert orthogonalized(x * 1e-3, eps=1e-2, **once).norm().item() == pytest.approx(0.1)
    assert orthogonalized(x * 1e-1, eps=1e-2, **once).norm().item() == pytest.approx(1.0)
    assert orthogonalized(x * 1e-44, eps=1e-2, **once).norm() < 1e-30


def test_the_result_has_the_dtype_and_the_precision_that_are_asked_for():
    x = random(8, 20, dtype=torch.float64)
    exact = orthogonalized(x, precision="float32")
    for dtype, bound in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)):
        found = orthogonalized(x.to(dtype), precision="float32")
        assert found.dtype == dtype
        assert distance(found, exact) < bound  # the rounding of the input
    assert orthogonalized(x).dtype == torch.float64
    assert 1e-3 < distance(orthogonalized(x), exact) < 0.1  # products in 16 bits
    before = torch.get_float32_matmul_precision()
    orthogonalized(x, precision="medium")
    assert torch.get_float32_matmul_precision() == before


def test_coefficients_are_given_for_all_steps_or_for_each():
    x = random(4, 6)
    you = SETS["you"].taken()
    assert torch.equal(orthogonalized(x, coefficients=you), orthogonalized(x, coefficients="you"))
    assert torch.equal(
        orthogonalized(x, coefficients=[list(row) for row in you], steps=7),
        orthogonalized(x, coefficients=(*you, you[-1], you[-1])),
    )
    assert torch.equal(orthogonalized(x, coefficients=JORDAN), orthogonalized(x))


def test_autograd_goes_through():
    x = random(4, 6, dtype=torch.float64).requires_grad_()
    for form in ("ordinary", "gram"):
        assert torch.autograd.gradcheck(
            lambda y, form=form: orthogonalized(y, precision="float32", steps=3, form=form), x
        )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"coefficients": "jordon"}, ValueError, "Invalid coefficients value: 'jordon'; .*'you'"),
        ({"coefficients": (1.0, 2.0)}, ValueError, "or three numbers (a, b, c)"),
        ({"coefficients": ((1.0, 2.0, "x"),)}, TypeError, "must be a number"),
        ({"coefficients": 3.0}, TypeError, "Invalid coefficients value: 3.0"),
        ({"steps": 0}, ValueError, "steps must be a whole number, at least 1, or None"),
        ({"precision": "float16"}, ValueError, "must be 'bfloat16', 'float32' or 'medium'"),
        ({"form": "short"}, ValueError, "form must be 'ordinary' or 'gram', or None"),
        ({"eps": -1.0}, ValueError, "eps must be at least 0"),
        ({"form": "gram", "coefficients": "cans"}, ValueError, "take form='ordinary'"),
        ({"form": "gram", "coefficients": "cubic5"}, ValueError, "take form='ordinary'"),
        ({"form": "gram", "coefficients": (3.0, -3.2, 1.2)}, ValueError, "that bear rounding"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_with_a_way_out(arguments, error, message):
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(error, match=pattern):
        orthogonalized(torch.ones(2, 3), **arguments)


def test_what_is_no_real_matrix_is_refused():
    with pytest.raises(TypeError, match="complex64; convert it first"):
        orthogonalized(torch.ones(2, 3, dtype=torch.complex64))
    with pytest.raises(TypeError, match="int64; convert it first"):
        orthogonalized(torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="give it two dimensions"):
        orthogonalized(torch.ones(3))
