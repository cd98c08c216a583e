"""One site of several studies: an edition of the book for each, a front, and ways between them."""

import html
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from convexlib import book, claims, dependencies, figures, pipeline, store, tables
from convexlib import study as studies
from convexlib.store import ROOT, Known, Result
from convexlib.study import Study

_COMMON = ROOT / "common"
"""Notebooks about several studies, the front first."""

_SWITCH = re.compile(r"<!-- editions\b.*?-->")


def begin(names: Sequence[str]) -> list[Study]:
    """What each notebook about several studies begins with: these, and figures in their style.

    Parameters
    ----------
    names : sequence of str
        Names in studies/, or YAML files.
    """
    loaded = [studies.load(name) for name in names]
    figures.set_style(tables.style_of_several(loaded))
    return loaded


def check(several: Sequence[Study]) -> None:
    """Raise a one-line ValueError if the studies cannot stand in one site."""
    names = [study.name for study in several]
    if len({*names}) < len(names):
        raise ValueError(f"studies are {', '.join(names)}; each of a site needs a name of its own")


def publish(several: Sequence[Study], folder: Path) -> None:
    """Put the sites of studies into a folder, as a whole; a site that was there is replaced.

    One study is the whole site. Of several each is a folder by its name, and every page leads to
    the same page of the others.

    Parameters
    ----------
    several : sequence of Study
    folder : Path

    Raises
    ------
    ValueError
        If the folder holds something else, or two studies have the same name.
    """
    check(several)
    if len(several) == 1:
        book.publish(book.site(several[0]).get(), folder)
        return
    built = {study.name: book.site(study).get() for study in several}
    front = common(several).get()
    name = f"{front.name}-{store.fingerprint([path.name for path in built.values()])}"
    if (folder / f"built-{name}").is_file():
        return
    with tempfile.TemporaryDirectory() as work:
        whole = shutil.copytree(front, Path(work, name))
        for edition, path in built.items():
            shutil.copytree(path, whole / edition)
            (whole / edition / store.MANIFEST).unlink()
        titles = {study.name: study.file.title for study in several}
        for page in whole.rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            page.write_text(
                _SWITCH.sub(lambda _, page=page: _switch(whole, page, titles), text),
                encoding="utf-8",
            )
        book.publish(whole, folder)


def _switch(site: Path, page: Path, titles: Mapping[str, str]) -> str:
    """Links to the front and to the same page of each edition, or to its front."""
    edition, *inner = page.relative_to(site).parts
    here = edition if edition in titles else None
    up = "../" * (len(page.relative_to(site).parts) - 1)
    links = [_link("All studies", f"{up}index.html", here is None)]
    for name, title in titles.items():
        same = Path(name, *inner) if here else Path(name, "index.html")
        target = same if (site / same).is_file() else Path(name, "index.html")
        links.append(_link(title, up + target.as_posix(), name == here))
    return f'<nav class="editions" aria-label="Studies">{"".join(links)}</nav>'


def _link(words: str, to: str, is_here: bool) -> str:
    current = ' aria-current="true"' if is_here else ""
    return f'<a href="{html.escape(to, quote=True)}"{current}>{html.escape(words)}</a>'


def common(several: Sequence[Study]) -> Result:
    """The pages about all of these studies, rendered: the front of the site and what is across."""
    names = [study.name for study in several]
    found = sorted(_COMMON.glob("*.md"), key=lambda path: (path.stem != "front", path.stem))
    pages = {path.stem: executed(several, path) for path in found}
    chosen = [study.choice["study"] for study in several]
    by = {"studies": chosen, **book.rendered_from("_config.yml", "book")}
    inputs = {"several": Known(several, by=by), "notebooks": pages}
    return Result(f"{'-'.join(names)}/common", _render, inputs)


def executed(several: Sequence[Study], source: Path) -> Result:
    """A notebook about several studies, executed."""
    measured = {
        study.name: {"claims": claims.result(study), "measures": pipeline.all_measures(study)}
        for study in several
    }
    chosen = [study.choice["study"] for study in several]
    names = "-".join(study.name for study in several)
    return Result(
        f"{names}/notebooks/{source.stem}",
        _execute,
        {
            "studies": chosen,
            "source": Known(source, by=partial(_described, source)),
            "measures": measured,
        },
    )


def _described(source: Path) -> list[Any]:
    return [store.of_files([source]), *dependencies.of_notebook(book.code_of(source))]


def _execute(folder: Path, *, studies: Sequence[str], source: Path, measures: Any) -> None:
    """Execute a notebook, which finds the measures by itself."""
    import jupytext

    text = source.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, "md:myst")
    command = f'make book STUDY="{" ".join(studies)}"'
    path = folder / f"{source.stem}.ipynb"
    book.run(notebook, path, {"studies": [*studies]}, command=command)


def _render(folder: Path, *, several: Sequence[Study], notebooks: Mapping[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        (source / "book").mkdir(parents=True)
        shutil.copy(ROOT / "_config.yml", source)
        for name in ("_ext", "_static", "_templates", "references.bib", "references.md"):
            path = ROOT / "book" / name
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, source / "book" / name)
        book.draw_card(several, source / "book" / "_static" / book.CARD)
        for name, executed in notebooks.items():
            shutil.copy(executed / f"{name}.ipynb", source)
        front, *others = notebooks
        chapters = [{"file": name} for name in others]
        contents = {
            "format": "jb-book",
            "root": front,
            "parts": [
                {"caption": "All studies", "chapters": chapters},
                {"caption": "More", "chapters": [{"file": "book/references"}]},
            ],
        }
        (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), "utf-8")
        book.build(source, folder)
