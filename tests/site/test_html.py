from pathlib import Path

from tests.site.html import broken, read


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path.resolve()


def test_links_and_assets_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    here = written(
        tmp_path,
        "here.html",
        '<img src="https://cdn/x.png"><a href="there.html#top">a</a><a href="gone.html">b</a>'
        '<a href="there.html#bottom">c</a><a href="https://arxiv.org">d</a>',
    )
    there = written(tmp_path, "there.html", '<h1 id="top">Here</h1>')
    assert broken({here: read(here), there: read(there)}) == [
        "here.html loads https://cdn/x.png",
        "here.html leads to gone.html",
        "here.html leads to there.html#bottom, which has no such place",
    ]


def test_text_is_found_by_class_and_by_element(tmp_path: Path) -> None:
    page = read(written(tmp_path, "x.html", '<div class="a b"><p>one</p><br>two</div><p>three</p>'))
    assert page.texts[".a"] == page.texts[".b"] == ["onetwo"]
    assert page.texts["p"] == ["one", "three"]
