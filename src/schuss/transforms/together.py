"""Which transforms one optimizer may have together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schuss.transforms.transform import Transform


def checked(transforms: Sequence[Transform]) -> tuple[Transform, ...]:
    """Return transforms that go together.

    Raises:
        TypeError: They are not in a list, or one is none.
        ValueError: Two are of one kind, share a hyper-parameter, or do what only one may do.
    """
    if not isinstance(transforms, Iterable):
        raise TypeError(
            f"transforms is {transforms!r}; it must be a list of them, as in "
            "transforms=[Cautious()]"
        )
    found = tuple(transforms)
    _check_kinds(found)
    climbing, holding = overriding(found, "climb"), overriding(found, "hold")
    if climbing and holding:
        raise ValueError(
            f"transforms has {climbing[0]!r} and {holding[0]!r}, but a gradient that is held "
            "back cannot be taken anew; accumulate in p.grad, or within the closure"
        )
    _check_alone(holding, "hold gradients back")
    _check_alone(overriding(found, "around"), "decide which gradient the rule sees")
    return found


def overriding(transforms: Sequence[Transform], method: str) -> list[Transform]:
    """Return the transforms that override a method of `Transform`."""
    base = getattr(Transform, method)
    return [each for each in transforms if getattr(type(each), method) is not base]


def _check_kinds(transforms: Sequence[Transform]) -> None:
    seen: dict[str, Transform] = {}
    for transform in transforms:
        if not isinstance(transform, Transform):
            raise TypeError(
                f"transforms has {transform!r}, which is no Transform; give instances, "
                "as in transforms=[Cautious()]"
            )
        for key in (type(transform).__name__, *transform.defaults()):
            if key in seen:
                raise ValueError(
                    f"transforms has {seen[key]!r} and {transform!r}, which share "
                    f"{key!r}; an optimizer takes one of a kind"
                )
            seen[key] = transform


def _check_alone(transforms: Sequence[Transform], deed: str) -> None:
    if len(transforms) > 1:
        raise ValueError(
            f"transforms has {transforms[0]!r} and {transforms[1]!r}, which both {deed}; "
            "an optimizer takes one that does"
        )
