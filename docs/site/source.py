"""A file of an optimizer or a transform, taken apart into what it says and what it does."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.site.equations import Equation, equations_of
from docs.site.markdown import details, prose, sections
from docs.site.statements import Piece, aligned

_YEAR = re.compile(r"\b(18|19|20)\d\d\b")


@dataclass(frozen=True)
class Row:
    """Lines of code, and what stands beside them.

    Attributes:
        says: Markdown.
        code: The lines.
        first_line: The number of the first of them in its file.
        equations: Those that the lines compute.
    """

    says: str
    code: str
    first_line: int
    equations: tuple[Equation, ...] = ()


@dataclass(frozen=True)
class Source:
    """A file of the package.

    Attributes:
        path: Where it is.
        lines: Its lines.
        tree: What they say.
    """

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def title(self) -> str:
        """The first paragraph of its docstring."""
        return self._paragraphs[0]

    @property
    def paper(self) -> str:
        """The second paragraph, if that says where it was published."""
        return self._paragraphs[1] if self._is_published else ""

    @property
    def text(self) -> str:
        """The rest: equations and prose."""
        return "\n\n".join(self._paragraphs[2 if self._is_published else 1 :])

    @property
    def _is_published(self) -> bool:
        return len(self._paragraphs) > 1 and bool(_YEAR.search(self._paragraphs[1]))

    @property
    def _paragraphs(self) -> list[str]:
        return (ast.get_docstring(self.tree) or "").split("\n\n")

    def rows_of(self, name: str, equations: Sequence[Equation]) -> Iterator[Row]:
        """Yield the rows of a class, after those of what it uses of its file."""
        cls = self.classes[name]
        yield from self._rows_of_uses({n.id for n in ast.walk(cls) if isinstance(n, ast.Name)})
        yield self._head_of(cls)
        functions = functions_of(cls)
        for key, pieces in aligned(functions, equations).items():
            yield from self._rows_of_function(functions[key], pieces)

    def example_of(self, name: str) -> str:
        """Return the example of a class as Markdown; nothing if it has none."""
        return prose(sections(ast.get_docstring(self.classes[name]) or "").get("Example", ""))

    def rows_of_methods(
        self, name: str, methods: Collection[str], equations: Sequence[Equation]
    ) -> Iterator[Row]:
        """Yield the rows of some methods of a class, beside equations."""
        functions = functions_of(self.classes[name])
        for key, pieces in aligned(functions, equations).items():
            if key in methods:
                yield from self._rows_of_function(functions[key], pieces)

    @property
    def classes(self) -> Mapping[str, ast.ClassDef]:
        """The classes of the file."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    def _rows_of_uses(self, used: set[str]) -> Iterator[Row]:
        """Yield the constants and the functions of the file that are used."""
        for position, node in enumerate(self.tree.body):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)])
                    | ast.AnnAssign(target=ast.Name(id=name))
                ) if name in used:
                    said, last = self._said_after(position)
                    yield Row(said, self._code(node.lineno, last), node.lineno)
                case ast.FunctionDef(name=name) if name in used:
                    yield from self._rows_of_function(node, aligned({name: node}, [])[name])

    def _said_after(self, position: int) -> tuple[str, int]:
        """Return the docstring of a constant, and the last line before it."""
        node, *after = self.tree.body[position : position + 2]
        match after:
            case [ast.Expr(value=ast.Constant(value=str(said)))]:
                return inspect.cleandoc(said), node.end_lineno or node.lineno
        return "", node.end_lineno or node.lineno

    def _head_of(self, cls: ast.ClassDef) -> Row:
        """Return what stands between the name of a class and its first method."""
        lines = [function.lineno for function in functions_of(cls).values()]
        last = min(lines) - 1 if lines else cls.end_lineno or cls.lineno
        said = prose(ast.get_docstring(cls) or "", without=("Example",))
        return Row(said, self._code(cls.lineno, last, cls), cls.lineno)

    def _rows_of_function(
        self, function: ast.FunctionDef, pieces: Sequence[Piece]
    ) -> Iterator[Row]:
        said = _said_of(function)
        for piece in pieces:
            code = self._code(piece.first, piece.last, function)
            first = piece.first + len(code) - len(code.lstrip("\n"))
            yield Row(said, code.strip("\n"), first, piece.equations)
            said = ""

    def _code(
        self, first: int, last: int, documented: ast.ClassDef | ast.FunctionDef | None = None
    ) -> str:
        """Return some lines, without the docstring that stands beside them."""
        hidden, margin = range(0), ""
        if documented is not None:
            margin = " " * documented.col_offset
            if ast.get_docstring(documented) is not None:
                said = documented.body[0]
                end = said.end_lineno or said.lineno
                blank = end < len(self.lines) and not self.lines[end].strip()
                hidden = range(said.lineno, end + 1 + blank)
        lines = [self.lines[n - 1] for n in range(first, last + 1) if n not in hidden]
        return "\n".join(line.removeprefix(margin) for line in lines)


_FORMAL = ("Args", "Returns", "Raises")


def _said_of(function: ast.FunctionDef) -> str:
    """Return the docstring of a function as Markdown, what it takes and raises behind a click."""
    docstring = ast.get_docstring(function) or ""
    formal = prose(docstring, without=sections(docstring).keys() - _FORMAL)
    said = prose(docstring, without=_FORMAL)
    return f"{said}\n\n{details('Arguments and errors', formal)}" if formal else said


def functions_of(cls: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """Return the methods of a class, in the order of its file."""
    return {node.name: node for node in cls.body if isinstance(node, ast.FunctionDef)}


@cache
def source_of(module: str) -> Source:
    """Return the file of a module."""
    path = Path(inspect.getfile(__import__(module, fromlist=["_"])))
    text = path.read_text(encoding="utf-8")
    return Source(path, tuple(text.splitlines()), ast.parse(text))


def equations_beside(source: Source, name: str) -> list[Equation]:
    """Return the equations to look for in a class: those of its file, if that is about it alone."""
    about = source.title.partition(":")[0]
    public = [key for key in source.classes if not key.endswith("Options")]
    return equations_of(source.text) if len(public) == 1 or about == name else []
