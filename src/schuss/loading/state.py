"""The state of one parameter, made from the values in a checkpoint.

A state holds values that `init_state` puts there, and values that the rule makes in a step. To know
both, the loader calls `init_state` and tries a first step, on copies without memory. A loaded value
gets the shape and dtype of the value that the optimizer would have under its key. A key that the
optimizer does not have belongs to an option that was switched off, or is a note of the user: its
value is kept if a parameter may have such state at all. In the end a step is tried from the loaded
state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn

from schuss.contract import Group, Measure, Rule, State, Stateful
from schuss.engines import initial_state, tried
from schuss.loading.report import Recoded, recoded
from schuss.loading.values import alike, carried, fitted
from schuss.storage import master
from schuss.storage.codecs import Encoded
from schuss.storage.codecs.policy import HALVES, keep, wanted
from schuss.storage.precision import computed_dtype

_WAY_OUT: Final = "load_by_name leaves a parameter out with rename={its name: None}, strict=False"


class States:
    """Makes the states of an optimizer's parameters.

    Args:
        name: The name of the optimizer whose rule it is, in messages.
        optimizer: The optimizer that keeps the states.
        rule: The rule.
        measures: The measurements whose sums the rule needs.
        foreign: Hyper-parameters of the checkpoint that the optimizer does not have.

    Attributes:
        recoded: The tensors that a group keeps in fewer bytes, and that were saved otherwise.
    """

    def __init__(
        self,
        name: str,
        optimizer: Stateful,
        rule: Rule,
        measures: Sequence[Measure],
        foreign: Collection[str],
    ) -> None:
        self._optimizer = optimizer
        self._name = name
        self._rule = rule
        self._measures = measures
        self._foreign = foreign
        self._tried: dict[object, State | Exception | None] = {}
        self.recoded: list[Recoded] = []

    def loaded(self, where: str, group: Group, param: Tensor, saved: Mapping[str, Any]) -> State:
        """Return the state of one parameter.

        Args:
            where: A description of the parameter for messages.
            group: Its group, with the loaded hyper-parameters.
            param: The parameter.
            saved: The state of the parameter in the checkpoint.

        Raises:
            ValueError: It was saved by another optimizer, a value is not of its kind, or no step
                can be taken from there.
        """
        try:
            initial = initial_state(self._optimizer, group, param)
        except Exception as error:
            raise ValueError(
                f"{self._name} cannot begin a state of {where} with the loaded hyper-parameters: "
                f"{error!r}"
            ) from error
        first = self._after_step(group, param, {})
        if not isinstance(first, dict):
            first = None
        self._check_optimizer(where, initial, first, saved)
        state = _begun(initial, saved)
        for key, value in saved.items():
            forms = [form[key] for form in (initial, first or {}) if key in form]
            if value is None and key not in initial and not any(form is None for form in forms):
                continue  # torch.optim's SGD used to save that it has no buffer
            state[key] = self._taken(where, key, value, forms, group, param)
        self._encode(where, state, group, param, saved)
        after = first if first is None else self._after_step(group, param, state)
        if after is None or isinstance(after, dict):
            return state
        raise ValueError(
            f"{self._name} cannot take a step from the loaded state of {where}, which has "
            f"{_listed(saved)}: {after!r}"
        )

    def _taken(
        self, where: str, key: str, value: Any, forms: Sequence[Any], group: Group, param: Tensor
    ) -> Any:
        """Return a copy of a value; of codes if the group wants them, else of their numbers."""
        if not isinstance(value, Encoded):
            return self._value(where, key, value, forms, param)
        if wanted(key, value, group, param) == value.codec.name:
            return value.copied_for(param, computed_dtype(param.dtype))
        return self._value(where, key, value.decoded(), forms, param)

    def _encode(
        self, where: str, state: State, group: Group, param: Tensor, saved: Mapping[str, Any]
    ) -> None:
        """Encode tensors of which the group wants codes, and note what fewer bytes have changed."""
        plain = {key: v for key, v in state.items() if not isinstance(v, Encoded)}
        keep(state, group, param)
        for key, before in plain.items():
            after, value = state[key], saved.get(key)
            if not isinstance(value, Tensor) or not isinstance(after, Tensor):
                continue
            if isinstance(after, Encoded):
                self.recoded.append(recoded(where, key, value, before, after))
            elif after.dtype is not value.dtype and wanted(key, after, group, param) in HALVES:
                numbers = value.decoded() if isinstance(value, Encoded) else value
                numbers = numbers.to(after.device).view(after.shape)
                self.recoded.append(recoded(where, key, value, numbers, after))

    def fitted(self, where: str, key: str, value: Any, form: Tensor) -> Tensor:
        """Return a copy of a loaded tensor, like the one that it will be copied to.

        Raises:
            ValueError: It is not of its shape or kind.
        """
        tensor: Tensor = self._value(where, key, value, [form], form)
        return tensor

    def _value(self, where: str, key: str, value: Any, forms: Sequence[Any], param: Tensor) -> Any:
        """Return a copy of a value in the first of some forms that it fits."""
        try:
            if key in master.KEYS:
                master.check_kept(key, value)
                forms = forms if isinstance(value, (int, float)) else ()
            if not forms:
                return carried(key, value, param)
            try:
                return fitted(key, value, forms[0], param.device)
            except ValueError:
                if alike(forms[0], forms[-1]):
                    raise
            return fitted(key, value, forms[-1], param.device)
        except ValueError as error:
            raise ValueError(
                f"the loaded {key!r} of {where}, for {self._name}, {error}; {_WAY_OUT}"
            ) from None

    def _check_optimizer(
        self, where: str, initial: State, first: State | None, saved: Mapping[str, Any]
    ) -> None:
        """Refuse a state whose keys show that another optimizer saved it."""
        own = initial if first is None else first
        missing = (initial.keys() & own.keys()) - saved.keys() - set(master.KEYS)
        if missing:
            raise ValueError(
                f"the loaded state of {where} has {_listed(saved)}, but {self._name} needs "
                f"{_listed(sorted(missing))} too: it was saved by another optimizer, or without a "
                f"transform; {_WAY_OUT}"
            )
        known = {*initial, *own, *master.KEYS}
        kinds = (Tensor, int, float)
        strange = [k for k, v in saved.items() if k not in known and isinstance(v, kinds)]
        if first is None or not strange:
            return
        absent = first.keys() - saved.keys() - set(master.KEYS)
        told = f"lacks {_listed(sorted(absent))}" if absent else ""
        if not absent and self._foreign:
            told = f"its groups have {_listed(sorted(self._foreign))}"
        if told:
            raise ValueError(
                f"the loaded state of {where} has {_listed(strange)}, which {self._name} does not "
                f"keep, and {told}: it was saved by another optimizer, or with another transform"
            )

    def _after_step(self, group: Group, param: Tensor, state: State) -> State | Exception | None:
        """Return the state after a step; or its exception; or None if no step can be tried."""
        if type(param) not in (Tensor, nn.Parameter):
            return None  # one of many processes may have only a part of it
        forms = tuple(
            (key, value.dtype, value.shape) if isinstance(value, Tensor) else (key, repr(value))
            for key, value in state.items()
        )
        kind = (id(group), param.dtype, param.shape, param.device, forms)
        if kind not in self._tried:
            try:
                found: State | Exception = tried(
                    self._optimizer, self._rule, self._measures, group, param, state
                )
            except Exception as error:  # noqa: BLE001  # a stranger's rule raises what it likes
                found = error
            self._tried[kind] = found
        return self._tried[kind]


def _begun(initial: State, saved: Mapping[str, Any]) -> State:
    """Return a state to fill, without what is kept beside the weight in another way than saved.

    The order of the other keys stays as it is, and with it the program of a step, to the last bit.
    """
    kept = master.KEYS if any(key in saved for key in master.KEYS) else ()
    return {key: value for key, value in initial.items() if key in saved or key not in kept}


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(map(repr, keys)) or "nothing"
