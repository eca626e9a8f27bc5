"""Looking at the memory of all tensors: compiled like a kernel.

`look` tells whether the tensors of an optimizer lie where they lay, finds the gradients, and keeps
these alive; `release` lets go of them.
"""

import numba

from schuss.engines.devices.cpu.numbers import (
    added_int32,
    call,
    call_into,
    call_parallel,
    load_int32,
    load_int64,
    store_int64,
    taken,
)
from schuss.engines.devices.cpu.words import *


@numba.njit(inline="always")
def is_of_kind(job, tensor, kinds):
    """Tell whether a tensor has a dtype, a device and a layout."""
    first = load_int64(tensor + load_int64(job, TORCH_KIND), 0) & load_int64(job, TORCH_MASK)
    second = load_int64(tensor + load_int64(job, TORCH_KIND_2), 0) & load_int64(job, TORCH_MASK_2)
    return (first ^ load_int64(kinds, 0)) | (second ^ load_int64(kinds, 1)) == 0


@numba.njit(inline="always")
def shape_differs(place, shape):
    """Return 0 if a tensor has a number of dimensions, sizes, and strides."""
    dim = load_int64(shape, 0)
    differs = load_int64(place, 0) ^ dim
    for k in range(dim):
        differs |= load_int64(place, 1 + k) ^ load_int64(shape, 1 + k)
        differs |= load_int64(place, 1 + DIMENSIONS + k) ^ load_int64(shape, 1 + dim + k)
    return differs


@numba.njit(inline="always")
def are_as_before(job, own, count):
    """Tell whether some tensors of the optimizer are what they were, where they were."""
    implementation, at_storage = (
        load_int64(job, TORCH_IMPLEMENTATION),
        load_int64(job, TORCH_STORAGE),
    )
    at_version, at_offset = load_int64(job, TORCH_VERSION), load_int64(job, TORCH_OFFSET)
    at_data, at_nbytes = load_int64(job, TORCH_DATA), load_int64(job, TORCH_NBYTES)
    at_kind, at_kind_2 = load_int64(job, TORCH_KIND), load_int64(job, TORCH_KIND_2)
    mask, mask_2, at_dim = (
        load_int64(job, TORCH_MASK),
        load_int64(job, TORCH_MASK_2),
        load_int64(job, TORCH_DIM),
    )
    for _ in range(count):
        tensor = load_int64(own, OWN_IMPLEMENTATION)
        storage = load_int64(own, OWN_STORAGE)
        # The object and the implementation of each are kept alive, and the storage by these.
        differs = load_int64(load_int64(own, OWN_OBJECT) + implementation, 0) ^ tensor
        differs |= load_int64(tensor + at_storage, 0) ^ storage
        if differs:
            return False
        differs = load_int64(tensor + at_version, 0) ^ load_int64(own, OWN_VERSION)
        differs |= load_int64(tensor + at_offset, 0) ^ load_int64(own, OWN_OFFSET)
        differs |= load_int64(tensor + at_kind, 0) & mask ^ load_int64(own, OWN_KIND)
        differs |= load_int64(tensor + at_kind_2, 0) & mask_2 ^ load_int64(own, OWN_KIND_2)
        differs |= load_int64(storage + at_data, 0) ^ load_int64(own, OWN_DATA)
        differs |= load_int64(storage + at_nbytes, 0) ^ load_int64(own, OWN_NBYTES)
        differs |= shape_differs(tensor + at_dim, own + 8 * OWN_DIM)
        if differs:
            return False
        own += 8 * (1 + OWN_DIM + 2 * load_int64(own, OWN_DIM))
    return True


@numba.njit(inline="always")
def grad_of(job, tensor):
    """Return the implementation of the gradient of a parameter."""
    meta = load_int64(tensor + load_int64(job, TORCH_AUTOGRAD), 0)
    absent = load_int64(job, TORCH_ABSENT)
    grad = load_int64(meta + load_int64(job, TORCH_GRAD), 0) if meta else absent
    # Another thread that drops a gradient first counts down, and then clears the place. With no
    # references, or none but that of its object in Python (the sign says that there is one), a
    # gradient is about to be freed.
    count, references = load_int32(grad + REFERENCES, 0), load_int64(grad + REFERENCES, 0)
    return absent if count == 0 or (count == 1 and references < 0) else grad


@numba.njit(inline="always")
def overlaps(job, begin, end):
    """Tell whether a stretch of memory shares some with the optimizer's own."""
    starts, ends = load_int64(job, LOOK_STARTS), load_int64(job, LOOK_ENDS)
    low, high = 0, load_int64(job, LOOK_BOUNDS)
    while low < high:  # the first that begins behind it
        middle = (low + high) // 2
        if load_int64(starts, middle) < end:
            low = middle + 1
        else:
            high = middle
    return low > 0 and load_int64(ends, low - 1) > begin


@numba.njit(inline="always")
def begin_of(job, grad, like, index):
    """Return where a gradient begins, or 0 if it is not as it has to be."""
    place = grad + load_int64(job, TORCH_DIM)
    if not is_of_kind(job, grad, like) or shape_differs(place, like + 8 * GRAD_DIM):
        return 0
    storage = load_int64(grad + load_int64(job, TORCH_STORAGE), 0)
    offset = load_int64(grad + load_int64(job, TORCH_OFFSET), 0) * load_int64(like, GRAD_ITEM)
    data = load_int64(storage + load_int64(job, TORCH_DATA), 0)
    span = load_int64(like, GRAD_SPAN)
    if data == 0 or offset + span > load_int64(storage + load_int64(job, TORCH_NBYTES), 0):
        return 0
    begin = data + offset
    checked = load_int64(job, LOOK_CHECKED)
    if load_int64(checked, index) != begin:
        if overlaps(job, begin, begin + span):
            return 0
        store_int64(checked, index, begin)
    return begin


@numba.njit(inline="always")
def gradients_differ(job, share):
    """Find the gradients of some parameters; tell whether one is not as it has to be."""
    items, known = load_int64(job, LOOK_ITEMS), load_int64(job, LOOK_KNOWN)
    indices, like = load_int64(job, LOOK_INDICES), load_int64(share, SHARE_GRADS)
    found, held = load_int64(job, LOOK_FOUND), load_int64(job, LOOK_HELD)
    absent, missing = load_int64(job, TORCH_ABSENT), 0
    for i in range(load_int64(share, SHARE_FIRST), load_int64(share, SHARE_LAST)):
        param = load_int64(items, i)
        if param != load_int64(known, i):
            return True
        index = load_int64(indices, i)
        tensor = load_int64(param + load_int64(job, TORCH_IMPLEMENTATION), 0)
        grad = grad_of(job, tensor)
        if index == WITHOUT and grad != absent:
            return True
        if index >= 0:
            begin = 0
            if grad == absent:
                missing += 1
            else:
                begin = begin_of(job, grad, like, index)
                if begin == 0:
                    return True
                added_int32(grad + REFERENCES, 1)
                store_int64(held, index, grad)
            store_int64(found, index, begin)
            like += 8 * (1 + GRAD_DIM + 2 * load_int64(like, GRAD_DIM))
    store_int64(share, SHARE_MISSING, missing)
    return False


@numba.cfunc("void(int64)", error_model="numpy")
def check(job):
    """Look at one share after the other, until none is left."""
    while True:
        number = taken(job + 8 * LOOK_NEXT, 1)
        if number >= load_int64(job, LOOK_SHARES):
            return
        share = load_int64(job, LOOK_SHARE) + 8 * SHARE_WORDS * number
        own, count = load_int64(share, SHARE_OWN), load_int64(share, SHARE_COUNT)
        if not are_as_before(job, own, count) or gradients_differ(job, share):
            store_int64(job, LOOK_DIFFERS, 1)
            return


@numba.cfunc("int64(int64, int64)", error_model="numpy")
def look(job, params):
    """Find the gradients of the parameters in a list, and keep them alive.

    Return how many there are none of, or -1 if anything but gradients is not as it was.
    """
    store_int64(job, LOOK_ITEMS, load_int64(params + LIST_ITEMS, 0))
    store_int64(job, LOOK_NEXT, 0)
    store_int64(job, LOOK_DIFFERS, 0)
    function, threads = load_int64(job, LOOK_CHECK), load_int64(job, LOOK_THREADS)
    if threads > 1:
        call_parallel(load_int64(job, LOOK_PARALLEL), function, job, threads)
    else:
        call(function, job)
    missing, share = 0, load_int64(job, LOOK_SHARE)
    for _ in range(load_int64(job, LOOK_SHARES)):
        missing += load_int64(share, SHARE_MISSING)
        share += 8 * SHARE_WORDS
    return -1 if load_int64(job, LOOK_DIFFERS) else missing


@numba.cfunc("void(int64)", error_model="numpy")
def release(job):
    """Let go of the gradients that were kept alive."""
    held, room = load_int64(job, LOOK_HELD), load_int64(job, LOOK_ROOM)
    for index in range(load_int64(job, LOOK_BATCH)):
        grad = load_int64(held, index)
        if grad != 0:
            count, references = load_int32(grad + REFERENCES, 0), load_int64(grad + REFERENCES, 0)
            # The sign says that one of them is that of its object in Python. Where there is another
            # beside that one and ours, nothing is to be done but to count. The parameter, which
            # most often has it, need not be read, and kernels have pushed it out of the cache.
            if count > 2 or (count == 2 and references >= 0):
                added_int32(grad + REFERENCES, -1)
            else:  # ours may be the last: torch is to end it
                call_into(load_int64(job, TORCH_NEW_REFERENCE), held + 8 * index, room)
                added_int32(grad + REFERENCES, -1)
                call(load_int64(job, TORCH_END_REFERENCE), load_int64(room, 0))
            store_int64(held, index, 0)
