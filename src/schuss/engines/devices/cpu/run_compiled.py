"""Running the kernels of a step one after the other: compiled like a kernel.

Nothing of Python comes between them, so a step happens or does not.
"""

import numba

from schuss.engines.devices.cpu.numbers import (
    call,
    call_parallel,
    load_float64,
    load_int32,
    load_int64,
    store_float64,
    store_int32,
    store_int64,
)
from schuss.engines.devices.cpu.words import *


@numba.njit(inline="always")
def join(launch, partials, total, kind):
    """Join the partials that the entries of each tensor have made."""
    owners, firsts = load_int64(launch, LAUNCH_OWNER), load_int64(launch, LAUNCH_FIRST)
    totals = load_int64(launch, LAUNCH_TOTALS) + 8 * total * load_int64(launch, LAUNCH_TENSORS)
    for k in range(load_int64(launch, LAUNCH_OWNERS)):
        first = load_int64(firsts, k)
        joined = load_float64(partials, first)
        for entry in range(first + 1, load_int64(firsts, k + 1)):
            partial = load_float64(partials, entry)
            if kind == 0:
                joined += partial
            elif kind == 1:
                joined = partial if partial > joined or partial != partial else joined
            else:
                joined = partial if partial < joined or partial != partial else joined
        store_float64(totals, load_int64(owners, k), joined)


@numba.njit(inline="always")
def raise_versions(launch):
    """Count one more change of every tensor that a launch has written to."""
    grads, tensors = load_int64(launch, LAUNCH_GRADS), load_int64(launch, LAUNCH_TENSORS)
    versions = load_int64(launch, LAUNCH_VERSIONS)
    for column in range(load_int64(launch, LAUNCH_WRITTEN)):
        for tensor in range(tensors):
            version = load_int64(versions, column * tensors + tensor)
            if version != 0 and load_int64(grads, tensor) != 0:
                store_int32(version, 0, load_int32(version, 0) + 1)


@numba.cfunc("void(int64)", error_model="numpy")
def changed(launch):
    """Count one more change of every tensor that a launch has written to, on another device."""
    raise_versions(launch)


@numba.cfunc("void(int64)", error_model="numpy")
def run(job):
    """Run kernels, and say at last that they were."""
    launches = load_int64(job, RUN_LAUNCHES)
    for k in range(load_int64(job, RUN_COUNT)):
        launch = load_int64(launches, k)
        kernel, threads = load_int64(launch, LAUNCH_JOB), load_int64(launch, LAUNCH_THREADS)
        functions = load_int64(launch, LAUNCH_FUNCTIONS)
        joins = load_int64(launch, LAUNCH_JOINS)
        for number in range(load_int64(launch, LAUNCH_PASSES)):
            function = load_int64(functions, number)
            store_int64(kernel, 0, 0)  # the next entry
            if threads > 1:
                call_parallel(load_int64(job, RUN_PARALLEL), function, kernel, threads)
            else:
                call(function, kernel)
            partials = load_int64(launch, LAUNCH_PARTIALS)
            for _ in range(load_int64(load_int64(launch, LAUNCH_REDUCTIONS), number)):
                join(launch, partials, load_int64(joins, 0), load_int64(joins, 1))
                partials += 8 * load_int64(launch, LAUNCH_ENTRIES)
                joins += 16
        if load_int64(launch, LAUNCH_CLOSING) != 0:
            call(load_int64(launch, LAUNCH_CLOSING), kernel)
        raise_versions(launch)
    store_int64(job, RUN_DONE, 1)
