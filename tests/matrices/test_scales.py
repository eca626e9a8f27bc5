"""The scales of directions."""

from __future__ import annotations

import pytest
import torch

from schuss.matrices import SCALES, scale

# Of a tall matrix, and of a wide one.
EXPECTED = {
    "original": (2.0, 1.0),
    "match_rms_adamw": (1.6, 1.6),
    "spectral": (2.0, 0.5),
    "unit_rms": (8.0, 8.0),
    "none": (1.0, 1.0),
}


def test_every_scale_has_its_formula():
    found = {name: (scale(name, (64, 16)), scale(name, (3, 16, 64))) for name in SCALES}
    assert found == {name: pytest.approx(values) for name, values in EXPECTED.items()}
    assert scale(None, (64, 16)) == 2.0


@pytest.mark.parametrize(("name", "size"), [("match_rms_adamw", 0.2), ("unit_rms", 1.0)])
def test_two_scales_set_the_root_of_the_mean_square(name, size):
    for shape in ((8, 20), (20, 8)):
        o = torch.linalg.qr(torch.randn(20, 8, dtype=torch.float64)).Q.reshape(20, 8)
        o = o if shape == (20, 8) else o.mT
        assert (o * scale(name, shape)).square().mean().sqrt().item() == pytest.approx(size)
