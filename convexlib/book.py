"""Notebooks and pages for a study, executed and rendered."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import nbformat
import yaml

from convexlib import claims, dependencies, pipeline, store, tables
from convexlib import study as studies
from convexlib.settings import POOLINGS
from convexlib.store import ROOT, Known, Result
from convexlib.study import Study
from convexlib.widgets import explorer

_SOURCES = ("_config.yml", "_toc.yml", "book")
_PROCESSES = 2  # that share the notebooks: to plan takes one as long as to draw a page
CARD = "card.png"  # as `ogp_image` in _config.yml has it
_FEW_CONCEPTS = 40  # a row of a figure each
_PATIENCE = 300  # seconds for a kernel to start, on a machine that is busy
_ICON_SCRIPT = re.compile(r"<(?:script|link)\b[^>]*/fontawesome\.js[^>]*>(?:</script>)?")
_PRINTED_TITLE = re.compile(r'(id="jb-print-docs-body"[^>]*>\s*)<h1>(.*?)</h1>', flags=re.DOTALL)
_RENDERERS = ("jupyter-book", "sphinx", "sphinx-book-theme")


def begin(study: str, **choice: Any) -> Study:
    """What each notebook begins with: the study, and figures in its style.

    Parameters are those of `study.load`.
    """
    from convexlib import figures

    # PyTorch's loaders ask for a progress bar of widgets, and a page shows none.
    warnings.filterwarnings("ignore", "IProgress not found")
    loaded = studies.load(study, **choice)
    figures.set_style(tables.style(loaded))
    return loaded


def notebooks(study: Study) -> list[str]:
    """Names of the notebooks for a study, without the folder and the suffix."""
    about = study.stimuli
    return [
        name
        for name, header in _notebooks().items()
        if header.get("stimuli", about.kind) == about.kind
        and header.get("trains", about.TRAINS) == about.TRAINS
        and header.get("repeated", about.REPEATED) == about.REPEATED
        and header.get("several-judgments", study.n_sets > 1) == (study.n_sets > 1)
        and (bool(study.poolings) or not header.get("compared-poolings"))
        and (bool(study.students.models) or not header.get("alignet"))
        and (explorer.is_for(study) or not header.get("explorable"))
    ]


def features(study: Study) -> set[str]:
    """What a study has, by which cells of pages are chosen: ``if-trains`` or ``unless-trains``."""
    about, judged = study.stimuli, pipeline.judged(study)
    dimensions = judged.judgments.dimensions
    has = {
        about.kind: True,
        "trains": about.TRAINS,
        "repeated": about.REPEATED,
        "people": judged.people is not None,
        "in-order": about.IN_ORDER,
        "one-name": about.ONE_NAME,
        "several-images": judged.n_images > 1,
        "few-concepts": len({*judged.concept.codes[judged.shown].tolist()}) <= _FEW_CONCEPTS,
        "several-judgments": len(judged.sets) > 1,
        "compared-poolings": bool(study.poolings),
        "alignet": bool(study.students.models),
        "explorable": len(judged.shown) <= explorer.MOST_IMAGES,
        "tasks": about.TASKS,
        "similarity": judged.judgments.similarity is not None,
        "dimensions": dimensions is not None,
        "many-dimensions": dimensions is not None and dimensions.shape[1] > 4,
        "few-dimensions": dimensions is not None and dimensions.shape[1] <= 4,
        "scaled": judged.judgments.stress == judged.judgments.stress,
    }
    return {name for name, there in has.items() if there}


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


@cache
def executed(study: Study, name: str) -> Result:
    """A notebook executed for a study."""
    if name not in notebooks(study):
        raise ValueError(
            f"study {study.name!r} has no notebook {name!r}; choose one of: "
            + ", ".join(notebooks(study))
        )
    source, kind = _source(name), study.stimuli.kind
    reached = dependencies.of_notebook(code_of(source), data=kind).code
    measured: dict[str, Any] = pipeline.all_measures(study)
    if "convexlib.tables.baselines" in reached:
        measured["baselines"] = pipeline.all_measures(study.baselines)
    if reached.keys() & {"convexlib.tables.by_pooling", "convexlib.tables.joined_convexity"}:
        others = study.variations.items()
        measured |= {each: pipeline.all_measures(varied) for each, varied in others}
    if _notebooks()[name].get("alignet"):
        measured["students"] = pipeline.all_measures(study.students)
        measured["teacher"] = pipeline.teacher(study)
    if "convexlib.claims.result" in reached:
        measured["claims"] = claims.result(study)
    if "convexlib.widgets.explorer.result" in reached:
        measured["explorer"] = explorer.result(study)
    if "convexlib.claims.elsewhere" in reached:
        folders = claims.elsewhere(study)
        known = {each: str(folder) for each, folder in folders.items()}
        measured["elsewhere"] = Known(folders, by=known)
    if "convexlib.claims.PUBLISHED" in reached:
        released = claims.PUBLISHED / study.name
        measured["released"] = Known(released, by=store.of_files([*released.glob("*")]))
    by = {
        "stimuli": study.stimuli.model_dump(mode="json"),
        "models": [asdict(replace(m, source=None, recipe=None)) for m in study.models],
    }
    return Result(
        f"{study.name}/notebooks/{name}",
        _execute,
        {
            "study": Known(study, by=by),
            "name": name,
            "source": Known(source, by=partial(_described, source, kind)),
            "measures": measured,
        },
        chosen={"data": kind},
        job=f"notebooks_{notebooks(study).index(name) % _PROCESSES}",
    )


def _described(source: Path, kind: str) -> list[dict[str, str]]:
    """Hash of the source of a notebook, and all that its cells reach."""
    return [store.of_files([source]), *dependencies.of_notebook(code_of(source), data=kind)]


def _execute(folder: Path, *, study: Study, name: str, source: Path, measures: Any) -> None:
    """Execute a notebook, which finds the measures by itself."""
    named = study.choice["study"] if study.choice["study"] in studies.names() else "..."
    command = f"make notebook NAME={name} STUDY={named}"
    run(_for_study(study, source), folder / f"{name}.ipynb", dict(study.choice), command=command)


def run(
    notebook: nbformat.NotebookNode, path: Path, parameters: dict[str, Any], *, command: str
) -> None:
    """Execute a notebook with parameters, and end it with all its code under one fold.

    Parameters
    ----------
    notebook : NotebookNode
    path : Path
        Where it goes.
    parameters : dict
    command : str
        What makes the page again.
    """
    import papermill
    from traitlets.config import Config

    blank = path.with_name("blank.ipynb")
    nbformat.write(notebook, blank)
    with _this_python() as (kernel, folder):
        # Sockets of its own, and no ports, which others could listen to or take at the same time.
        sockets = {"transport": "ipc", "ip": str(folder / "socket")}
        try:
            papermill.execute_notebook(
                blank,
                path,
                parameters,
                kernel_name=kernel,
                cwd=ROOT,
                progress_bar=sys.stderr.isatty(),
                start_timeout=_PATIENCE,
                config=Config({"KernelManager": sockets}),
            )
        except papermill.PapermillExecutionError as error:
            raise ValueError(
                f"notebook {path.stem}, cell {error.exec_count}: {error.ename}: {error.evalue}"
            ) from error
    blank.unlink()
    done = nbformat.read(path, as_version=4)
    done.cells.append(_rerun(command, done))
    nbformat.write(done, path)


def _rerun(command: str, notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The end of a page: how it is made again, and all its code, under one fold."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = []
    for cell in code:
        tags = cell.metadata.get("tags", ())
        if not {"parameters", "injected-parameters"} & {*tags}:  # which may hold one's own paths
            sources.append(cell.source)
        cell.metadata["tags"] = ["remove-input" if "hide-input" in tags else "remove-cell"]
    words = f"`{command}` makes this page again, by this code; what it begins with are parameters:"
    text = "\n\n".join(sources)
    fence = f"````{{admonition}} Rerun this page\n:class: dropdown\n{words}\n"
    return nbformat.v4.new_markdown_cell(f"{fence}```python\n{text}\n```\n````")


@contextmanager
def _this_python() -> Iterator[tuple[str, Path]]:
    """Name of a kernel that is this very Python, and a folder that is there as long as it is.

    Others of that name may lie on Jupyter's path.
    """
    with tempfile.TemporaryDirectory(prefix="convexlib-kernel-") as folder:
        kernel = Path(folder, "kernels", "python3")
        kernel.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "Python 3", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            yield kernel.name, Path(folder)
        finally:
            if before is None:
                del os.environ["JUPYTER_PATH"]
            else:
                os.environ["JUPYTER_PATH"] = before


def draw_card(several: Sequence[Study], path: Path) -> None:
    """Draw the picture by which a link to the site is shown elsewhere: the main curves."""
    from convexlib import figures

    figures.set_style(tables.style_of_several(several))
    means = tables.of_several(several, tables.by_family)
    means = means[means["measure"].isin(["convexity", "odd_one_out"])]
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    figures.card(means, path, title=title)


def rendered_from(*names: str) -> dict[str, Any]:
    """What a site depends on besides its notebooks: files of the project, and libraries."""
    sources = [path for name in names for path in _files(ROOT / name)]
    return {
        "files": [(str(path.relative_to(ROOT)), store.of_files([path])) for path in sources],
        "libraries": dependencies.of_libraries(*_RENDERERS),
    }


@cache
def site(study: Study) -> Result:
    """The rendered site: what all else is made for."""
    by = rendered_from(*_SOURCES) | {"stimuli": study.stimuli.model_dump(mode="json")}
    return Result(
        f"{study.name}/site",
        _render,
        {
            "study": Known(study, by=by),
            "human": pipeline.human(study),
            "notebooks": {name: executed(study, name) for name in notebooks(study)},
            "measures": pipeline.all_measures(study),
            "explored": explorer.result(study) if explorer.is_for(study) else None,
        },
        chosen={"data": study.stimuli.kind},
    )


def check_folder(folder: Path) -> None:
    """Raise a one-line ValueError if something else than a site would be replaced by one."""
    if folder.is_file() or (
        folder.is_dir() and any(folder.iterdir()) and not any(folder.glob("built-*"))
    ):
        raise ValueError(
            f"{str(folder)!r} is there and is no site of this project, which it would be replaced "
            "by; name another folder"
        )


def publish(built: Path, folder: Path) -> None:
    """Put a site into a folder, as a whole; a site that was there is replaced.

    Parameters
    ----------
    built : Path
        A stored site.
    folder : Path

    Raises
    ------
    ValueError
        If the folder holds something else.
    """
    check_folder(folder)
    folder = folder.resolve()
    stamp = folder / f"built-{built.name}"
    if stamp.is_file() and stamp.stat().st_mtime_ns >= built.stat().st_mtime_ns:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".site-", dir=folder.parent) as work:
        copied = shutil.copytree(built, Path(work, "new"))
        (copied / store.MANIFEST).unlink()
        (copied / stamp.name).touch()
        if folder.exists():
            folder.rename(Path(work, "previous"))
        copied.rename(folder)


def _render(
    folder: Path,
    *,
    study: Study,
    human: Path,
    notebooks: dict[str, Path],
    measures: Any,
    explored: Path | None,
) -> None:
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        _assemble(study, source, notebooks)
        draw_card([study], source / "book" / "_static" / CARD)
        if explored is not None:
            static = source / "book" / "_static" / explorer.FOLDER
            shutil.copytree(explored, static, ignore=shutil.ignore_patterns(store.MANIFEST))
        build(source, folder)


def build(source: Path, folder: Path) -> None:
    """Render a Jupyter Book into a folder; a warning is an error.

    Parameters
    ----------
    source : Path
        With `_config.yml` and `_toc.yml`.
    folder : Path

    Raises
    ------
    RuntimeError
        If it cannot be rendered, with what Jupyter Book says.
    """
    with tempfile.TemporaryDirectory() as output:
        command = [Path(sys.executable).with_name("jupyter-book"), "build", source]
        command += ["--path-output", output, "--all", "--warningiserror", "--keep-going", "--quiet"]
        environment = os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUTF8": "1"}
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
        if done.returncode:
            raise RuntimeError(f"jupyter-book failed:\n{done.stdout}\n{done.stderr}")
        rendered = Path(output, "_build", "html")
        _mend(rendered)
        shutil.copytree(rendered, folder, dirs_exist_ok=True)


def _mend(site: Path) -> None:
    """Take from pages a script of icons that fonts have, too, a second h1, and a wrong role.

    Tables, which can be wider than a phone, can be scrolled by keys.
    """
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = _PRINTED_TITLE.sub(r"\1<p>\2</p>", _ICON_SCRIPT.sub("", text))
        text = text.replace('role="list" class="citation-list"', 'class="citation-list"')
        text = text.replace('<table class="table"', '<table tabindex="0" class="table"')
        page.write_text(text, encoding="utf-8")
    for script in site.rglob("fontawesome.js*"):
        script.unlink()


def _assemble(study: Study, source: Path, executed: dict[str, Path]) -> None:
    source.mkdir()
    for name in _SOURCES:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, source / name)
    for page in source.glob("book/*.md"):
        cells = _for_study(study, page).cells
        page.write_text("\n\n".join(cell.source for cell in cells) + "\n", encoding="utf-8")
    (source / "notebooks").mkdir()
    for name, folder in executed.items():
        shutil.copy(folder / f"{name}.ipynb", source / "notebooks")
    contents = yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8"))
    left_out = {f"notebooks/{name}" for name in _notebooks() if name not in executed}
    for part in contents["parts"]:
        part["chapters"] = [c for c in part["chapters"] if c["file"] not in left_out]
    (source / "_toc.yml").write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")
    config = yaml.safe_load((source / "_config.yml").read_text(encoding="utf-8"))
    config["title"] += f": {study.file.title}"
    (source / "_config.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _for_study(study: Study, source: Path) -> nbformat.NotebookNode:
    """A notebook or a page in the words of a study, without cells for other kinds of stimuli."""
    import jupytext

    words = {
        **study.stimuli.WORDS,
        "title": study.file.title,
        "bands": _bands(study),
        "n_models": str(tables.n_models(study)),
        "pooling": POOLINGS[study.file.measures.pooling],
    }
    text = source.read_text(encoding="utf-8")
    text = re.sub(r"\{\{\s+(\w+)\s+\}\}", lambda found: words[found[1]], text)
    notebook = jupytext.reads(text, "md:myst")
    notebook.cells = [cell for cell in notebook.cells if _is_for(study, cell)]
    return notebook


def _bands(study: Study) -> str:
    """What bands of curves show; see `tables.layer_means`."""
    n_seeds = max(Counter(model.name for model in study.models).values())
    return "go from one seed to the other" if n_seeds == 2 else "are 95 % t intervals over seeds"


def _is_for(study: Study, cell: nbformat.NotebookNode) -> bool:
    """Whether the study has all that the tags of a cell want, and nothing that they do not."""
    tags = [tag.partition("-") for tag in cell.metadata.get("tags", ())]
    wanted = {feature for word, _, feature in tags if word == "if"}
    unwanted = {feature for word, _, feature in tags if word == "unless"}
    has = features(study) if wanted or unwanted else set()
    return wanted <= has and not unwanted & has


@cache
def _notebooks() -> dict[str, dict[str, Any]]:
    """All notebooks with their headers, which say for what studies they are."""
    return {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
        for path in sorted((ROOT / "notebooks").glob("*.md"))
    }


def _source(name: str) -> Path:
    return ROOT / "notebooks" / f"{name}.md"


def code_of(source: Path) -> list[str]:
    import jupytext

    cells = jupytext.reads(source.read_text(encoding="utf-8"), "md:myst").cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
