"""The eigenvectors of the sides of matrices."""

import pytest
import torch
from torch import nn

from schuss import SOAP
from schuss.matrices.sides import eigenvectors, orthonormal, power_iterated, reordered


@pytest.fixture
def _one_fails(monkeypatch):
    """Let a decomposition in float32 fail if some matrix of the stack has a trace above 100."""
    eigh = torch.linalg.eigh

    def failing(x):
        if (
            x.dtype is torch.float32
            and not x.is_meta
            and (x.diagonal(dim1=-2, dim2=-1).sum(-1) > 100).any()
        ):
            raise torch.linalg.LinAlgError("no convergence")
        return eigh(x)

    monkeypatch.setattr(torch.linalg, "eigh", failing)


@pytest.mark.usefixtures("_one_fails")
def test_a_decomposition_that_does_not_converge_is_made_in_double_precision_alone():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 4, generator=generator)
    x = x @ x.mT
    x[1] *= 1000
    values, vectors = eigenvectors(x)
    torch.testing.assert_close(vectors @ (values.unsqueeze(-1) * vectors.mT), x)
    wide = torch.linalg.eigh(x[1].double())
    assert torch.equal(values[1], wide.eigenvalues.float().flip(-1))
    for n in (0, 2):
        assert torch.equal(vectors[n], torch.linalg.eigh(x[n]).eigenvectors.flip(-1))


@pytest.mark.usefixtures("_one_fails")
@pytest.mark.parametrize("engine", ["fused", "foreach"])
def test_engines_with_stages_make_it_again_as_the_loop_does(engine):
    def stepped(**options):
        generator = torch.Generator().manual_seed(1)
        params = [nn.Parameter(torch.randn(4, 3, generator=generator)) for _ in range(3)]
        optimizer = SOAP(params, lr=0.1, precondition_frequency=1, **options)
        for _ in range(3):
            for number, param in enumerate(params):
                grad = torch.randn(4, 3, generator=generator)
                param.grad = grad * (100 if number == 1 else 1)
            optimizer.step()
        return torch.stack([param.detach() for param in params])

    torch.testing.assert_close(
        stepped(**{engine: True}), stepped(foreach=False), rtol=1e-3, atol=1e-4
    )


def symmetric(*shape):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x @ x.mT


@pytest.mark.parametrize("shape", [(5, 5), (3, 5, 5), (2, 3, 5, 5)], ids=str)
def test_a_step_of_the_power_iteration_comes_nearer_to_the_eigenvectors_in_their_order(shape):
    x = symmetric(*shape)
    basis = torch.linalg.qr(torch.eye(5, dtype=x.dtype) + 0.3 * x / x.norm()).Q
    found, order = power_iterated(x, basis)
    estimates = (basis.mT @ x @ basis).diagonal(dim1=-2, dim2=-1)
    assert torch.equal(order, estimates.argsort(-1, descending=True))
    sorted_by_hand = basis.gather(-1, order.unsqueeze(-2).expand(basis.shape))
    expected = torch.linalg.qr(x @ sorted_by_hand)
    torch.testing.assert_close(found, expected.Q, rtol=1e-9, atol=1e-12)

    def far(q):
        return (q.mT @ x @ q).tril(-1).norm()

    assert far(found) < far(sorted_by_hand)


@pytest.mark.parametrize("shape", [(6, 6), (3, 6, 4)], ids=str)
def test_orthonormal_columns_are_those_of_the_qr_decomposition_to_the_bit(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(orthonormal(x), torch.linalg.qr(x).Q)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(orthonormal(x).square().mean(), x)
    assert gradient.shape == x.shape
    with torch.no_grad():
        assert torch.equal(orthonormal(x), torch.linalg.qr(x).Q)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 1, 3, 4)], ids=str)
def test_rows_and_columns_come_in_the_orders_of_each_matrix(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    rows = torch.randn(shape[:-1], generator=generator).argsort(-1)
    columns = torch.randn((*shape[:-2], shape[-1]), generator=generator).argsort(-1)
    assert reordered(x, None, None) is x
    for of_rows in (rows, None):
        for of_columns in (columns, None):
            found = reordered(x, of_rows, of_columns).reshape(-1, 3, 4)
            for number, matrix in enumerate(x.reshape(-1, 3, 4)):
                expected = matrix if of_rows is None else matrix[rows.reshape(-1, 3)[number]]
                if of_columns is not None:
                    expected = expected[:, columns.reshape(-1, 4)[number]]
                assert torch.equal(found[number], expected)
