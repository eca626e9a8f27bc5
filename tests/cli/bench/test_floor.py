"""The floor moves what it says."""

import pytest
import torch
from torch import Tensor

from schuss.cli.bench.floor import Floor
from schuss.cli.bench.workloads import Workload, parameters

# A scalar, an empty tensor, less than a row, and more than two.
WORKLOAD = Workload("floor", "floor", ((), (0,), (3, 5), (40_000,)))


def moved(tensors: list[tuple[Tensor, ...]]) -> list[Tensor]:
    return [tensor.clone() for param, _, *states in tensors for tensor in (param, *states)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("states", [0, 1, 2, 3, 5])
def test_a_step_adds_the_gradient_once_to_all_that_it_writes(states: int, threads: int) -> None:
    bench = Floor(parameters(WORKLOAD), states, threads)
    bench.threads = threads  # whichever was faster
    assert [len(tensors) for tensors in bench.tensors] == [2 + states] * 4
    before = moved(bench.tensors)
    bench.step()
    gradients = [gradient for _, gradient, *_ in bench.tensors for _ in range(1 + states)]
    for new, old, gradient in zip(moved(bench.tensors), before, gradients, strict=True):
        assert torch.equal(new, old + gradient)


def test_every_parameter_needs_a_gradient() -> None:
    with pytest.raises(ValueError, match="needs a gradient of every parameter"):
        Floor([torch.nn.Parameter(torch.zeros(2))], 0, 1)
