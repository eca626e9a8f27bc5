"""The network."""

import torch

from schuss.cli.mnist.model import ConvNet, seeded_model


def test_layers_are_those_of_the_mnist_experiment_of_labml() -> None:
    shapes = [tuple(param.shape) for param in ConvNet().parameters()]
    assert shapes == [
        *[(20, 1, 5, 5), (20,), (50, 20, 5, 5), (50,)],
        *[(500, 800), (500,), (10, 500), (10,)],
    ]


def test_weights_depend_on_the_seed_alone() -> None:
    first = seeded_model(3)
    torch.rand(5)
    again, other = seeded_model(3), seeded_model(4)
    assert torch.equal(first.fc1.weight, again.fc1.weight)
    assert not torch.equal(first.fc1.weight, other.fc1.weight)


def test_making_a_network_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    seeded_model(0)
    assert torch.equal(torch.get_rng_state(), state)
