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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import nbformat
import yaml

from convexlib import dependencies, steps, store
from convexlib.settings import Kind
from convexlib.statistics import Estimate
from convexlib.store import ROOT, Known, Result
from convexlib.study import Study

_STAMP = "built-from-"
_NOTHING = Estimate(float("nan"), float("nan"), float("nan"))
_SOURCES = ("_config.yml", "_toc.yml", "book")


def notebooks(study: Study) -> list[str]:
    """Names of the notebooks for a study, without the folder and the suffix."""
    kind = study.file.stimuli.kind
    return [name for name, only in _notebooks().items() if only in (None, kind)]


def write_ipynb(study: Study, name: str) -> Path:
    """Write a notebook for a study as .ipynb beside its MyST Markdown source, without outputs."""
    path = _source(name).with_suffix(".ipynb")
    notebook = _for_study(study, _source(name))
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            for parameter, value in study.choice.items():
                cell.source = re.sub(
                    rf"(?m)^{parameter} = (\[\]|{{}}|\w+|\".*?\")",
                    lambda _, chosen=f"{parameter} = {value!r}": chosen,
                    cell.source,
                )
    nbformat.write(notebook, path)
    return path


def executed(study: Study, name: str) -> Result:
    """A notebook executed for a study."""
    if name not in notebooks(study):
        raise ValueError(
            f"study {study.name!r} has no notebook {name!r}; choose one of: "
            + ", ".join(notebooks(study))
        )
    source, kind = _source(name), study.file.stimuli.kind
    code = dependencies.of_notebook(_code_of(source), stimuli=kind)
    by = {
        "file": study.file.model_dump(mode="json"),
        "models": [asdict(replace(model, source=None)) for model in study.models],
    }
    return Result(
        f"{study.name}/notebooks/{name}",
        _execute,
        {
            "study": Known(study, by=by),
            "name": name,
            "source": Known(source, by=[store.of_files([source]), code.code, code.libraries]),
            "measures": {model.id: steps.measures(study, model) for model in study.models},
        },
        chosen={"stimuli": kind},
    )


def _execute(folder: Path, *, study: Study, name: str, source: Path, measures: Any) -> None:
    """Execute a notebook, which finds the measures by itself."""
    import papermill

    blank, path = folder / "blank.ipynb", folder / f"{name}.ipynb"
    nbformat.write(_for_study(study, source), blank)
    with _this_python() as kernel:
        try:
            papermill.execute_notebook(
                blank,
                path,
                parameters=dict(study.choice),
                kernel_name=kernel,
                cwd=ROOT,
                progress_bar=sys.stderr.isatty(),
            )
        except papermill.PapermillExecutionError as error:
            raise ValueError(
                f"notebook {name}, cell {error.exec_count}: {error.ename}: {error.evalue}"
            ) from error
    blank.unlink()
    notebook = nbformat.read(path, as_version=4)
    _fold_parameters(notebook)
    _leave_out_what_is_missing(notebook)
    nbformat.write(notebook, path)


@contextmanager
def _this_python() -> Iterator[str]:
    """Name of a kernel that is this very Python; others of that name may lie on Jupyter's path."""
    with tempfile.TemporaryDirectory(prefix="convexlib-kernel-") as folder:
        kernel = Path(folder, "kernels", "python3")
        kernel.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "Python 3", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield kernel.name
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def site_stamp(study: Study, site: Path) -> Path:
    """File that is in the site when it was rendered from just these sources."""
    sources = [path for name in _SOURCES for path in _files(ROOT / name)]
    built = store.fingerprint(
        {
            "notebooks": [executed(study, name).fingerprint for name in notebooks(study)],
            "sources": [(str(p.relative_to(ROOT)), store.of_files([p])) for p in sources],
            "code": dependencies.of_function(_assemble, stimuli=study.file.stimuli.kind).code,
            "libraries": dependencies.of_libraries("jupyter-book", "sphinx", "sphinx-book-theme"),
        }
    )
    return site / f"{_STAMP}{built}"


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
        environment = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUTF8": "1"}
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
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
        page.write_text("\n\n".join(cell.source for cell in cells) + "\n", encoding="utf-8")
    (source / "notebooks").mkdir()
    chosen = notebooks(study)
    for name in chosen:
        shutil.copy(executed(study, name).get() / f"{name}.ipynb", source / "notebooks")
    contents = yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8"))
    left_out = {f"notebooks/{name}" for name in _notebooks() if name not in chosen}
    for part in contents["parts"]:
        part["chapters"] = [c for c in part["chapters"] if c["file"] not in left_out]
    (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")


def _for_study(study: Study, source: Path) -> nbformat.NotebookNode:
    """A notebook or a page in the words of a study, without cells for other kinds of stimuli."""
    import jupytext

    words = steps.kind(study).WORDS
    text = source.read_text(encoding="utf-8")
    text = re.sub(r"\{\{\s+(\w+)\s+\}\}", lambda found: words[found[1]], text)
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
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
        for path in sorted((ROOT / "notebooks").glob("*.md"))
    }
    return {name: header.get("stimuli") for name, header in headers.items()}


def _fold_parameters(notebook: nbformat.NotebookNode) -> None:
    """Let the page show, folded, the parameters that papermill put in, not those they replace."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            tags.append("hide-cell")
        elif "parameters" in tags:
            tags.append("remove-cell")


def _leave_out_what_is_missing(notebook: nbformat.NotebookNode) -> None:
    """Without the rows of tables and the paragraphs all of whose numbers are missing."""
    missing = _glued_as_missing(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            blocks = (_with_numbers(block, missing) for block in cell.source.split("\n\n"))
            cell.source = "\n\n".join(block for block in blocks if block)


def _with_numbers(block: str, missing: set[str]) -> str:
    """A paragraph, or a table without rows that have none; empty where nothing is left."""
    if not block.startswith("|"):
        return "" if _lacks_all(block, missing) else block
    head, rows = block.splitlines()[:2], block.splitlines()[2:]
    kept = [row for row in rows if not _lacks_all(row, missing)]
    return "\n".join(head + kept) if kept else ""


def _lacks_all(text: str, missing: set[str]) -> bool:
    keys = re.findall(r"\{glue:text\}`([^`]+)`", text)
    return bool(keys) and missing.issuperset(keys)


def _glued_as_missing(notebook: nbformat.NotebookNode) -> set[str]:
    """Names of numbers of the text that are not there, and of their signs."""
    missing = set()
    for output in (o for cell in notebook.cells for o in cell.get("outputs", ())):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        shown = str(output.get("data", {}).get("application/papermill.record/text/plain"))
        if name and (str(_NOTHING) in shown or shown.strip("'") == _NOTHING.sign):
            missing.add(name)
    return missing


def _source(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.md"


def _code_of(source: Path) -> list[str]:
    import jupytext

    cells = jupytext.reads(source.read_text(encoding="utf-8"), "md:myst").cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
