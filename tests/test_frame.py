"""The frame around the code holds together: pins, pages, notebooks, paths and layers."""

import ast
import inspect
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import jupytext
import pytest
import yaml
from nbformat import NotebookNode
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from convexlib import book, data
from convexlib.store import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
LOCK = (ROOT / "requirements.lock").read_text().split()
PINS = {canonicalize_name(name): pin for name, pin in (line.split("==") for line in LOCK)}
WANTED = PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.md"))
PAGES = sorted((ROOT / "book").glob("*.md"))
MODULES = sorted((ROOT / "convexlib").rglob("*.py"))
INNER = [path for path in MODULES if path != ROOT / "convexlib" / "__init__.py"]

# Calls of convexlib.figures that draw nothing themselves.
DRAWS_NOTHING = {"set_style"}


def of_each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def figure_cells(path: Path) -> list[NotebookNode]:
    return [
        cell
        for cell in cells(path)
        if set(re.findall(r"\bfigures\.(\w+)\(", cell.source)) - DRAWS_NOTHING
        or re.search(r"^\w+\.(show|widget)\(", cell.source, flags=re.MULTILINE)
    ]


def imports(path: Path) -> set[str]:
    """Modules of ours that a module imports, at the top or within functions, types apart."""
    found, nodes = set(), [ast.parse(path.read_text())]
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("convexlib.") for name in found if name.startswith("convexlib.")}
    return {floor_of(name.split(".")) for name in ours}


def floor_of(parts: Sequence[str]) -> str:
    """The module or the package of `FLOORS` that has the module of this name, or what is in it."""
    names = (".".join(parts[:n]) for n in (2, 1))
    return next((name for name in names if name in FLOORS), parts[0])


def project_files() -> list[Path]:
    """What git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout, so there is no list of the project's files")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_pip_and_conda_get_the_same_versions() -> None:
    *_, pip = ENVIRONMENT["dependencies"]
    assert pip == {"pip": LOCK}


def test_conda_gets_a_python_that_the_package_allows() -> None:
    (python,) = (d for d in ENVIRONMENT["dependencies"] if str(d).startswith("python="))
    allowed = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert python.removeprefix("python=") in allowed


def test_every_pin_is_one_exact_version_of_one_package() -> None:
    assert len(PINS) == len(LOCK)
    assert all(str(Version(pin)) == pin and Version(pin).local is None for pin in PINS.values())


@pytest.mark.parametrize("dependency", WANTED)
def test_a_dependency_is_pinned_as_it_may_be(dependency: str) -> None:
    requirement = Requirement(dependency)
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_what_is_installed_is_what_is_pinned() -> None:
    # A build tag such as the "+cpu" of a PyTorch wheel is no part of a pin.
    assert {name: Version(version(name)).public for name in PINS} == PINS


def test_every_page_of_the_contents_exists() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = [contents["root"]]
    pages += [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    assert [page for page in pages if not (ROOT / f"{page}.md").is_file()] == []
    assert len(pages) == len(set(pages))


def test_every_notebook_and_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "_toc.yml").read_text()
    names = [path.relative_to(ROOT).with_suffix("").as_posix() for path in [*NOTEBOOKS, *PAGES]]
    assert [name for name in names if name not in contents] == []


@of_each(NOTEBOOKS)
def test_a_notebook_takes_the_five_parameters(path: Path) -> None:
    (parameters,) = (c for c in cells(path) if "parameters" in c.metadata.get("tags", ()))
    assigned = {
        target.id
        for statement in ast.parse(parameters.source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    assert assigned == {"study", "models", "add_models", "count_added", "settings"}


@of_each(NOTEBOOKS)
def test_a_notebook_begins_with_the_study(path: Path) -> None:
    _, first, *others = cells(path)
    assert "remove-cell" in first.metadata["tags"]
    assert "study = cv.begin(\n    study, " in first.source
    assert not any("cv.begin(" in cell.source for cell in others)


@of_each([*NOTEBOOKS, *PAGES])
def test_cells_are_chosen_by_features_that_a_study_can_have(path: Path) -> None:
    """A misspelt one would leave a cell out, or in, for all studies and in silence."""
    (features,) = (
        node
        for node in ast.walk(ast.parse(inspect.getsource(book.features)))
        if isinstance(node, ast.Dict)
    )
    known = {key.value for key in features.keys if isinstance(key, ast.Constant)}
    tags = [
        tag
        for cell in jupytext.read(path, fmt="md:myst").cells
        for tag in cell.metadata.get("tags", ())
    ]
    chosen = {re.sub("^(if|unless)-", "", tag) for tag in tags if re.match("(if|unless)-", tag)}
    assert chosen <= known | {*data.kinds()}


@of_each(NOTEBOOKS)
def test_a_notebook_says_its_language_to_papermill(path: Path) -> None:
    kernel = jupytext.read(path).metadata["kernelspec"]
    assert (kernel["language"], kernel["name"]) == ("python", "python3")


@of_each(NOTEBOOKS)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in cells(path))


@of_each(NOTEBOOKS)
def test_a_figure_has_a_name_and_a_caption(path: Path) -> None:
    drawn = figure_cells(path)
    assert drawn
    for cell in drawn:
        shown = cell.metadata["mystnb"]
        assert shown["figure"]["name"].startswith("fig-")
        assert len(shown["figure"]["caption"].split()) >= 5


def test_no_two_figures_share_a_name() -> None:
    figures = [cell.metadata["mystnb"]["figure"] for p in NOTEBOOKS for cell in figure_cells(p)]
    counts = Counter(figure["name"] for figure in figures)
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("folder", ["work", "root"])
def test_no_file_knows_the_machine_it_was_written_on(folder: str) -> None:
    path = f"/{folder}/".encode()
    assert [file for file in project_files() if path in file.read_bytes()] == []


@pytest.mark.parametrize("ignored", ["results/x", "_build/x", ".venv/x", "notebooks/x.ipynb"])
def test_what_a_run_leaves_is_not_committed(ignored: str) -> None:
    project_files()
    assert subprocess.run(["git", "check-ignore", "--quiet", ignored], cwd=ROOT).returncode == 0


def test_make_help_lists_every_target_with_its_description() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    described = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", makefile, flags=re.MULTILINE))
    assert sorted(described) == sorted(targets.split())
    command = ["make", "--silent", "--no-print-directory", "help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    shown = dict(re.findall(r"^([\w-]+):? +(.*?) *$", done.stdout, flags=re.MULTILINE))
    assert shown == described


@pytest.mark.parametrize("command", ["make book", "make test"])
def test_the_readme_names_the_command(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


@of_each(sorted((ROOT / "profiles").iterdir()))
def test_a_profile_runs_steps_as_the_default_does(path: Path) -> None:
    default, own = (
        yaml.safe_load((folder / "config.yaml").read_text())
        for folder in (ROOT / "profiles" / "default", path)
    )
    assert default.items() <= own.items()
    if (resources := path / "resources.yaml").exists():
        assert {*yaml.safe_load(resources.read_text())} <= {
            "train",
            "represent",
            "measure",
            "notebooks",
            "teacher",
            "align",
        }


# A module imports those above it in this list, and others of its own package.
FLOORS = [
    "checks",
    "devices",
    "neighbors",
    "shortest_paths",
    "convexity",
    "alignment",
    "triplets",
    "lbfgs",
    "fitting",
    "transforms",
    "concepts",
    "statistics",
    "figures",
    "dependencies",
    "store",
    "data",
    "models.pixels",
    "models.pooling",
    "models.objectives",
    "models.families",
    "settings",
    "models",
    "layers",
    "models.alignet",
    "measures",
    "study",
    "pipeline",
    "tables",
    "claims",
    "reports",
    "widgets",
    "book",
    "editions",
    "plan",
    "cli",
]
ARRAYS_ONLY = FLOORS[: FLOORS.index("figures")]


@pytest.mark.parametrize("path", INNER, ids=[str(p.relative_to(ROOT / "convexlib")) for p in INNER])
def test_a_module_imports_none_of_the_floors_above_it(path: Path) -> None:
    own = floor_of(path.relative_to(ROOT / "convexlib").with_suffix("").parts)
    assert own in FLOORS, f"say where {own} stands"
    assert [name for name in imports(path) if FLOORS.index(name) > FLOORS.index(own)] == []


def test_figures_and_what_finds_dependencies_know_nothing_of_ours() -> None:
    for name in ("figures", "dependencies", "checks"):
        assert imports(ROOT / "convexlib" / f"{name}.py") == set()


@pytest.mark.parametrize("name", ARRAYS_ONLY)
def test_measures_of_arrays_know_arrays_only(name: str) -> None:
    assert imports(ROOT / "convexlib" / f"{name}.py") <= {*ARRAYS_ONLY}


@of_each(sorted((ROOT / "convexlib" / "measures").glob("*.py")))
def test_a_file_of_measures_knows_arrays_and_layers_alone(path: Path) -> None:
    assert imports(path) <= {*ARRAYS_ONLY, "layers", "measures"}


def test_every_folder_of_modules_is_installed() -> None:
    folders = {path.parent.relative_to(ROOT) for path in MODULES}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(".".join(folder.parts) for folder in folders)
