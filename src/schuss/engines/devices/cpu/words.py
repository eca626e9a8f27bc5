"""The words of jobs, for compiled code that is not printed from a program."""

# A look at memory, and its end.
(
    LOOK_ITEMS,  # address of the addresses of the parameters in the list
    LOOK_KNOWN,  # address of those that were in it
    LOOK_INDICES,  # address of their positions in the batch; see below for those that are not in it
    LOOK_BATCH,  # how many are in it
    LOOK_SHARES,  # in how many shares threads look
    LOOK_SHARE,  # address of the shares, see SHARE
    LOOK_NEXT,  # the share that no thread has taken yet
    LOOK_DIFFERS,  # whether something was found to be other than before
    LOOK_CHECK,  # address of the function that looks at shares
    LOOK_THREADS,  # on how many threads
    LOOK_PARALLEL,  # address of OpenMP's entry for compilers
    LOOK_FOUND,  # address of where gradients begin, to be written; 0 for none
    LOOK_HELD,  # address of the implementations of gradients that are kept alive; 0 for none
    LOOK_CHECKED,  # address of where gradients began that were seen not to overlap
    LOOK_BOUNDS,  # how many stretches of memory the optimizer's tensors take
    LOOK_STARTS,  # address of where these begin, in order
    LOOK_ENDS,  # address of where these end
    LOOK_ROOM,  # address of a word to write to
    TORCH_IMPLEMENTATION,  # from here on: the fields of a TorchLayout
    TORCH_STORAGE,
    TORCH_AUTOGRAD,
    TORCH_VERSION,
    TORCH_DIM,
    TORCH_OFFSET,
    TORCH_KIND,
    TORCH_KIND_2,
    TORCH_MASK,
    TORCH_MASK_2,
    TORCH_GRAD,
    TORCH_ABSENT,
    TORCH_DATA,
    TORCH_NBYTES,
    TORCH_NEW_REFERENCE,
    TORCH_END_REFERENCE,
) = range(34)

# A share of a look.
(
    SHARE_OWN,  # address of what is known of some tensors of the optimizer, see OWN
    SHARE_COUNT,  # how many these are
    SHARE_FIRST,  # the first of some objects in the list of the group
    SHARE_LAST,  # that behind the last of them
    SHARE_GRADS,  # address of what their gradients have to be like, see GRAD
    SHARE_MISSING,  # how many of them had no gradient
    SHARE_WORDS,
) = range(7)

WITHOUT, IDLE = -1, -2
"""Positions of parameters that are not in a batch: one that must not have a gradient, and one
without numbers, which may have one."""

# What is known of a tensor of the optimizer; its sizes and its strides follow.
(
    OWN_OBJECT,
    OWN_IMPLEMENTATION,
    OWN_STORAGE,
    OWN_VERSION,
    OWN_DATA,
    OWN_NBYTES,
    OWN_OFFSET,
    OWN_KIND,
    OWN_KIND_2,
    OWN_DIM,
) = range(10)

# What a gradient has to be like; its sizes and its strides follow.
(GRAD_KIND, GRAD_KIND_2, GRAD_ITEM, GRAD_SPAN, GRAD_DIM) = range(5)

# A run of kernels.
(RUN_DONE, RUN_COUNT, RUN_LAUNCHES, RUN_PARALLEL) = range(4)

# A launch of one kernel, see Launch.
(
    LAUNCH_JOB,
    LAUNCH_THREADS,
    LAUNCH_PASSES,  # how many functions go through the tensors
    LAUNCH_FUNCTIONS,  # address of their addresses
    LAUNCH_REDUCTIONS,  # address of how many reductions each makes partials of
    LAUNCH_JOINS,  # address of pairs: which total a reduction makes, and how these are joined
    LAUNCH_CLOSING,  # address of the last function, or 0
    LAUNCH_ENTRIES,  # how many entries the table has
    LAUNCH_OWNERS,  # how many tensors have entries
    LAUNCH_OWNER,  # address of which these are
    LAUNCH_FIRST,  # address of their first entries; then comes the number of all entries
    LAUNCH_PARTIALS,
    LAUNCH_TOTALS,
    LAUNCH_TENSORS,
    LAUNCH_GRADS,  # address of where gradients begin, for each tensor; 0 for none
    LAUNCH_WRITTEN,  # how many columns are written to
    LAUNCH_VERSIONS,  # address of the addresses of their versions, for each tensor; 0 for none
    LAUNCH_WORDS,
) = range(18)

JOINS = ("sum", "amax", "amin")
"""How partials are joined, by number."""

LIST_ITEMS = 24
"""Where a list of Python has the address of its items, after its references, type and length."""

REFERENCES = 8
"""Where an implementation of torch counts references, in 32 bits."""

VERSION = 16
"""Where a version counter has the version, in 32 bits."""

DIMENSIONS = 5
"""How many sizes and strides torch keeps in a tensor; more lie elsewhere."""
