"""Matrices: how parameters are seen as matrices, and how these are orthogonalized.

Optimizers such as Muon treat the weight of a layer as one matrix, where Adam treats it as a list of
numbers. This folder holds all that they have in common.
"""

from schuss.matrices.coefficients import SETS, CoefficientSet, safer
from schuss.matrices.orthogonalization import orthogonalized
from schuss.matrices.scales import SCALES, scale
from schuss.matrices.shapes import Dims, Heads, Split, as_matrices, from_matrices

__all__ = [
    "SCALES",
    "SETS",
    "CoefficientSet",
    "Dims",
    "Heads",
    "Split",
    "as_matrices",
    "from_matrices",
    "orthogonalized",
    "safer",
    "scale",
]
