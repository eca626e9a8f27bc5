"""The gradients of many parameters, found without Python: compiled like a kernel.

Calls, for each parameter, what `walker` has looked up in torch's libraries.
"""

import numba

from schuss.engines.fused.numbers import call_for_address, call_into, load_int64, store_int64


@numba.njit(inline="always")
def answer(function, tensor, room):
    """Return what a function of torch writes about a tensor."""
    store_int64(room, 0, 0)
    call_into(function, tensor, room)
    return load_int64(room, 0)


@numba.njit(inline="always")
def is_as_expected(job, grad, layout, room):
    """Tell whether a gradient is dense, of a dtype, and has certain strides."""
    if answer(load_int64(job, 12), grad, room) != load_int64(job, 16):  # its kind of layout
        return False
    if answer(load_int64(job, 11), grad, room) != load_int64(layout, 0):  # its dtype
        return False
    dimensions = answer(load_int64(job, 13), grad, room)
    if dimensions != load_int64(layout, 1):
        return False
    strides = answer(load_int64(job, 14), grad, room)
    for k in range(dimensions):  # noqa: SIM110  # the compiler knows no all()
        if load_int64(strides, k) != load_int64(layout, 2 + k):
            return False
    return True


@numba.cfunc("void(int64)", error_model="numpy")
def walk(job):
    """Write where each gradient begins, and at last that all is as it was."""
    items = load_int64(job, 2)  # addresses of the objects now in the list of parameters
    known = load_int64(job, 3)  # those that were in it
    offset = load_int64(job, 4)  # of the tensor in its object
    begins = load_int64(job, 5)  # where the parameters began
    layout = load_int64(job, 6)  # for each: its dtype, its number of dimensions, its strides
    found = load_int64(job, 7)  # where to write
    room = load_int64(job, 8)  # for what the functions return
    grad_of = load_int64(job, 9)
    data_of = load_int64(job, 10)
    absent = load_int64(job, 15)  # the implementation of a gradient that is not there
    store_int64(job, 0, 0)
    for i in range(load_int64(job, 1)):
        param = load_int64(items, i) + offset
        if param - offset != load_int64(known, i):
            return
        if answer(data_of, param, room) != load_int64(begins, i):
            return
        grad = call_for_address(grad_of, load_int64(param, 0))
        if load_int64(grad, 0) == absent or not is_as_expected(job, grad, layout, room):
            return
        layout += 8 * (2 + load_int64(layout, 1))
        store_int64(found, i, answer(data_of, grad, room))
    store_int64(job, 0, 1)
