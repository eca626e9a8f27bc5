"""All pages of the site, and where each of them is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import schuss
from docs.site import pages, tables
from docs.site.curves import figure, recorded
from docs.site.engine import Examined, examined, examined_around
from docs.site.families import FAMILIES, Family
from docs.site.markdown import container, table
from docs.site.reference import reference
from docs.site.source import source_of
from docs.site.written import relinked, with_output, written_pages
from schuss import Transform, list_optimizers
from schuss.transforms import __all__ as _transforms

DECAYS = ("WeightDecay", "L1Decay", "CorrectedDecay", "InUpdate")
TRANSFORMS = tuple(name for name in _transforms if name not in (*DECAYS, "Transform"))

_GENERATED = ("benchmarks", "ledger", "trained", "architecture", "contributing", "changelog")
"""Pages whose code is shown, and not run here."""

_WITH_TABLES = ("benchmarks", "ledger", "trained", "matrices", "composite", "state", "precision")
_TABULAR = '\n<div class="tabular"></div>\n'
"""A mark for the style: the page has wide tables."""

_COLUMNS = """\
*State* is what the optimizer keeps: bytes for each number of a float32 matrix, measured when this
page was made. *× AdamW* is the time of a step on ResNet-50 over that of AdamW, from
[the benchmarks](../benchmarks.md). *Digits* is the accuracy on the test images in
[the trainings](../trained.md), in percent.
"""

_TREE = """
```{{toctree}}
:hidden:
:caption: Begin

tutorial
choosing
composite
matrices
checkpoints
precision
state
explain
devices
memory
environment
glossary
```

```{{toctree}}
:hidden:
:caption: Optimizers

optimizers/index
{families}
```

```{{toctree}}
:hidden:
:caption: Around them

transforms/index
decay/index
reference
```

```{{toctree}}
:hidden:
:caption: Numbers

benchmarks
ledger
trained
```

```{{toctree}}
:hidden:
:caption: Project

architecture
contributing
changelog
```
"""

_ROOMS = """
```{toctree}
:hidden:

architecture/optimizers
architecture/steps
architecture/tracing
architecture/engines
architecture/kernels
architecture/agreement
architecture/decisions
```
"""


def write_sources(folder: Path) -> None:
    """Write the source of every page."""
    for path, text in {**_written(), **dict(_optimizers()), **dict(_transform_pages())}.items():
        file = folder / f"{path}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "reference.md").write_text(reference(), encoding="utf-8")
    for picture in tables.DOCS.glob("*.svg"):
        shutil.copy(picture, folder)


def _written() -> dict[str, str]:
    """Return the pages that are written by hand or by a command."""
    files = written_pages(tables.ROOT)
    links = {**files, **{str(path): page for path, page in _links()}}
    written = {}
    for path, page in files.items():
        if path == "README.md":
            continue
        text = (tables.ROOT / path).read_text(encoding="utf-8")
        text = relinked(text, path, links) + (_TABULAR if page in _WITH_TABLES else "")
        written[page] = text if page in _GENERATED else with_output(text, page)
    families = "\n".join(f"families/{family.key}" for family in FAMILIES)
    index = written["index"].replace("<!-- the times of README.md -->", tables.times())
    written["index"] = index + _TREE.format(families=families)
    written["architecture"] += _ROOMS
    return written


def _links() -> Iterator[tuple[Path, str]]:
    """Yield the page of every file of an optimizer or a transform."""
    for info in list_optimizers():
        yield (
            source_of(info.cls.__module__).path.relative_to(tables.ROOT),
            f"optimizers/{info.name}",
        )
    yield Path("src/schuss/optimizers/__init__.py"), "optimizers/index"
    for name in reversed(TRANSFORMS):
        module = getattr(schuss, name).__module__
        yield source_of(module).path.relative_to(tables.ROOT), f"transforms/{name.lower()}"


def _optimizers() -> Iterator[tuple[str, str]]:
    found = {info.name: examined(info.name) for info in list_optimizers()}
    curves = recorded(tables.DOCS / "trained-digits.svg")
    links = {info.cls.__name__: f"{info.name}.md" for info in list_optimizers()}
    for info in list_optimizers():
        source = source_of(info.cls.__module__)
        name = info.cls.__name__
        parts = [
            pages.head(source, name, info.summary),
            pages.facts(pages.numbers_of(found[info.name], info.name)),
            pages.introduction(source, info.cls, found[info.name]),
            pages.class_rows(info.cls, links),
            f"## The program and the kernel\n\n{pages.generated(found[info.name], name)}",
            pages.trained_section(info.name, figure(info.name, curves)),
            pages.ledger_section(info.name),
        ]
        yield f"optimizers/{info.name}", "\n\n".join(parts)
    for family in FAMILIES:
        yield f"families/{family.key}", _family(family, found)
    yield "optimizers/index", _all_optimizers(found)


def _family(family: Family, found: dict[str, Examined]) -> str:
    members = "\n".join(f"../optimizers/{name}" for name in family.members)
    listed = _listed(family.members, found)
    toctree = f"```{{toctree}}\n:hidden:\n\n{members}\n```"
    return f"# {family.title}\n\n{family.idea}\n\n{listed}\n\n{_COLUMNS}\n\n{toctree}\n"


def _all_optimizers(found: dict[str, Examined]) -> str:
    parts = [f"---\nhide-toc: true\n---\n\n# All optimizers\n\n{_COLUMNS}"]
    for family in FAMILIES:
        title = f"## [{family.title}](../families/{family.key}.md)"
        parts += [title, family.idea, _listed(family.members, found)]
    return "\n\n".join(parts)


def _listed(names: tuple[str, ...], found: dict[str, Examined]) -> str:
    rows = []
    infos = {info.name: info for info in list_optimizers()}
    for name in names:
        info = infos[name]
        state = f"{found[name].state_bytes:.2f}".rstrip("0").rstrip(".")
        time = next((row["× AdamW"] for row in tables.timed().of(name)), "")
        accuracies = [row["test accuracy, %"] for row in tables.trained().of(name)]
        trained = next((accuracy.partition(" ")[0] for accuracy in accuracies), "")
        link = f"[{info.cls.__name__}](../optimizers/{name}.md)"
        rows.append((link, info.summary, state, time, trained))
    head = ("optimizer", "idea", "state", "× AdamW", "digits")
    return container("listing", table(head, rows, right=(2, 3, 4)), colons=3)


def _transform_pages() -> Iterator[tuple[str, str]]:
    for name in TRANSFORMS:
        cls: type[Transform] = getattr(schuss, name)
        found = examined_around(cls)
        source = source_of(cls.__module__)
        parts = [
            pages.head(source, name, _idea(cls)),
            pages.facts(pages.numbers_around(found)),
            pages.introduction(source, cls, found),
            pages.class_rows(cls, {}),
            "## The program and the kernel, around SGD\n",
            pages.generated(found, f"SGD with {name}"),
        ]
        yield f"transforms/{name.lower()}", "\n\n".join(parts)
    links = {name: f"{name.lower()}.md" for name in DECAYS}
    for name in DECAYS:
        decay: type[Any] = getattr(schuss, name)
        source = source_of(decay.__module__)
        parts = [pages.head(source, name, _idea(decay)), pages.introduction(source, decay)]
        yield f"decay/{name.lower()}", "\n".join([*parts, pages.class_rows(decay, links)])
    yield "transforms/index", _index("Transforms", TRANSFORMS)
    yield "decay/index", _index("Weight decay", DECAYS)


def _index(title: str, names: tuple[str, ...]) -> str:
    said = (schuss.Transform if title == "Transforms" else schuss.WeightDecay).__doc__ or ""
    rows = [(f"[{n}]({n.lower()}.md)", f"{_idea(getattr(schuss, n))}.") for n in names]
    members = "\n".join(name.lower() for name in names)
    toctree = f"```{{toctree}}\n:hidden:\n\n{members}\n```"
    return (
        f"# {title}\n\n{said.splitlines()[0]}\n\n{table(('', 'what it does'), rows)}\n\n{toctree}\n"
    )


def _idea(cls: type[Any]) -> str:
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
