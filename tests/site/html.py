"""What a page of the site has: its elements, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "use", "wbr"}
_ASSETS = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}


@dataclass
class Page:
    """A page.

    Attributes:
        ids: What a link can lead to.
        links: Where its links lead.
        assets: What a browser loads with it.
        texts: The text within elements of each class and within each kind of element.
    """

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.page.ids |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        if tag in _ASSETS and _ASSETS[tag] in given and given.get("rel") not in ("next", "prev"):
            self.page.assets.append(given[_ASSETS[tag]])
        names = [tag, *(f".{name}" for name in given.get("class", "").split())]
        for name in names:
            self.page.texts.setdefault(name, []).append("")
        if tag not in _VOID:
            self._open.append(names)

    def handle_endtag(self, tag: str) -> None:
        while self._open and tag not in _VOID and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for name in {name for names in self._open for name in names}:
            self.page.texts[name][-1] += data


def read(path: Path) -> Page:
    """Return what a file has."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def broken(pages: dict[Path, Page]) -> list[str]:
    """Return the links, and what is loaded, that lead nowhere or out of the site."""
    found = []
    for path, page in pages.items():
        found += [
            f"{path.name} loads {asset}"
            for asset in page.assets
            if urlsplit(asset).netloc or not _target(path, asset).exists()
        ]
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = _target(path, link)
            if not target.exists():
                found.append(f"{path.name} leads to {link}")
            elif parts.fragment and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{path.name} leads to {link}, which has no such place")
    return found


def _target(path: Path, link: str) -> Path:
    inner = unquote(urlsplit(link).path)
    return (path.parent / inner).resolve() if inner else path
