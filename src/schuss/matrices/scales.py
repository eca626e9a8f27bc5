r"""Factors by which an orthogonal direction is multiplied, from the shape of its matrix.

The singular values of an orthogonal direction $O$ of shape (rows, cols) are 1, so that the root of
its mean square is $1 / \sqrt{\max(\text{rows}, \text{cols})}$. A scale says which size a step has
instead. Packages differ by a factor of more than ten in the scale that they take for granted, so
that a learning rate means nothing without the name of its scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from schuss.domains import Domain, one_of, or_none

SCALES: Final[dict[str, Callable[[int, int], float]]] = {
    "original": lambda rows, cols: math.sqrt(max(1.0, rows / cols)),
    "match_rms_adamw": lambda rows, cols: 0.2 * math.sqrt(max(rows, cols)),
    "spectral": lambda rows, cols: math.sqrt(rows / cols),
    "unit_rms": lambda rows, cols: math.sqrt(max(rows, cols)),
    "none": lambda rows, cols: 1.0,
}
"""The scales by name.

- `original`: Jordan et al., *Muon*, 2024. A tall matrix moves further than a wide one.
- `match_rms_adamw`: Liu et al., *Muon is Scalable for LLM Training*, 2025, equation 4. The root of
  the mean square of a step is 0.2 times the learning rate, about that of AdamW.
  <https://arxiv.org/abs/2502.16982>
- `spectral`: Pethick et al., *Training Deep Learning Models with Norm-Constrained LMOs*, 2025. The
  change of the outputs does not depend on the width. <https://arxiv.org/abs/2502.07529>
- `unit_rms`: the root of the mean square of a step is the learning rate.
- `none`: the singular values of a step are the learning rate.
"""

SCALE: Final[Domain] = or_none(one_of(*SCALES))


def scale(name: str | None, shape: Sequence[int]) -> float:
    """Return the factor of a direction, from the last two dimensions of the shape of its matrix.

    Args:
        name: A name in `SCALES`, or None for `original`, as in `torch.optim`.
        shape: The shape of a matrix, or of a stack of them.

    Example:
        >>> from schuss.matrices import scale
        >>> scale("original", (64, 16)), scale("original", (16, 64)), scale("spectral", (16, 64))
        (2.0, 1.0, 0.5)
    """
    rows, cols = shape[-2:]
    return SCALES[name or "original"](rows, cols)
