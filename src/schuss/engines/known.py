"""Knowledge of groups from the steps before."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from schuss.contract import Group, Stateful, States
from schuss.engines.cohorts.contents import Needs
from schuss.engines.errors import UnfusableError
from schuss.engines.groups import name_of, options_of

if TYPE_CHECKING:
    from schuss.engines.foreach.batch import ForeachBatch
    from schuss.engines.kernels.fused import FusedBatch

REMEMBERED = 16
"""How many rules and options are known to be tried; a schedule may switch between a few."""


class Known:
    """The knowledge of a group from earlier steps, by its list of parameters.

    All of it is either looked at again in every step, or only saves the time of finding it anew.

    Args:
        params: The list.
        said: Warnings that are not to be given again, whatever group they are about.

    Attributes:
        params: The list, so that no other one is taken for it.
        needs: The needs of the rule that were found so far.
        bound: The parameters, bound to memory, unless the loop runs them.
        options: The options of the group when they were bound.
        passed_over: Why engines that the group would allow cannot run it.
        may_be_faster: Whether one of these was passed over for another reason than its device.
        is_stackable: Whether the rule was tried on stacks.
        tried: The rules and the options with which the loop has taken a step.
    """

    def __init__(self, params: object, said: set[str] | None = None) -> None:
        self.params = params
        self._said: set[str] = set() if said is None else said
        self.needs = Needs()
        self.bound: FusedBatch | ForeachBatch | None = None
        self.options: object = None
        self.passed_over: dict[str, str] = {}
        self.may_be_faster = False
        self.is_stackable = False
        self.tried: set[object] = set()
        self._asked: tuple[object, object] | None = None
        self._warned = False

    def is_bound_for(self, group: Group, reached: States | None = None) -> bool:
        """Tell whether a step may go on with the parameters as they were bound.

        Args:
            group: The group.
            reached: The states of all parameters, if somebody else could reach them; else None.
        """
        bound = self.bound
        if bound is None or bound.is_broken() or self.options != options_of(group):
            return False
        return reached is None or bound.is_untouched(reached)

    def write_scalars(self) -> None:
        """Write the numbers of all cohorts into the states."""
        for cohort in self.bound.cohorts if self.bound else ():
            cohort.write_scalars()

    @property
    def is_untried(self) -> bool:
        """Whether the loop has yet to take a step with what the last plan was asked for."""
        return self._asked is not None and self._asked[0] not in self.tried

    def note_tried(self) -> None:
        """Note that the loop has taken a step with that."""
        if self._asked is not None and self.is_untried:
            self.tried = {*list(self.tried)[:REMEMBERED], self._asked[0]}

    def look_again(self, asked: tuple[object, object]) -> None:
        """Forget why engines were passed over, if they were asked for something else then."""
        if asked != self._asked:
            self._asked = asked
            self.passed_over = {}
            self.may_be_faster = False
            self.is_stackable = False

    def warn(self, optimizer: Stateful, error: UnfusableError) -> None:
        """Say once why a group is not run by the fastest engine."""
        if not self._warned:
            self._warned = True
            which = name_of(optimizer, {"params": self.params})
            which = f"{type(optimizer).__name__} cannot run {which}"
            message = f"{which} on the fastest engine, but on a slower one: {error}"
            if message not in self._said:
                self._said.add(message)
                warnings.warn(message, stacklevel=2)


class KnownGroups:
    """The knowledge of each group of an optimizer, in their order.

    Args:
        said: Warnings that were given, if they are not to be given again.
    """

    def __init__(self, said: set[str] | None) -> None:
        self._known: dict[int, Known] = {}
        self._said = said

    def __iter__(self) -> Iterator[Known]:
        """Yield the knowledge of each group."""
        return iter(self._known.values())

    def __len__(self) -> int:
        """Return of how many groups something is known."""
        return len(self._known)

    def of(self, groups: Sequence[Group]) -> list[Known]:
        """Return what is known of each group, and forget groups that are there no more."""
        known = self._known
        keys = [id(group["params"]) for group in groups]
        if keys != list(known):
            lists = {id(group["params"]): group["params"] for group in groups}
            said = self._said
            for key in known.keys() - lists.keys():
                known[key].write_scalars()
            self._known = {k: known.get(k) or Known(params, said) for k, params in lists.items()}
        return [self._known[key] for key in keys]

    def bound(self) -> list[FusedBatch | ForeachBatch]:
        """Return the parameters of those groups that are bound to memory."""
        return [known.bound for known in self if known.bound]

    def release(self) -> None:
        """Let go of the gradients that were kept alive for a step."""
        for known in self._known.values():
            if known.bound is not None:
                known.bound.release()

    def write_scalars(self) -> None:
        """Write the numbers of all cohorts into the states."""
        for known in self:
            known.write_scalars()

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
