"""Functions that kernels call: how numbers are read and written, and what Triton lacks.

An array begins at an address, an int64. A load of 128 bits needs an address that is a multiple of
16; with `ALIGNED` the caller knows that it is one.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra import libdevice

exp, log, tanh, cosine = libdevice.exp, libdevice.log, libdevice.tanh, libdevice.cos
power, atan2 = libdevice.pow, libdevice.atan2
cube_root_of_any, remainder_of_signs = libdevice.cbrt, libdevice.fmod


@triton.jit
def pointer(base, KIND: tl.constexpr, ALIGNED: tl.constexpr):
    """Return an address as a pointer."""
    found = base.to(tl.pointer_type(KIND))
    if ALIGNED:
        found = tl.multiple_of(found, 16)
    return found


@triton.jit
def load(
    base, i, present, KIND: tl.constexpr, REAL: tl.constexpr,
    ALIGNED: tl.constexpr = False,  # noqa: FBT002  # Triton knows no arguments by name only
):  # fmt: skip
    """Read a block of an array; zeros where none of its numbers are present."""
    return tl.load(pointer(base, KIND, ALIGNED) + i, mask=present, other=0.0).to(REAL)


@triton.jit
def store(
    base, i, present, number, KIND: tl.constexpr,
    ALIGNED: tl.constexpr = False,  # noqa: FBT002
):  # fmt: skip
    """Write a block of an array."""
    tl.store(pointer(base, KIND, ALIGNED) + i, number.to(KIND), mask=present)


@triton.jit
def load_one(base, KIND: tl.constexpr, REAL: tl.constexpr):
    """Read a number."""
    return tl.load(base.to(tl.pointer_type(KIND))).to(REAL)


@triton.jit
def store_one(base, number, KIND: tl.constexpr):
    """Write a number."""
    tl.store(base.to(tl.pointer_type(KIND)), number.to(KIND))


@triton.jit
def arguments_of(upload, begin, words, tensors, tensor, SEVERAL: tl.constexpr):
    """Return where the arguments of a tensor are: its own, or the only ones."""
    mine = upload + begin
    if SEVERAL:
        mine = tl.load(mine + words + tensors + tensor)
    return mine.to(tl.pointer_type(tl.float64))


@triton.jit(do_not_specialize=["begin"])
def put(numbers, places, upload, begin):
    """Put a number, and its reciprocal, to the arguments: one program for each number."""
    number = tl.load(numbers + tl.program_id(0))
    at = (upload + begin + tl.load(places + tl.program_id(0))).to(tl.pointer_type(tl.float64))
    tl.store(at, number)
    tl.store(at + 1, 1.0 / number)


@triton.jit
def is_stepped(upload, begin, words, tensor, skip):
    """Tell whether a tensor has a gradient, and the step is not to be left out."""
    return (tl.load(upload + begin + words + tensor) != 0) & (tl.load(skip) == 0)


# A division and a root of float32 are approximations by default, and the exact ones exist for
# float32 only.
@triton.jit
def divided(x, y):
    """Return a quotient, rightly rounded."""
    if x.dtype == tl.float64:
        return x / y
    else:
        return tl.div_rn(x, y)


@triton.jit
def root(x):
    """Return a square root, rightly rounded."""
    if x.dtype == tl.float64:
        return tl.sqrt(x)
    else:
        return tl.sqrt_rn(x)


@triton.jit
def cube_root(x):
    """Return the cube root of a number that is not negative, else NaN."""
    return tl.where(x >= 0, cube_root_of_any(x), float("nan"))


@triton.jit
def remainder(x, y):
    """Return the remainder of a division, with the sign of the divisor, as Python has it."""
    left = remainder_of_signs(x, y)
    return tl.where((left != 0) & ((left < 0) != (y < 0)), left + y, left)


@triton.jit
def signed(x, REAL: tl.constexpr):
    """Return the sign of a number."""
    return (x > 0).to(REAL) - (x < 0).to(REAL)


@triton.jit
def interpolated(x, y, weight):
    """Return the number between two, as torch computes it."""
    d = y - x
    return tl.where(tl.abs(weight) < 0.5, x + weight * d, y - d * (1.0 - weight))


@triton.jit
def rounds_to(x, half, KIND: tl.constexpr):
    """Tell whether a number rounds to another one, which has half precision: bit for bit."""
    rounded = x.to(KIND).to(tl.int16, bitcast=True)
    return rounded == half.to(KIND).to(tl.int16, bitcast=True)


# The operations of `storage.halves`, on the bits of float32.
@triton.jit
def _rounded(bits, DIGITS: tl.constexpr):
    """Return bits rounded to a multiple of a power of two, ties away from zero."""
    return ((bits + (1 << (DIGITS - 1))) >> DIGITS) << DIGITS


@triton.jit
def _kept(x, SHIFT: tl.constexpr):
    """Return the bits of numbers, rounded to those that are kept."""
    bits = x.to(tl.int32, bitcast=True)
    if SHIFT > 0:
        bits = _rounded(bits, SHIFT)
    return tl.where(x == x, bits, 0x7FC00000)


@triton.jit
def joined_bits(half, remainder, SHIFT: tl.constexpr):
    """Return numbers of float32 from numbers of bfloat16 and their remainders."""
    bits = half.to(tl.int32, bitcast=True)
    moved = bits + (remainder.to(tl.int32) << SHIFT)
    return tl.where((moved ^ bits) >= 0, moved, bits).to(tl.float32, bitcast=True)


@triton.jit
def upper_bits(x, SHIFT: tl.constexpr):
    """Return numbers rounded to bfloat16, ties away from zero."""
    return _rounded(_kept(x, SHIFT), 16).to(tl.float32, bitcast=True)


@triton.jit
def lower_bits(x, SHIFT: tl.constexpr):
    """Return what then remains, as whole numbers."""
    bits = _kept(x, SHIFT)
    return ((bits - _rounded(bits, 16)) >> SHIFT).to(tl.float32)


@triton.jit
def _mixed_word(word, more):
    word = (word ^ (word >> 16)) * 0x21F0AAAD
    word = ((word ^ (word >> 15)) + more) * 0x735A2D97
    return word ^ (word >> 15)


@triton.jit
def stochastic(x, stream, step, element):
    """Return numbers rounded to bfloat16 up or down at random."""
    zero = tl.zeros([], tl.uint32)
    start = _mixed_word(stream.to(tl.int64).to(tl.uint32) + 0x9E3779B9, zero)
    first = _mixed_word(step.to(tl.int64).to(tl.uint32) ^ start, zero)
    second = _mixed_word(first ^ 0x85EBCA6B, zero)
    noise = (_mixed_word(element.to(tl.uint32) + first, second) >> 16).to(tl.int32)
    bits = x.to(tl.int32, bitcast=True)
    raised = ((bits + noise) >> 16) << 16
    other = tl.where(x == x, bits, 0x7FC00000)
    is_finite = (bits & 0x7FFFFFFF) < 0x7F800000
    return tl.where(is_finite, raised, other).to(tl.float32, bitcast=True)


@triton.jit
def larger(x, y):
    """Return the larger of two numbers; NaN if one of them is."""
    return tl.where(x > y, x, tl.where(x == x, y, x))


@triton.jit
def smaller(x, y):
    """Return the smaller of two numbers; NaN if one of them is."""
    return tl.where(x < y, x, tl.where(x == x, y, x))


@triton.jit
def started(like, NAME: tl.constexpr):
    """Return the beginning of a reduction, for each lane of a block."""
    if NAME == "sum":
        return like
    elif NAME == "amax":
        return like + float("-inf")
    else:
        return like + float("inf")


@triton.jit
def accumulated(so_far, number, present, NAME: tl.constexpr):
    """Return a reduction with one number more in each lane, where there is one."""
    if NAME == "sum":
        more = so_far + number
    elif NAME == "amax":
        more = larger(so_far, number)
    else:
        more = smaller(so_far, number)
    return tl.where(present, more, so_far)


@triton.jit
def joined(lanes, axis: tl.constexpr, NAME: tl.constexpr):
    """Join lanes in a fixed order, as float64: all of them, or along an axis, which stays."""
    wide = lanes.to(tl.float64)
    keep: tl.constexpr = axis is not None
    if NAME == "sum":
        return tl.sum(wide, axis, keep_dims=keep)
    elif NAME == "amax":  # tl.max would lose NaN
        return tl.reduce(wide, axis, larger, keep_dims=keep)
    else:
        return tl.reduce(wide, axis, smaller, keep_dims=keep)


@triton.jit
def joined_parts(base, i, present, apart, parts, NAME: tl.constexpr, AT_ONCE: tl.constexpr):
    """Join the partials of a block: the first are at `i`, each next one is `apart` further."""
    part = tl.arange(0, AT_ONCE)[None, None, :]
    at = i[:, :, None] + apart * part
    lanes = started(tl.zeros(at.shape, tl.float64), NAME)
    for first in range(0, parts, AT_ONCE):
        exists = present[:, :, None] & (part < parts - first)
        number = load(base + 8 * apart * first, at, exists, tl.float64, tl.float64)
        lanes = accumulated(lanes, number, exists, NAME)
    return tl.reshape(joined(lanes, 2, NAME), i.shape)


@triton.jit(do_not_specialize=["entries", "tensors", "index", "total"])
def join(
    owners, begins, partials, totals, entries, tensors, index, total,
    NAME: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Join the partials that the entries of one tensor have made: one program for each tensor."""
    owner = tl.program_id(0)
    first = tl.load(begins + owner)
    end = tl.load(begins + owner + 1)
    i = tl.arange(0, WIDTH)
    lanes = started(tl.zeros([WIDTH], tl.float64), NAME)
    for at in range(first, end, WIDTH):
        number = tl.load(partials + index * entries + at + i, mask=at + i < end, other=0.0)
        lanes = accumulated(lanes, number, at + i < end, NAME)
    tl.store(totals + total * tensors + tl.load(owners + owner), joined(lanes, None, NAME))


# The same random numbers as on the CPU: SplitMix64 of seed, tensor and element.
@triton.jit
def _mixed(bits):
    """Return 64 bits that depend on all 64 bits of the argument: the finalizer of SplitMix64."""
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    return bits ^ (bits >> 31)


@triton.jit
def _bits(seed, tensor, element):
    """Return 64 random bits that belong to one element of one tensor."""
    stream = _mixed(seed.to(tl.uint64) + (tensor + 1).to(tl.uint64) * 0x9E3779B97F4A7C15)
    return _mixed(stream + (element + 1).to(tl.uint64) * 0x9E3779B97F4A7C15)


@triton.jit
def uniform(seed, tensor, element, REAL: tl.constexpr):
    """Return random numbers in [0, 1), multiples of 2**-24 as float32 has them."""
    return (_bits(seed, tensor, element) >> 40).to(tl.int64).to(REAL) * (1.0 / 16777216.0)


@triton.jit
def normal(seed, tensor, element, REAL: tl.constexpr):
    """Return random numbers from the standard normal distribution (Box and Muller, 1958)."""
    bits = _bits(seed, tensor, element)
    one = ((bits >> 32).to(tl.int64).to(tl.float64) + 1.0) * (1.0 / 4294967296.0)
    other = (bits & 0xFFFFFFFF).to(tl.int64).to(tl.float64) * (1.0 / 4294967296.0)
    radius = tl.sqrt(-2.0 * log(one))
    return (radius * cosine(6.283185307179586 * other)).to(REAL)
