"""The command line: each step of the workflow as a command, and the check that precedes it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from huggingface_hub.constants import HF_HUB_CACHE

from convexlib import store
from convexlib import study as studies

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

StudyName = Annotated[str, typer.Argument(help="A name in studies/, or a YAML file.")]
Batch = Annotated[str, typer.Argument(help="Models that share a process, e.g. vit-base.")]
Models = Annotated[str, typer.Option(help="Only these models, separated by spaces.")]
AddModels = Annotated[str, typer.Option(help="Models to add, separated by spaces.")]


@app.command()
def check(study: StudyName, models: Models = "", add_models: AddModels = "") -> None:
    """Check the study file and that every model can be loaded, and fetch data that are missing."""
    from convexlib import downloads

    files, _ = studies.sources(study)
    downloads.check_passwords(files)
    studies.check_stimuli(study)
    _load(study, models, add_models)
    if not all(map(downloads.is_here, files)):
        downloads.fetch_all(files, typer.echo)
        studies.check_stimuli(study)
    store.sweep()


@app.command()
def fetch(study: StudyName) -> None:
    """Load what a study needs from the network ahead of time: its data and its models."""
    from convexlib import checkpoints, downloads

    files, models = studies.sources(study)
    sizes = [checkpoints.size(model) for model in models]
    for model, n_bytes in zip(models, sizes, strict=True):
        typer.echo(f"{model} ({downloads.shown(n_bytes)}). Its terms are on its page of the hub.")
    if models:
        needed, cache = sum(filter(None, sizes)), Path(HF_HUB_CACHE)
        free = downloads.shown(downloads.free_space(cache))
        typer.echo(f"{needed / 1e6:,.1f} MB of models to load; {free} free in {cache}")
        downloads.check_room(needed, cache, "what is to load of models")
    if files:
        downloads.fetch_all(files, typer.echo)
    for model in models:
        typer.echo(f"{model}: {checkpoints.locate(model)}")
    if not files and not models:
        typer.echo(f"study {study} needs nothing from the network")


@app.command()
def stimuli(study: StudyName) -> None:
    """Draw the images of a study."""
    from convexlib import steps

    steps.stimuli(_load(study)).get()


@app.command()
def train(study: StudyName, batch: Batch, models: Models = "") -> None:
    """Train the models of a batch: from scratch, then fine-tuned, for every seed."""
    _run("checkpoint", study, batch, models)


@app.command()
def represent(
    study: StudyName, batch: Batch, models: Models = "", add_models: AddModels = ""
) -> None:
    """Store the representations of a batch of models at every layer."""
    _run("representations", study, batch, models, add_models)


@app.command()
def measure(
    study: StudyName, batch: Batch, models: Models = "", add_models: AddModels = ""
) -> None:
    """Store both measures of a batch of models at every layer."""
    _run("measures", study, batch, models, add_models)


@app.command()
def execute(
    study: StudyName, notebook: str, models: Models = "", add_models: AddModels = ""
) -> None:
    """Execute a notebook for a study and store it."""
    from convexlib import book

    book.executed(_load(study, models, add_models), notebook).get()


@app.command()
def render(
    study: StudyName,
    site: Annotated[Path, typer.Argument(help="Folder of the finished site.")],
    models: Models = "",
    add_models: AddModels = "",
) -> None:
    """Render the site from the executed notebooks."""
    from convexlib import book

    book.render(_load(study, models, add_models), site)


@app.command()
def notebooks(study: Annotated[str, typer.Argument()] = "colors") -> None:
    """Write the notebooks for a study as .ipynb beside their sources, to open in JupyterLab."""
    from convexlib import book

    loaded = _load(study)
    for name in book.notebooks(loaded):
        typer.echo(book.write_ipynb(loaded, name))


def main() -> None:
    """Run the command line; a mistake of the user's is one line, not a traceback."""
    try:
        app()
    except ValueError as error:
        sys.exit(f"convexlib: {error}")


def _load(study: str, models: str = "", add_models: str = "") -> studies.Study:
    return studies.load(study, models=models.split(), add_models=add_models.split())


def _run(step: str, study: str, batch: str, models: str = "", add_models: str = "") -> None:
    from convexlib import steps

    loaded = _load(study, models, add_models)
    batches = loaded.batches()
    if batch not in batches:
        raise ValueError(f"study {study!r} has no batch {batch!r}; it has: {', '.join(batches)}")
    for model in batches[batch]:
        getattr(steps, step)(loaded, model).get()
