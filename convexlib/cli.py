"""The command line: each step of the workflow as a command, and the check that precedes it."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer
from huggingface_hub.constants import HF_HUB_CACHE
from tqdm import tqdm

from convexlib import store
from convexlib import study as studies
from convexlib.store import Result

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

Batch = Annotated[str, typer.Argument(help="Models that share a process, e.g. vit-base.")]

_CHOICE = {  # with what each is by default
    "models": (Annotated[str, typer.Option(help="Only these models, separated by spaces.")], ""),
    "add_models": (Annotated[str, typer.Option(help="Models to add, separated by spaces.")], ""),
    "count_added": (
        Annotated[
            bool, typer.Option("--count-added", help="Let estimates take in the added models.")
        ],
        False,
    ),
}


class Choice(dict[str, Any]):
    """A study and the models chosen from it and added to it, as `study.load` takes them."""

    def load(self) -> studies.Study:
        return studies.load(**self)

    @property
    def sources(self) -> tuple[tuple, tuple[str, ...]]:
        return studies.sources(self["study"], models=self["models"], add_models=self["add_models"])


COLORS = Choice(study="colors")


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes a study and, after its own arguments, which models are meant.

    A default of the function says which study is meant where none is given.
    """
    study = Annotated[str, typer.Argument(help="A name in studies/, or a YAML file.")]
    kind = Parameter.POSITIONAL_OR_KEYWORD
    choice, *own = signature(function).parameters.values()
    default = Parameter.empty if choice.default is Parameter.empty else choice.default["study"]
    options = [
        Parameter(name, kind, annotation=annotation, default=default)
        for name, (annotation, default) in _CHOICE.items()
    ]

    @wraps(function)
    def called(study: str, **arguments: Any) -> None:
        choice = {name: arguments.pop(name) for name in _CHOICE}
        function(Choice(study=study, **choice), **arguments)

    called.__signature__ = signature(function).replace(
        parameters=[
            Parameter("study", kind, annotation=study, default=default),
            *own,
            *options,
        ]
    )
    called.__annotations__ = {
        p.name: p.annotation for p in called.__signature__.parameters.values()
    }
    return app.command()(called)


@command
def check(choice: Choice) -> None:
    """Check the study and that every model can be measured, and fetch data that are missing."""
    from convexlib import downloads, measures, steps

    files, _ = choice.sources
    downloads.check_passwords(files)
    studies.check_stimuli(choice["study"])
    study = choice.load()
    if not all(map(downloads.is_here, files)):
        downloads.fetch_all(files, typer.echo)
        studies.check_stimuli(choice["study"])
    measures.check(steps.judged(study), study.file.measures)
    models = [model for model in study.models if model.source]
    for model in tqdm(models, desc="trying the models", unit="model", delay=2):
        steps.trial(study, model).get()
    store.sweep()


@command
def fetch(choice: Choice) -> None:
    """Load what a study needs from the network ahead of time: its data and its models."""
    from convexlib import checkpoints, downloads

    files, models = choice.sources
    sizes = [checkpoints.size(model) for model in models]
    for model, n_bytes in zip(models, sizes, strict=True):
        typer.echo(f"{model} ({downloads.shown(n_bytes)}). Its terms are on its page of the hub.")
    if models:
        needed, cache = sum(filter(None, sizes)), Path(HF_HUB_CACHE)
        more = " and what is of unknown size" if None in sizes else ""
        free = downloads.shown(downloads.free_space(cache))
        typer.echo(f"{needed / 1e6:,.1f} MB{more} of models to load; {free} free in {cache}")
        downloads.check_room(needed, cache, "what is to load of models")
    if files:
        downloads.fetch_all(files, typer.echo)
    for model in models:
        typer.echo(f"{model}: {checkpoints.locate(model)}")
    if not files and not models:
        typer.echo(f"study {choice['study']} needs nothing from the network")


@command
def run(
    choice: Choice,
    site: Annotated[Path, typer.Argument(help="Folder of the finished site.")],
    cores: Annotated[str, typer.Option(help="How many steps at a time.")] = "all",
) -> None:
    """Run the workflow: all that is missing, then the site."""
    config = choice.load().choice | {"site": str(site.resolve())}
    # Snakemake reads values as YAML, of which JSON is a part.
    values = [f"{key}={json.dumps(config[key])}" for key in (*choice, "site")]
    command = [sys.executable, "-m", "snakemake", "--cores", cores, "--config", *values]
    if subprocess.run(command, cwd=store.ROOT).returncode:
        raise ValueError(
            f"a step failed; its last words are above, and all of them in {store.root() / 'logs'}"
        )


@command
def stimuli(choice: Choice) -> None:
    """Draw the images of a study."""
    from convexlib import steps

    _get("stimuli", [steps.stimuli(choice.load())])


@command
def train(choice: Choice, batch: Batch) -> None:
    """Train the models of a batch: from scratch, then fine-tuned, for every seed."""
    _run("train", choice, batch)


@command
def represent(choice: Choice, batch: Batch) -> None:
    """Store the representations of a batch of models at every layer."""
    _run("represent", choice, batch)


@command
def measure(choice: Choice, batch: Batch) -> None:
    """Store all measures of a batch of models at every layer."""
    _run("measure", choice, batch)


@command
def execute(choice: Choice, notebook: str) -> None:
    """Execute a notebook for a study and store it."""
    from convexlib import book

    _get(f"notebook_{notebook}", [book.executed(choice.load(), notebook)])


@command
def render(
    choice: Choice, site: Annotated[Path, typer.Argument(help="Folder of the finished site.")]
) -> None:
    """Render the site from the executed notebooks."""
    from convexlib import book

    book.render(choice.load(), site)


@command
def notebooks(choice: Choice = COLORS) -> None:
    """Write the notebooks for a study as .ipynb beside their sources, to open in JupyterLab."""
    from convexlib import book

    study = choice.load()
    for name in book.notebooks(study):
        typer.echo(book.write_ipynb(study, name))


def main() -> None:
    """Run the command line; a mistake of the user's or the machine's is one line, no traceback."""
    try:
        app()
    except (ValueError, OSError, MemoryError) as error:
        sys.exit(f"convexlib: {_in_a_line(error)}")


def _in_a_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "the memory is full; close other programs, or choose fewer models"
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename!r}" if error.filename else ""
        return f"{error.strerror}:{where or ' the machine could not do what was asked'}"
    return " ".join(str(error).split()) or type(error).__name__


def _run(rule: str, choice: Choice, batch: str) -> None:
    from convexlib import steps

    study = choice.load()
    batches = study.batches()
    if batch not in batches:
        raise ValueError(
            f"study {choice['study']!r} has no batch {batch!r}; it has: {', '.join(batches)}"
        )
    _get(f"{rule}_{batch}", [steps.OF_BATCH[rule](study, model) for model in batches[batch]])


def _get(name: str, results: Sequence[Result]) -> None:
    """Compute what is not stored, and leave the receipt that the workflow looks for."""
    for result in results:
        result.get()
    store.receipt(name, results)
