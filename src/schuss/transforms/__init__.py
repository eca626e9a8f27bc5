"""Transforms change a gradient or an update on its way to the parameter."""

from schuss.transforms.weight_decay import L1Decay, WeightDecay

__all__ = ["L1Decay", "WeightDecay"]
