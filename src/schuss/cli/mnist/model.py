"""The network: two convolutions and two linear layers, as in labml's MNIST experiment."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """A network for images of 28 x 28 pixels and 10 classes, of 431,080 parameters.

    Takes images of shape (batch, 1, 28, 28) and returns logits of shape (batch, 10), in float32
    whatever the weights are in.

    Example:
        >>> sum(param.numel() for param in ConvNet().parameters())
        431080
        >>> ConvNet()(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(4 * 4 * 50, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every image."""
        features = self.pool(self.conv1(images.to(self.conv1.weight.dtype)).relu())
        features = self.pool(self.conv2(features).relu())
        logits: Tensor = self.fc2(self.fc1(features.flatten(1)).relu())
        return logits.float()


def seeded_model(seed: int) -> ConvNet:
    """Return a network whose weights depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return ConvNet()
