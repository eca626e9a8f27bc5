"""The content of a file, which may be anything until it has been looked at."""

from __future__ import annotations

import json
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, TypeGuard, TypeVar

from torch import Tensor

Value = TypeVar("Value")


def read_json(path: Path) -> Any:
    """Return the content of a file of JSON.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Return the value that a text of JSON stands for.

    Raises:
        ValueError: It says something else.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None


class Contents:
    """A mapping from a file, whose fields are asked for by what they ought to be.

    A field that is missing, or is something else, is a `ValueError` that names it.

    Args:
        content: The mapping.
        name: The name of the mapping in messages; empty for the whole file.

    Raises:
        ValueError: It is no mapping.

    Example:
        >>> Contents({"settings": {"epochs": "3"}}).part("settings").whole("epochs", 1)
        Traceback (most recent call last):
        ValueError: settings.epochs is '3', which is no whole number
    """

    def __init__(self, content: object, name: str = "") -> None:
        self._name = name
        if not isinstance(content, dict):
            raise self._refused(name or "the content", content, "mapping")
        self._content = content

    @staticmethod
    def _refused(name: str, value: object, kind: str) -> ValueError:
        return ValueError(f"{name} is {shortened(value)}, which is no {kind}")

    def _named(self, key: object) -> str:
        return f"{self._name}.{key}" if self._name else str(key)

    def field(self, key: str, kind: type[Value], called: str) -> Value:
        """Return a field of a type, which a message calls so."""
        if key not in self._content:
            raise ValueError(f"it has no {self._named(key)}")
        value = self._content[key]
        if not isinstance(value, kind):
            raise self._refused(self._named(key), value, called)
        return value

    def text(self, key: str) -> str:
        """Return a text of one line, which a terminal can show."""
        value = self.field(key, str, "text")
        if not value.isprintable():
            raise self._refused(self._named(key), value, "text of one line")
        return value

    def flag(self, key: str) -> bool:
        """Return a field that is true or false."""
        return self.field(key, bool, "truth value")

    def whole(self, key: str, least: int) -> int:
        """Return a whole number that fits into 63 bits."""
        value = self.field(key, int, "whole number")
        self._check_whole(self._named(key), value, least)
        return value

    def _check_whole(self, name: str, value: object, least: int) -> None:
        if not _is_number(value, int) or not least <= value < 1 << 63:
            raise self._refused(name, value, f"whole number of at least {least}")

    def wholes(self, key: str, least: int) -> list[int]:
        """Return a list of whole numbers that fit into 63 bits."""
        values = self.field(key, list, "list")
        for value in values:
            self._check_whole(f"one of {self._named(key)}", value, least)
        return values

    def optional_whole(self, key: str, least: int) -> int | None:
        """Return a whole number, or None if the field is None."""
        return None if self._content.get(key, ...) is None else self.whole(key, least)

    def number(self, key: str) -> float:
        """Return a field that is an int or a float, as a float."""
        value = self.field(key, object, "number")
        if not _is_number(value, int | float):
            raise self._refused(self._named(key), value, "number")
        return float(value)

    def numbers(self, key: str) -> list[float]:
        """Return a list whose elements are ints or floats."""
        values = self.field(key, list, "list")
        for value in values:
            if not _is_number(value, int | float):
                raise self._refused(f"one of {self._named(key)}", value, "number")
        return values

    def part(self, key: str) -> Contents:
        """Return a field that is a mapping itself, and whose faults are named with both keys."""
        return Contents(self.field(key, dict, "mapping"), self._named(key))

    def texts(self) -> dict[str, str]:
        """Return all fields, by name, each a text."""
        for key in self._content:
            if not isinstance(key, str):
                raise self._refused(f"a name in {self._name}", key, "text")
        return {key: self.text(key) for key in self._content}


def check_form(value: object, like: object, name: str) -> None:
    """Check that a value has the form of another: the same keys, lengths, shapes and types.

    Raises:
        ValueError: It has another form.
    """
    if isinstance(like, dict):
        if not isinstance(value, dict) or value.keys() != like.keys():
            keys = ", ".join(map(str, like))
            raise ValueError(f"{name} is {shortened(value)}, which is no mapping of {keys}")
        for key, item in like.items():
            check_form(value[key], item, f"{name}.{key}")
    elif isinstance(like, list | tuple):
        if type(value) is not type(like) or len(value) != len(like):
            kind = f"{type(like).__name__} of {len(like)}"
            raise ValueError(f"{name} is {shortened(value)}, which is no {kind}")
        for index, (item, other) in enumerate(zip(value, like, strict=True)):
            check_form(item, other, f"{name}.{index}")
    elif _form(value) != _form(like):
        raise ValueError(f"{name} is {_form(value)}, not {_form(like)}")


def _form(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {value.layout} tensor of {value.dtype} and shape {tuple(value.shape)}"
    if _is_number(value, int | float):
        return "a number"
    return f"a {type(value).__name__}"


def _is_number(value: object, kind: Any) -> TypeGuard[Any]:
    return isinstance(value, kind) and not isinstance(value, bool)
