"""Hyper-parameters: the options that every optimizer takes, and classes with checked values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from schuss.contract import Group
from schuss.declarations import Constructed, Declared, Hyper, arguments, option
from schuss.domains import FLAG, Domain, Domains, one_of, or_none
from schuss.storage.codecs import CODECS
from schuss.storage.codecs.policy import DTYPES, OF_SQUARES, OTHERS, PRESETS, is_for

if TYPE_CHECKING:
    from schuss.transforms import Transform


class Options(TypedDict, total=False):
    """Keyword options that every optimizer takes, for all groups or (as a key of a group) for one.

    `maximize` climbs instead of descending.

    `master_weights` keeps what a parameter in half precision cannot hold of its weight. With True
    the weight is one of float32, of which bfloat16 is one half and the state keeps the other, 2
    bytes (beside float16 all 4 bytes). With 24 the weight has 24 bits, and the state keeps 1 byte,
    for bfloat16 alone. The rest of the state is in float32.

    `rounding` is another way to keep bfloat16 weights moving: `"kahan"` adds to each update what
    the last rounding took away (2 bytes), and `"stochastic"` rounds up or down at random (nothing).
    The state is in float32 then, too. It does not go together with `master_weights`.

    `state_storage` says how many bytes the state takes. It is the name of a preset (`"bf16"`,
    `"8bit"`), or a dictionary from keys of the state to names of codecs (`"int8"`, `"uint8"`) and
    dtypes (`"bf16"`, `"fp16"`, `"float32"`), in which `"*"` stands for all other keys.

    `differentiable` lets autograd go through the step; the parameters must then be non-leaf
    tensors.

    `fused=True` compiles the rule into one kernel for all parameters, `foreach=True` plays it with
    torch's operations on lists of tensors; both raise where that cannot be done. With neither, the
    fastest engine that is right is taken. False for one of them, and nothing for the other, calls
    the rule for each parameter in turn.

    `capturable` keeps the numbers of the state, such as the step count, on the GPU, so that a CUDA
    graph can capture a step and repeat it. Give `lr` as a tensor there to change it between
    repetitions; all other hyper-parameters are those of the captured step. It raises on a CPU, and
    where a rule reads such a number in Python.

    `transforms` change the gradient, the update and the parameter around the rule; see
    `schuss.Transform`. They are of all groups, which may differ in the hyper-parameters of each.
    """

    maximize: bool
    master_weights: bool | Literal[24]
    rounding: Literal["stochastic", "kahan"] | None
    state_storage: str | Mapping[str, str] | None
    differentiable: bool
    foreach: bool | None
    fused: bool | None
    capturable: bool
    transforms: Sequence[Transform]


class _FlagOrBits(Domain):
    """True, False, and a number of bits."""

    def __init__(self, bits: int) -> None:
        super().__init__(f"be True, False or {bits}")
        self._bits = bits

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is no bool and not the number."""
        plain = self.plain(value)
        if not isinstance(plain, bool) and not (type(plain) is int and plain == self._bits):
            self.refuse(ValueError if type(plain) is int else TypeError, key, value)


class _StateStorage(Domain):
    """None, the name of a preset, or a dictionary from keys to names of codecs and dtypes."""

    def check(self, key: str, value: Any) -> None:
        """Refuse a value that is none of them."""
        if value is None or (isinstance(value, str) and value in PRESETS):
            return
        if isinstance(value, str):
            self.refuse(ValueError, key, value)
        if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
            self.refuse(TypeError, key, value)
        for each, name in value.items():
            if not isinstance(name, str) or name not in (*CODECS, *DTYPES):
                error = ValueError if isinstance(name, str) else TypeError
                self.refuse(error, f"{key}[{each!r}]", name, f"be one of {_listed_storages()}")
            if name in CODECS and not is_for(CODECS[name], each):
                of = "squares" if each in OF_SQUARES else "gradients"
                told = f"be one of {_listed_storages(each)}, since it is an average of {of}"
                self.refuse(ValueError, f"{key}[{each!r}]", name, told)


def _listed_storages(key: str = "") -> str:
    """Return the codecs for a key, and the dtypes."""
    codecs = (name for name, codec in CODECS.items() if is_for(codec, key))
    return ", ".join(map(repr, (*codecs, *DTYPES)))


STATE_STORAGE: Final = _StateStorage(
    f"be None, a preset ({', '.join(map(repr, PRESETS))}), or a dictionary from keys of the state "
    f"(or {OTHERS!r}, for all others) to {_listed_storages()}"
)
"""The choices of `state_storage`."""


class CommonOptions(Declared, Constructed):
    """The options of `Options` except transforms, declared once for all optimizers."""

    maximize: bool = option("climb", FLAG, default=False, kw_only=True)
    master_weights: bool | Literal[24] = option(
        "keep weights in full", _FlagOrBits(24), default=False, kw_only=True
    )
    rounding: Literal["stochastic", "kahan"] | None = option(
        "round another way", or_none(one_of("stochastic", "kahan")), default=None, kw_only=True
    )
    state_storage: str | Mapping[str, str] | None = option(
        "bytes of the state", STATE_STORAGE, default=None, kw_only=True
    )
    differentiable: bool = option("let autograd through", FLAG, default=False, kw_only=True)
    foreach: bool | None = option("lists of tensors", or_none(FLAG), default=None, kw_only=True)
    fused: bool | None = option("one kernel", or_none(FLAG), default=None, kw_only=True)
    capturable: bool = option("keep numbers on the GPU", FLAG, default=False, kw_only=True)


OPTION_DEFAULTS: Final[Mapping[str, Any]] = {k: h.default for k, h in CommonOptions.hypers.items()}

EXECUTION_OPTIONS: Final = ("differentiable", "foreach", "fused", "capturable", "state_storage")
"""Options that say how a step is run, not what it computes. A checkpoint does not restore them."""


def check_options(cls: type[Declared], options: Mapping[str, object]) -> None:
    """Refuse a keyword argument that a class of optimizers does not have."""
    for key in options:
        if key not in OPTION_DEFAULTS:
            of_all = {*OPTION_DEFAULTS, "params", "defaults", "transforms"}
            own = [each.name for each in arguments(cls) if each.name not in of_all]
            raise TypeError(
                f"{cls.__name__} got an unexpected keyword argument {key!r}; beside "
                f"{', '.join(own) or 'its own'}, every optimizer takes "
                f"{', '.join(OPTION_DEFAULTS)} and transforms"
            )


def refuse(others: Mapping[str, Any], cls: type[Declared]) -> None:
    """Refuse keyword arguments that a class does not declare.

    Raises:
        TypeError: There are some.
    """
    if others:
        takes = ", ".join(each.name for each in arguments(cls))
        raise TypeError(
            f"{cls.__name__} got an unexpected keyword argument {next(iter(others))!r}; "
            f"it takes {takes}"
        )


class Checked(Declared):
    """A class with hyper-parameters, each of which has a domain.

    A subclass declares its hyper-parameters, or names the domains of those that have none yet in
    `domains`, and has those of its bases too. It extends `check_group` with what must hold between
    several of them.
    """

    domains: Domains = Domains()
    """The domains of the hyper-parameters, by name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Add the domains of the bases to those of the class."""
        super().__init_subclass__(**kwargs)
        found = Domains()
        for base in reversed(cls.__mro__):
            declared = [each for each in vars(base).values() if isinstance(each, Hyper)]
            found.update({each.name: each.domain for each in declared if each.domain})
            found.update(vars(base).get("domains", {}))
        cls.domains = found

    def check_group(self, group: Group) -> None:
        """Check the hyper-parameters of one group; extend it with what must hold between them.

        Raises:
            ValueError: One lies outside of its domain.
            TypeError: One is of the wrong type.
        """
        self.domains.check(group)
