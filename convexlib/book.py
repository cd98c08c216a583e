"""The book: notebooks executed by papermill, and the site rendered from them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from convexlib import steps, store
from convexlib.store import ROOT, Result
from convexlib.study import Study

_STAMP = "built-from-"
_SOURCES = ("_config.yml", "_toc.yml", "book")


def notebooks() -> list[str]:
    """Names of the notebooks, without the folder and the suffix."""
    return sorted(path.stem for path in (ROOT / "notebooks").glob("*.md"))


def write_ipynb(name: str) -> Path:
    """Write a notebook as .ipynb beside its MyST Markdown source, without outputs."""
    import jupytext

    path = _source(name).with_suffix(".ipynb")
    jupytext.write(jupytext.read(_source(name)), path)
    return path


def executed(study: Study, name: str) -> Result:
    """A notebook executed for a study."""
    if name not in notebooks():
        raise ValueError(f"no notebook {name!r}; choose one of: {', '.join(notebooks())}")

    def write(folder: Path) -> None:
        import jupytext
        import papermill

        blank = folder / "blank.ipynb"
        jupytext.write(jupytext.read(_source(name)), blank)
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
            "notebooks": [executed(study, name).fingerprint for name in notebooks()],
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
    (source / "notebooks").mkdir()
    for name in notebooks():
        shutil.copy(executed(study, name).get() / f"{name}.ipynb", source / "notebooks")


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
