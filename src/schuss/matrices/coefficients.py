r"""Coefficients of the Newton-Schulz iteration, by name.

The iteration brings all singular values of a matrix $X$ near 1 and leaves its singular vectors as
they are:

$$
X \leftarrow a X + b\, (X X^\top) X + c\, (X X^\top)^2 X
$$

One step changes a singular value s to a s + b s³ + c s⁵. The coefficients may differ from step to
step. Those of a *convergent* set lead to 1, slowly where s begins near 0. The others are steeper at
0 and need fewer steps, and the singular values end in an interval around 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from schuss.domains import NUMBER, Domain

Step: TypeAlias = tuple[float, float, float]
"""The coefficients a, b and c of one step."""


@dataclass(frozen=True)
class CoefficientSet:
    """The coefficients of an iteration.

    Attributes:
        given: Those of the first steps; further steps have the last ones.
        steps: The number of steps that the source takes.
        source: The publication or the program that they are from.
        is_safe: A singular value that rounding has lifted a little above 1 comes back, and does not
            change its sign. Without that the Gram form must not run in 16 bits.
        scales_rows: The rows of the matrix are scaled first, see `row_scaled`.
    """

    given: tuple[Step, ...]
    steps: int
    source: str
    is_safe: bool = True
    scales_rows: bool = False

    def taken(self, steps: int | None = None) -> tuple[Step, ...]:
        """Return the coefficients of so many steps, or of as many as the source takes."""
        count = self.steps if steps is None else steps
        return (*self.given[:count], *(self.given[-1:] * (count - len(self.given))))


def safer(given: Sequence[Step], factor: float) -> tuple[Step, ...]:
    """Return coefficients that take singular values up to `factor` for ones up to 1.

    In 16 bits a singular value may end above the interval that the next step was made for. Each
    step but the last is therefore that of s / `factor`: a is divided by the factor, b by its third
    and c by its fifth power.

    Example:
        >>> from schuss.matrices import safer
        >>> safer([(4.0, -8.0, 32.0), (1.875, -1.25, 0.375)], 2.0)
        ((2.0, -1.0, 1.0), (1.875, -1.25, 0.375))
    """
    *first, last = given
    return (*((a / factor, b / factor**3, c / factor**5) for a, b, c in first), last)


JORDAN: Final = (3.4445, -4.7750, 2.0315)

_POLAR_EXPRESS: Final = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)
"""The optimal polynomials for singular values from 0.001 to 1, before the factor of safety."""

SETS: Final[dict[str, CoefficientSet]] = {
    "jordan": CoefficientSet(
        (JORDAN,), 5, "Jordan et al., *Muon*, 2024, https://kellerjordan.github.io/posts/muon"
    ),
    "you": CoefficientSet(
        (
            (4.0848, -6.8946, 2.9270),
            (3.9505, -6.3029, 2.6377),
            (3.7418, -5.5913, 2.3037),
            (2.8769, -3.1427, 1.2046),
            (2.8366, -3.0525, 1.2012),
        ),
        5,
        "You and Cesista, 2025, https://leloykun.github.io/ponder/muon-opt-coeffs",
    ),
    "polar_express": CoefficientSet(
        safer(_POLAR_EXPRESS, 1.01),
        5,
        "Amsel et al., *The Polar Express*, 2025, Algorithm 1, https://arxiv.org/abs/2505.16932",
    ),
    "cans": CoefficientSet(
        (
            (8.4703, -25.1081, 18.6293),
            (4.1828, -3.1087, 0.5806),
            (3.9619, -2.9541, 0.5630),
            (3.2866, -2.4647, 0.5074),
            (2.2737, -1.6447, 0.4162),
        ),
        5,
        "Grishina et al., *CANS*, 2025, https://arxiv.org/abs/2506.10935",
        is_safe=False,
    ),
    "aol": CoefficientSet(
        (
            (4.0098, -7.0585, 2.4635),
            (3.4585, -5.5479, 2.5959),
            (2.7573, -3.2939, 1.4254),
            (2.7215, -3.0494, 1.3169),
        ),
        4,
        "Boissin et al., *Turbo-Muon*, 2025, https://arxiv.org/abs/2512.04632",
        scales_rows=True,
    ),
    "deepseek_v4": CoefficientSet(
        (*(JORDAN,) * 8, (2.0, -1.5, 0.5), (2.0, -1.5, 0.5)), 10, "DeepSeek-AI, *DeepSeek-V4*, 2026"
    ),
    "cubic5": CoefficientSet(
        (
            (3.3656576, -3.3420992, 0.0),
            (2.5744352, -1.4957376, 0.0),
            (2.5368962, -1.4312570, 0.0),
            (2.4418906, -1.2764040, 0.0),
            (2.2230472, -0.9630650, 0.0),
        ),
        5,
        "https://arxiv.org/abs/2606.00371",
        is_safe=False,
    ),
    "ns3": CoefficientSet(((1.5, -0.5, 0.0),), 15, "Newton and Schulz, of third order"),
    "ns5": CoefficientSet(((15 / 8, -10 / 8, 3 / 8),), 10, "Newton and Schulz, of fifth order"),
}
"""The sets of coefficients, by name."""


class _Coefficients(Domain):
    """The names of sets, three coefficients for all steps, and a row of threes for each step."""

    def __init__(self) -> None:
        names = ", ".join(map(repr, SETS))
        super().__init__(
            f"be one of {names}, or three numbers (a, b, c), or a tuple of such threes"
        )

    def check(self, key: str, value: Any) -> None:
        """Refuse a name that there is not, and rows of other lengths."""
        if isinstance(value, str):
            if value not in SETS:
                self.refuse(ValueError, key, value)
            return
        if not isinstance(value, (tuple, list)):
            self.refuse(TypeError, key, value)
        rows = [value] if value and not isinstance(value[0], (tuple, list)) else value
        if not rows or not all(isinstance(row, (tuple, list)) and len(row) == 3 for row in rows):
            self.refuse(ValueError, key, value)
        for row in rows:
            for index, number in enumerate(row):
                NUMBER.check(f"{key}[{index}]", number)

    def plain(self, value: Any) -> Any:
        """Return a name, or tuples of Python's numbers."""
        if isinstance(value, str):
            return value
        if not isinstance(value[0], (tuple, list)):
            return tuple(map(float, value))
        return tuple(tuple(map(float, row)) for row in value)


COEFFICIENTS: Final = _Coefficients()


def coefficient_set(value: str | Sequence[float] | Sequence[Sequence[float]]) -> CoefficientSet:
    """Return the set of a name, or the one of coefficients that a user gives.

    Coefficients of a user are not taken to be safe in 16 bits in the Gram form.
    """
    if isinstance(value, str):
        return SETS[value]
    plain = COEFFICIENTS.plain(value)
    if isinstance(plain[0], float):
        is_safe = plain == JORDAN
        return CoefficientSet((plain,), 5, "given", is_safe=is_safe)
    return CoefficientSet(plain, len(plain), "given", is_safe=False)
