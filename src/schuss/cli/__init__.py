"""The command line, `schuss`, and all code that needs more packages than torch."""

from __future__ import annotations

EXTRAS = frozenset({"matplotlib", "numpy", "pooch", "requests", "rich", "sklearn", "typer"})
"""Packages that `schuss[mnist]` brings, as they are imported."""


def main() -> None:
    """Run the command line.

    Raises:
        SystemExit: Always, with the exit status; with a message if the extras are not installed.
    """
    try:
        from schuss.cli.app import app

        app()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        message = f'{package} is not installed; get it with: pip install "schuss[mnist]"'
        raise SystemExit(message) from None
