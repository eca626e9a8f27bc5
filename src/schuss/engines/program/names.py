"""Names in the texts of programs and kernels, on which all that print them agree.

Most names have a number: that of a value of the program, of one of its arguments, or of a column of
the addresses that a kernel takes. Here they are made for value 3, argument 3 and column 3.

| name | stands for |
|---|---|
| `v3` | the value |
| `a3` | the argument |
| `r3` | the reciprocal of the argument, if something is divided by it |
| `p3` | the address where the numbers of a place begin: of a tensor, or of a chunk of it |
| `d3` | the address where the numbers of a place are decoded, a portion at a time |
| `room_3` | the room for the decoded numbers of such a portion |
| `left_3` | the address where the first of two loops leaves the value for the second |
| `s3` | the address of the partial statistics that tiles leave of the value |
| `c3` | within these, the address of what one tile leaves of columns |
| `k3` | the address where the value is kept for the functions that come after |
| `partial_3` | the reduction that makes the value, as far as it has come |

The other names mean the same in every function. Those of a job, of a tile and of the shape of a
tensor are in `JOB`, `WORDS` and `SHAPE`, beside what they stand for.

| name | stands for |
|---|---|
| `tensor`, `tensors` | the number of the tensor that is stepped, and how many there are |
| `entry`, `entries` | the number of the entry of the table that is gone through, and their number |
| `first` | the number of an element in its tensor, from which `i` counts |
| `i` | the number of an element in its chunk, or in the line of its tile |
| `count` | how many elements a chunk has, or a portion |
| `begin`, `end` | the numbers of the first element of a chunk or a portion, and of that behind it |
| `last` | the number of the element behind a tile that is as wide as its matrix |
| `at`, `until` | where a portion begins and ends in the line of a tile |
| `matrix`, `line`, `column` | the numbers of these, counted from the first of the tensor |
| `addresses` | a table: for each column, one address for each tensor |
| `arguments` | the arguments of a tensor |
| `partials` | a table: for each reduction of a function, one number for each entry |
| `totals` | a table: for each reduction of the kernel, one number for each tensor |

On a GPU `i` is a block of numbers, as is every value for each element, and `at` is the beginning of
the block.
"""

from __future__ import annotations


def value(number: int) -> str:
    """Return the name of a value."""
    return f"v{number}"


def argument(number: int) -> str:
    """Return the name of an argument."""
    return f"a{number}"


def operand(number: int) -> str:
    """Return the name of an operand: of a value, or with `~n` of argument n."""
    return value(number) if number >= 0 else argument(~number)


def reciprocal(number: int) -> str:
    """Return the name of the reciprocal of an argument."""
    return f"r{number}"


def place(column: int) -> str:
    """Return the name of the address where the numbers of a place begin."""
    return f"p{column}"


def decoded(column: int) -> str:
    """Return the name of the address where the decoded numbers of a place begin."""
    return f"d{column}"


def room(column: int) -> str:
    """Return the name of the room for the decoded numbers of a portion."""
    return f"room_{column}"


def left(number: int) -> str:
    """Return the name of the address where a loop leaves a value for the next one."""
    return f"left_{number}"


def slot(number: int, *, partials: bool) -> str:
    """Return the name of the address of a kernel's own memory: partial statistics, or a value."""
    return f"s{number}" if partials else f"k{number}"


def of_columns(number: int) -> str:
    """Return the name of the address of what one tile leaves of columns."""
    return f"c{number}"


def partial(number: int) -> str:
    """Return the name of a reduction, as far as it has come."""
    return f"partial_{number}"


def of_entry(index: int) -> str:
    """Return which of the partials is that of an entry, for a reduction of a function."""
    return f"{index} * entries + entry"


def of_tensor(index: int) -> str:
    """Return which number is that of a tensor: of a column of addresses, or of the totals."""
    return f"{index} * tensors + tensor"
