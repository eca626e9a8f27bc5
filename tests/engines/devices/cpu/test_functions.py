"""Functions in lanes, beside those of NumPy in float64."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from schuss.engines.devices.cpu import functions

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-45, 1e38]
ULP = {np.float32: 2.0**-23, np.float64: 2.0**-52}


@numba.njit(error_model="numpy", fastmath={"contract"})
def angles(y, x, found):
    for i in range(len(y)):
        found[i] = functions.atan2(y[i], x[i])


@numba.njit(error_model="numpy", fastmath={"contract"})
def cube_roots(x, found):
    for i in range(len(x)):
        found[i] = functions.cube_root(x[i])


def numbers(seed, dtype):
    draw = np.random.default_rng(seed)
    sizes = 10.0 ** draw.uniform(-30, 30, 100_000)
    return (draw.choice([-1, 1], sizes.shape) * sizes).astype(dtype)


def check(found, exact, dtype, ulps):
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    assert np.array_equal(np.signbit(found[exact == 0]), np.signbit(exact[exact == 0]))
    normal = np.isfinite(exact) & (np.abs(exact) > np.finfo(np.float32).tiny)
    error = np.abs(found[normal] / exact[normal] - 1)
    assert error.max() <= ulps * ULP[dtype]
    assert np.array_equal(found[np.isinf(exact)], exact[np.isinf(exact)])


@pytest.mark.parametrize("dtype", ULP)
def test_atan2_is_within_2_ulps_wherever_a_point_is(dtype):
    y, x = numbers(0, dtype), numbers(1, dtype)
    y[:100], x[:100] = np.repeat(SPECIAL, 10), np.tile(SPECIAL, 10)
    found = np.empty_like(y)
    angles(y, x, found)
    check(found, np.arctan2(y.astype(np.float64), x.astype(np.float64)), dtype, 2)


@pytest.mark.parametrize("dtype", ULP)
def test_cube_roots_are_those_of_the_numbers_that_have_one(dtype):
    x = np.abs(numbers(2, dtype))
    x[:8] = [0.0, 1.0, 8.0, np.inf, np.nan, 1e-40, 1e-45, 3e38]
    x[8] = -8.0
    found = np.empty_like(x)
    cube_roots(x, found)
    exact = np.cbrt(x.astype(np.float64))
    exact[8] = np.nan
    # In float64 it is the power of a third that is not quite one.
    check(found, exact, dtype, 2 if dtype is np.float32 else 32)
