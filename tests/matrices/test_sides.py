"""The eigenvectors of the sides of matrices."""

import pytest
import torch
from torch import nn

from schuss import SOAP
from schuss.matrices.sides import eigenvectors


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
