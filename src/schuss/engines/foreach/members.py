"""The parameters that are stepped together, and the lists of their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from schuss.engines.cohorts.cohort import Cohort
from schuss.engines.cohorts.scalars import Indices
from schuss.engines.foreach.kept import KEPT, Kept
from schuss.engines.program.operations import Form
from schuss.engines.program.program import COUNT, GRAD, STATE, Place
from schuss.storage.codecs import Encoded
from schuss.storage.kinds import CODES
from schuss.storage.precision import computable, gradient, is_computable, real_count

PIECE = {"cpu": 1 << 19}
"""How many numbers of parameters are stepped together, by the type of the device.

On a CPU the new tensors of a piece are in the cache from one call to the next. A step of AdamW on
ResNet-50 takes a tenth less time than with one piece, and a tenth of the extra memory.
"""

ELSEWHERE = 1 << 24
"""The same for other devices: enough work for all of a device, and 64 MiB for each new list."""


class Members:
    """Parameters of a cohort, with the lists that a program is played on.

    They may be kept as long as nobody has put other tensors into the states, and gradients have the
    dtypes that the first ones had.

    Args:
        cohort: The cohort.
        positions: The positions of these parameters among those that a step is for.
        indices: Their positions in the cohort.
        stretch: The numbers of a large parameter that are stepped, as they lie in memory; None for
            all numbers of all parameters.

    Attributes:
        cohort: The cohort.
        positions: As above.
        indices: As above.
        params: The parameters.
        done: How many parameters of a step have been stepped when these have.
    """

    def __init__(
        self, cohort: Cohort, positions: slice, indices: list[int], stretch: slice | None = None
    ) -> None:
        self.cohort = cohort
        self.positions = positions
        self.indices = indices
        self.params = [cohort.params[index] for index in indices]
        is_last = stretch is None or stretch.stop == self.params[0].numel()
        self.done = positions.stop if is_last else positions.start
        self._stretch = stretch
        self._lists: dict[Place, list[Tensor]] = {}
        self._sees_gradients: bool | None = None  # as they are; found with the first ones

    def tensors(self, place: Place) -> list[Tensor]:
        """Return the tensors at a place of the parameters or of the states."""
        if not place.name.startswith(STATE):
            return self._stretched(self.params)
        found = self._lists.get(place)
        if found is None:
            key, states = place.name.removeprefix(STATE), self.cohort.states
            found = self._lists[place] = [states[index][key] for index in self.indices]
        return found if place.per_tensor else self._stretched(found)

    def _stretched(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the numbers of large tensors that are stepped. These views are not kept."""
        at = self._stretch
        if at is None:
            return tensors
        return [
            x.stretch(at) if isinstance(x, Encoded) else x.detach().view(-1)[at] for x in tensors
        ]

    def seen(self, place: Place, grads: Sequence[Tensor | None]) -> list[Tensor]:
        """Return the tensors at a place as a rule sees them.

        Args:
            place: The place.
            grads: The gradients of all parameters of the cohort.
        """
        if place.name == GRAD:
            own = [grad for index in self.indices if (grad := grads[index]) is not None]
            own = self._stretched(own)
            if self._sees_gradients is None:
                is_real = not self.params[0].is_complex()
                self._sees_gradients = is_real and _are(own, self.cohort.like.dtype)
            if self._sees_gradients:
                return own
            pairs = zip(own, self.params, strict=True)
            return [gradient(grad.detach(), param) for grad, param in pairs]
        if place == COUNT:
            like = self.cohort.like
            return [like.new_tensor(float(real_count(param))) for param in self.params]
        tensors = self.tensors(place)
        if tensors[0].dtype in CODES:
            return [x.float() for x in tensors]
        if is_computable(tensors[0]):
            return tensors
        return [computable(x.detach()).to(self.cohort.like.dtype) for x in tensors]


def pieces(
    cohort: Cohort,
    indices: Indices,
    kept: Kept,
    grads: Sequence[Tensor | None],
    *,
    by_number: bool = False,
) -> list[Members]:
    """Return parameters in pieces, those that are kept if there are any.

    Args:
        cohort: The cohort.
        indices: The positions of the parameters.
        kept: It has the pieces of earlier steps.
        grads: The gradients of all parameters of the cohort.
        by_number: Whether the step of a number needs no other number of its parameter, so that a
            large parameter may be divided.
    """
    key = indices.tobytes(), by_number
    known = kept.pieces
    if key not in known:
        if len(known) == KEPT:
            known.clear()
        most = PIECE.get(cohort.like.device.type, ELSEWHERE)
        counts = [cohort.params[index].numel() for index in indices.tolist()]
        found = known[key] = []
        for at in _slices(counts, most):
            own, count = indices[at].tolist(), counts[at.start] if counts else 0
            if by_number and count > most and _lies_in_a_row(cohort, own[0], grads[own[0]]):
                found += [Members(cohort, at, own, part) for part in _stretches(count, most)]
            else:
                found.append(Members(cohort, at, own))
    return known[key]


def _lies_in_a_row(cohort: Cohort, index: int, grad: Tensor | None) -> bool:
    """Tell whether the numbers of a parameter and all that belongs to it are in one order."""
    param, state = cohort.params[index], cohort.states[index]
    names = [place.name for place in cohort.inputs if place.form is Form.ELEMENT]
    own = [state[name.removeprefix(STATE)] for name in names if name.startswith(STATE)]
    return all(
        isinstance(x, Encoded) or (x.shape == param.shape and x.is_contiguous())
        for x in (param, *own, *([] if grad is None else [grad]))
    )


def _stretches(count: int, most: int) -> Iterator[slice]:
    for begin in range(0, count, most):
        yield slice(begin, min(begin + most, count))


def _slices(counts: Sequence[int], most: int) -> Iterator[slice]:
    """Divide a sequence into slices, of which each is one long or has no larger sum than `most`."""
    begin = numbers = 0
    for end, count in enumerate(counts):
        if end > begin and numbers + count > most:
            yield slice(begin, end)
            begin, numbers = end, 0
        numbers += count
    yield slice(begin, len(counts))


def _are(tensors: Sequence[Tensor], dtype: torch.dtype) -> bool:
    return all(tensor.dtype is dtype for tensor in tensors)
