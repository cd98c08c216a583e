"""The book: notebooks executed by papermill, and the site rendered from them.

One text serves all kinds of stimuli. In notebooks and pages, {{ concepts }} and the other words
of `WORDS` stand for what the study at hand calls them; a cell tagged with kinds of stimuli is for
these alone, and so is a notebook whose header names one under `stimuli`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import get_args

import nbformat
import yaml

from convexlib import steps, store
from convexlib.settings import Kind
from convexlib.store import ROOT, Result
from convexlib.study import Study

_STAMP = "built-from-"
_SOURCES = ("_config.yml", "_toc.yml", "book")


def notebooks(study: Study) -> list[str]:
    """Names of the notebooks for a study, without the folder and the suffix."""
    kind = study.file.stimuli.kind
    return [name for name, only in _notebooks().items() if only in (None, kind)]


def write_ipynb(study: Study, name: str) -> Path:
    """Write a notebook for a study as .ipynb beside its MyST Markdown source, without outputs."""
    path = _source(name).with_suffix(".ipynb")
    notebook = _for_study(study, _source(name))
    chosen = f"study = {json.dumps(study.choice['study'])}"
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = re.sub(r'(?m)^study = ".*?"', lambda _: chosen, cell.source)
    nbformat.write(notebook, path)
    return path


def executed(study: Study, name: str) -> Result:
    """A notebook executed for a study."""
    if name not in notebooks(study):
        raise ValueError(
            f"study {study.name!r} has no notebook {name!r}; choose one of: "
            + ", ".join(notebooks(study))
        )

    def write(folder: Path) -> None:
        import papermill

        blank = folder / "blank.ipynb"
        nbformat.write(_for_study(study, _source(name)), blank)
        path = folder / f"{name}.ipynb"
        papermill.execute_notebook(
            blank,
            path,
            parameters=dict(study.choice),
            kernel_name="python3",
            cwd=ROOT,
            progress_bar=sys.stderr.isatty(),
        )
        blank.unlink()
        _fold_parameters(path)

    dependencies = {
        "study": study.file.model_dump(mode="json"),
        "measures": {model.id: steps.measures(study, model).fingerprint for model in study.models},
        "source": store.of_files([_source(name)]),
        "code": store.of_code(*(p.relative_to(ROOT / "convexlib").as_posix() for p in _package())),
        "libraries": store.of_libraries(
            "matplotlib", "seaborn", "pandas", "papermill", "ipykernel"
        ),
    }
    return Result(f"{study.name}/notebooks/{name}", dependencies, write)


def site_stamp(study: Study, site: Path) -> Path:
    """File that is in the site when it was rendered from just these sources."""
    sources = [path for name in _SOURCES for path in _files(ROOT / name)]
    built = Result(
        "site",
        {
            "notebooks": [executed(study, name).fingerprint for name in notebooks(study)],
            "sources": [(str(p.relative_to(ROOT)), store.of_files([p])) for p in sources],
            "libraries": store.of_libraries("jupyter-book", "sphinx", "sphinx-book-theme"),
        },
        write=lambda folder: None,
    )
    return site / f"{_STAMP}{built.fingerprint}"


def render(study: Study, site: Path) -> None:
    """Render the site from the executed notebooks and put it in place as a whole.

    Parameters
    ----------
    study : Study
    site : Path
        Folder of the finished site; what was there is replaced once the new site is whole.

    Raises
    ------
    RuntimeError
        If the build fails or warns.
    """
    site = site.resolve()
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".site-", dir=site.parent) as work:
        source, output = Path(work, "source"), Path(work, "output")
        _assemble(study, source)
        command = [Path(sys.executable).with_name("jupyter-book"), "build", source]
        command += ["--path-output", output, "--all", "--warningiserror", "--keep-going", "--quiet"]
        environment = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RuntimeError(f"jupyter-book failed:\n{done.stdout}\n{done.stderr}")
        html = output / "_build" / "html"
        site_stamp(study, html).touch()
        if site.exists():
            site.rename(Path(work, "previous"))
        html.rename(site)


def _assemble(study: Study, source: Path) -> None:
    source.mkdir()
    for name in _SOURCES:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, source / name)
    for page in source.glob("book/*.md"):
        cells = _for_study(study, page).cells
        page.write_text("\n\n".join(cell.source for cell in cells) + "\n")
    (source / "notebooks").mkdir()
    chosen = notebooks(study)
    for name in chosen:
        shutil.copy(executed(study, name).get() / f"{name}.ipynb", source / "notebooks")
    contents = yaml.safe_load((source / "_toc.yml").read_text())
    left_out = {f"notebooks/{name}" for name in _notebooks() if name not in chosen}
    for part in contents["parts"]:
        part["chapters"] = [c for c in part["chapters"] if c["file"] not in left_out]
    (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False))


def _for_study(study: Study, source: Path) -> nbformat.NotebookNode:
    """A notebook or a page in the words of a study, without cells for other kinds of stimuli."""
    import jupytext

    words = steps.kind(study).WORDS
    text = re.sub(r"\{\{\s+(\w+)\s+\}\}", lambda found: words[found[1]], source.read_text())
    notebook = jupytext.reads(text, "md:myst")
    notebook.cells = [cell for cell in notebook.cells if _is_for(study.file.stimuli.kind, cell)]
    return notebook


def _is_for(kind: Kind, cell: nbformat.NotebookNode) -> bool:
    kinds = {*get_args(Kind)} & {*cell.metadata.get("tags", ())}
    return not kinds or kind in kinds


@cache
def _notebooks() -> dict[str, Kind | None]:
    """All notebooks, and the kind of stimuli that one is for alone."""
    headers = {
        path.stem: yaml.safe_load(path.read_text().split("---\n")[1])
        for path in sorted((ROOT / "notebooks").glob("*.md"))
    }
    return {name: header.get("stimuli") for name, header in headers.items()}


def _fold_parameters(path: Path) -> None:
    """Let the page show, folded, the parameters that papermill put in, not those they replace."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            tags.append("hide-cell")
        elif "parameters" in tags:
            tags.append("remove-cell")
    nbformat.write(notebook, path)


def _source(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.md"


def _package() -> list[Path]:
    return sorted((ROOT / "convexlib").rglob("*.py"))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
