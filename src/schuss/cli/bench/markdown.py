"""Writing a section of a document whose numbers come from a record."""

from __future__ import annotations

from pathlib import Path

from schuss.cli.errors import DataFileError, writing_to
from schuss.cli.mnist.atomic import written_atomically


def write_section(path: Path, name: str, content: str, command: str = "bench") -> None:
    """Replace the text between the two markers of a section, and nothing else.

    Args:
        path: The document.
        name: The section.
        content: The new text of the section.
        command: The command that writes it.

    Raises:
        DataFileError: The document cannot be read, or does not have the markers.
    """
    before, after = read_document(path, name, command)
    with writing_to(path), written_atomically(path) as temporary:
        temporary.write_bytes(f"{before}\n\n{content}\n\n{after}".encode())


def read_document(path: Path, name: str, command: str = "bench") -> tuple[str, str]:
    """Return a document up to and with the first marker of a section, and from its second.

    Raises:
        DataFileError: The document cannot be read, or does not have the markers.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise DataFileError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is no text in UTF-8: {error.reason}") from None
    begin, end = markers(name, command)
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise DataFileError(
            f"{path} has no section {name!r} for the tables; put these two lines where it is to "
            f"stand:\n{begin}\n{end}"
        )
    return before + begin, end + after


def markers(name: str, command: str = "bench") -> tuple[str, str]:
    """Return the comments that a section stands between.

    Example:
        >>> markers("step")
        ('<!-- begin schuss bench: step -->', '<!-- end schuss bench: step -->')
    """
    return f"<!-- begin schuss {command}: {name} -->", f"<!-- end schuss {command}: {name} -->"
