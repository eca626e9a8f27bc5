"""Errors that a user can put right: shown as a message, without a traceback.

ValueError
└── UserError             exit status 1
    ├── OptionError       an option on the command line; exit status 2
    ├── DataFileError     a file with data
    └── CheckpointError   a file to resume from
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Something that the user can put right."""

    exit_status = 1


class OptionError(UserError):
    """An option has a value that it cannot have."""

    exit_status = 2


class DataFileError(UserError):
    """A file with data is missing, damaged, or not what it should be."""


class CheckpointError(UserError):
    """A file to resume from is missing, damaged, or not what it should be."""


@contextmanager
def writing_to(place: object) -> Iterator[None]:
    """Make an `OSError` from the block an error that names what could not be written to.

    Raises:
        UserError: The block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error.strerror or error}") from None


@contextmanager
def shown_as_message() -> Iterator[None]:
    """Show a `UserError` from the block as a message, and leave with its exit status."""
    import typer  # so that what raises such errors is of use without the extras

    try:
        yield
    except UserError as error:
        typer.echo(f"schuss: {error}", err=True)
        raise typer.Exit(error.exit_status) from None
