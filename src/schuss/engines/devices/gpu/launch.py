"""Launching a kernel on a GPU: what lies there from step to step, and what goes up in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schuss.engines.devices.cpu.versions import Versions
from schuss.engines.devices.device import Kernel, Numbers, Tensors
from schuss.engines.devices.gpu import functions_compiled as functions
from schuss.engines.devices.gpu.calls import Calls, current, never
from schuss.engines.devices.gpu.codecs import map_of
from schuss.engines.devices.gpu.matrices import Matrices, Parts
from schuss.engines.devices.gpu.pinned import Pinned, up
from schuss.engines.devices.layout import Pass
from schuss.engines.devices.tables.chunks import chunks
from schuss.engines.program.computed import SHARED, number_at
from schuss.engines.program.program import Place
from schuss.storage.numbers import NUMBER

BLOCK = 1024
"""Numbers that a program of a GPU computes at once: 8 for each of its threads."""

BLOCKS = 4
"""Blocks in a chunk, the work of one program."""

WARPS = 4
"""Groups of 32 threads in a program."""

JOIN = 1024
"""Partial reductions that are joined at once."""


_NUMBERS = count()


class Chunks:
    """The tensors of a launch as stretches of numbers, on a device.

    Args:
        counts: How many numbers each tensor has.
        up: Returns a copy of an array on the device.
        call: Calls functions.
    """

    def __init__(
        self, counts: Sequence[int], up: Callable[[NDArray[np.int64]], Tensor], call: Calls
    ) -> None:
        self._call = call
        table = chunks(counts, BLOCK * BLOCKS)
        entries = len(table.entries)
        ends = np.array([*table.first_entries, entries], dtype=np.int64)
        self._table, self._tensors = up(table.entries), len(counts)
        self._parts = Parts(entries, up(table.owners.astype(np.int64)), up(ends))
        self.shapes: tuple[Tensor, ...] = ()

    def parts(self, about: Pass) -> Parts:
        """Return the partial reductions that a function leaves."""
        return self._parts

    def launch(
        self,
        function: Any,
        about: Pass,
        common: Sequence[Any],
        memory: Sequence[Tensor],
        **one: bool,
    ) -> None:
        """Launch a function, see `Matrices.launch`."""
        entries = self._parts.entries
        if entries:
            arguments = (self._table, *common, *memory, entries, self._tensors)
            self._call(function, (entries,), arguments, warps=WARPS, BLOCK=BLOCK, **one)


class Launch:
    """A kernel and the parameters of a cohort, ready to be launched in every step.

    Args:
        kernel: The kernel.
        about: The facts of the cohort's tensors.

    Attributes:
        kernel: The kernel.
        device: Where the tensors are.
        addresses: For each of its columns, where the numbers of each parameter begin.
        new_places: The columns of places that there are no tensors for yet.
        is_capturable: A graph may capture the launch.
        numbers: The computation of its numbers on the device; None if the host knows them.
        rows: On the device: these numbers and their reciprocals, of each parameter its own.
        words: The words that go up in this step: arguments and their reciprocals, where the
            gradients begin, and then for each parameter which arguments are its own, and where the
            numbers are that it shares with others. Behind them go the addresses of new tensors.
        gradients: Where the gradients begin, 0 for none: some of these words.
        pinned: Where they lie before they go up, if this launch is the first of its run.
        computations: The computations of the numbers of this launch and others, see `numbers`.
        number: No other launch of the process has this one.
    """

    def __init__(self, kernel: Kernel, about: Tensors) -> None:
        self.kernel = kernel
        self.device = about.device
        self.is_capturable = about.is_capturable
        self._versions = Versions(about.versions, len(about.counts))
        self.new_places: list[tuple[int, Place]] = []
        source, self._tensors = kernel.source, len(about.counts)
        columns = len(source.columns) + len(source.slots)
        self.addresses = np.zeros((columns + len(source.maps), self._tensors), np.int64)
        for column, name in enumerate(source.maps, start=columns):
            self.addresses[column] = map_of(name, self.device).data_ptr()
        self._shares = sum(place.name.startswith(SHARED) for place in source.columns)
        self._sent: Tensor | None = None
        self._make_words(0, 1)
        self.pinned, self.number = Pinned(about.runs), next(_NUMBERS)
        self.computations: dict[tuple[int, ...], Any] = {}
        self.numbers: Numbers | None = None
        nowhere = torch.zeros(0, dtype=torch.int64, device="cpu")
        self.rows = np.zeros(0, dtype=np.int64), nowhere
        self._sets, self._several = 1, about.is_capturable
        self._on_device: Sequence[tuple[int, int, Tensor]] = ()
        self._places = np.zeros(0, dtype=np.int64), nowhere
        self._call = Calls()
        chunks = partial(Chunks, about.counts, self._up, self._call)
        self._work: Chunks | Matrices = self._matrices(about) if source.tiled else chunks()
        rooms = [len(each.reductions) * self._work.parts(each).entries for each in source.passes]
        self._partials = self._room(max([0, *rooms]))
        self._totals = self._room(source.totals * self._tensors)
        self._compiled: set[tuple[bool, bool]] = set()
        self._compile()

    def _compile(self) -> None:
        """Compile all functions, so that what cannot be compiled runs on another engine."""
        words = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        with current(self.device), self._call.compiling():
            self.run(words, 0, never(self.device))
        self._sent = None  # binding has yet to tell the addresses
        self._compiled.add(self._variant)

    def prepare(
        self,
        grads: NDArray[np.int64],
        indices: NDArray[np.int64] | None,
        arguments: Sequence[float] | NDArray[np.float64],
        which: NDArray[np.int64] | None,
        on_device: Sequence[tuple[int, int, Tensor]] = (),
        numbers: Numbers | None = None,
    ) -> None:
        """Say what the next run is to do, see `devices.device.Launch`."""
        count = self.kernel.source.arguments
        self._on_device = [each for each in on_device if each[1] < count]
        self.numbers = numbers
        self._sets = 0 if numbers else 1 if which is None else len(arguments)
        self._several = which is not None or numbers is not None
        if self._variant not in self._compiled:
            self._compile()
        shape = self._sets, 1 + self._several + self._shares
        if self._shape != shape:
            self._make_words(*shape)
        if numbers is None:
            self._put_arguments(arguments)
        elif not len(self.rows[0]) and numbers.found_by is None:
            self._make_rows(numbers)
        if indices is None:
            self.gradients[:] = grads
        else:
            self.gradients[:] = 0
            self.gradients[indices] = grads[indices]
        if which is not None:
            self._of_tensors(1)[slice(None) if indices is None else indices] = which

    def _make_words(self, sets: int, columns: int) -> None:
        """Make room for some sets of arguments, and some words of which each parameter has one."""
        count, tensors, self._shape = self.kernel.source.arguments, self._tensors, (sets, columns)
        self._begin = 2 * count * sets
        self.words = np.zeros(self._begin + columns * tensors, dtype=np.int64)
        self._pairs = self.words[: self._begin].view(np.float64).reshape(sets, count, 2)
        self._addresses_at = len(self.words) + len(self.words) % 2  # a multiple of 16 bytes
        self.gradients = self._of_tensors(0)
        self._gradients_at = self.gradients.ctypes.data

    def _put_arguments(self, arguments: Sequence[float] | NDArray[np.float64]) -> None:
        count, pairs = self.kernel.source.arguments, self._pairs
        pairs[:, :, 0] = np.asarray(arguments, dtype=np.float64).reshape(self._sets, -1)[:, :count]
        with np.errstate(all="ignore"):
            np.divide(1.0, pairs[:, :, 0], out=pairs[:, :, 1])

    def _make_rows(self, numbers: Numbers) -> None:
        """Make room for arguments and reciprocals, those of later launches among them."""
        found = (number_at(place.name) for place in numbers.kernel.source.columns)
        each = 2 * (1 + max((number // 2 for number in found if number is not None), default=0))
        room = self._room(each * self._tensors)
        self.rows = room.data_ptr() + 8 * each * np.arange(self._tensors), room

    @property
    def size(self) -> int:
        """How many words go up, an even number."""
        return self._addresses_at + (self.addresses.size if self.new_places else 0)

    def put(self, room: NDArray[np.int64], address: int) -> None:
        """Write the words down where they are to go up from.

        Args:
            room: As much room as `size` tells.
            address: Where they will be on the device.
        """
        room[: len(self.words)] = self.words
        if self.new_places:
            room[self._addresses_at :][: self.addresses.size] = self.addresses.reshape(-1)
        if self._several:
            own = room[self._begin + self._tensors :][: self._tensors]
            if self.numbers is not None:
                by: Any = self.numbers.found_by or self
                own[:] = by.rows[0]
            else:  # a set of arguments is 16 bytes for each: itself, and its reciprocal
                own *= 16 * self.kernel.source.arguments
                own += address

    @property
    def _variant(self) -> tuple[bool, bool]:
        """The variants of functions that the run needs, and whether it needs one function more."""
        return self._several, bool(self._on_device)

    def _of_tensors(self, number: int) -> NDArray[np.int64]:
        """Return words of which each parameter has one."""
        return self.words[self._begin + number * self._tensors :][: self._tensors]

    def share(self, number: int) -> NDArray[np.int64]:
        """Return room for the addresses of a number that parameters share, for each of them."""
        return self._of_tensors(2 + number)

    @property
    def memory(self) -> tuple[object, ...]:
        """All that a launch reads: itself with its tables, and what it would replace in time."""
        return self, self._sent, self._places

    def versions_are_raised(self) -> bool:
        """Raise the versions of all that was written to, and tell whether that was done."""
        return self._versions.are_raised(self._gradients_at)

    def run(self, upload: Tensor, begin: int, skip: Tensor) -> None:
        """Launch the kernel; nothing here waits for the device.

        Args:
            upload: The words that have gone up in this step.
            begin: Where the words of this launch begin there.
            skip: A number that is not 0 if the step is to be left out.
        """
        if self.new_places:
            sent = upload[begin + self._addresses_at :][: self.addresses.size]
        else:
            sent = self._sent = self._up(self.addresses) if self._sent is None else self._sent
        if self._on_device:
            self._put(upload, begin)
        kernel, memory = self.kernel, (self._partials, self._totals)
        common = (sent, upload, begin, self._begin, skip)
        for function, about in zip(kernel.passes, kernel.source.passes, strict=True):
            self._work.launch(function, about, common, memory, SEVERAL=self._several)
            for index, (name, total) in enumerate(about.reductions):
                self._join(self._work.parts(about), name, index, total)
        if kernel.closing is not None:
            arguments = (*common, self._totals, self._tensors, *self._work.shapes)
            one = {"SEVERAL": self._several}
            self._call(kernel.closing, (self._tensors,), arguments, warps=1, **one)

    def _put(self, upload: Tensor, begin: int) -> None:
        """Put numbers that are on the device to the arguments that have gone up."""
        count = self.kernel.source.arguments
        places = np.array([2 * (n * count + at) for n, at, _ in self._on_device], np.int64)
        if not np.array_equal(places, self._places[0]):
            self._places = places, self._up(places)
        numbers = torch.stack([tensor for *_, tensor in self._on_device])
        arguments = numbers, self._places[1], upload, begin
        self._call(functions.put, (len(places),), arguments, warps=1)

    def _join(self, parts: Parts, name: str, index: int, total: int) -> None:
        memory = self._partials, self._totals, parts.entries, self._tensors
        arguments = (parts.owners, parts.begins, *memory, index, total)
        constants = {"NAME": name, "WIDTH": JOIN}
        self._call(functions.join, (len(parts.owners),), arguments, warps=4, **constants)

    def _matrices(self, about: Tensors) -> Matrices:
        """Return the tensors as matrices, and note where the kernel's own memory begins."""
        source = self.kernel.source
        found = Matrices(about.sizes, source, self._up, self._call)
        begins, self._own = found.room(source, self.device)
        self.addresses[len(source.columns) :][: len(begins)] = begins
        return found

    def _up(self, array: NDArray[np.int64]) -> Tensor:
        return up(array, self.device)

    def _room(self, count: int) -> Tensor:
        return torch.zeros(max(count, 1), dtype=NUMBER, device=self.device)
