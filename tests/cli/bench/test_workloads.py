"""The shapes of the workloads."""

import math

import pytest
import torch

from schuss.cli.bench.workloads import WORKLOADS, parameters
from schuss.cli.mnist.model import ConvNet


@pytest.mark.parametrize(
    ("name", "tensors", "numbers"),
    [
        ("mnist", 8, 431_080),
        ("resnet50", 161, 25_557_032),
        ("gpt2", 148, 124_439_808),
        ("large", 1, 67_108_864),
    ],
)
def test_tensors_and_numbers_are_those_of_the_model(name: str, tensors: int, numbers: int) -> None:
    workload = WORKLOADS[name]
    assert (len(workload.shapes), workload.numbers) == (tensors, numbers)


def test_mnist_is_the_network_of_the_command_of_that_name() -> None:
    shapes = tuple(tuple(param.shape) for param in ConvNet().parameters())
    assert WORKLOADS["mnist"].shapes == shapes


def test_tiny_tensors_have_64_to_512_numbers() -> None:
    sizes = [math.prod(shape) for shape in WORKLOADS["tiny"].shapes]
    assert len(sizes) == 2000
    assert 64 <= min(sizes) < 80
    assert 500 < max(sizes) <= 512


def test_parameters_have_gradients_and_are_the_same_every_time() -> None:
    params, again = parameters(WORKLOADS["mnist"]), parameters(WORKLOADS["mnist"])
    for param, other, shape in zip(params, again, WORKLOADS["mnist"].shapes, strict=True):
        assert param.grad is not None
        assert other.grad is not None
        assert param.shape == param.grad.shape == torch.Size(shape)
        assert torch.equal(param, other)
        assert torch.equal(param.grad, other.grad)
        assert param.data_ptr() != other.data_ptr()
        assert param.grad.count_nonzero() == param.numel()
