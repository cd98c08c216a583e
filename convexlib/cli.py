"""The command line: the check that precedes the work, the work, and any part of it by name."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from huggingface_hub.constants import HF_HUB_CACHE
from tqdm import tqdm

from convexlib import store
from convexlib import study as studies
from convexlib.store import Result
from convexlib.study import Study

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

_STUDY = Annotated[
    str,
    typer.Argument(help="A name in studies/, or a YAML file; check, plan and run take several."),
]
_CHOICE = {  # with what each is by default
    "models": (Annotated[str, typer.Option(help="Only these models, separated by spaces.")], ""),
    "add_models": (Annotated[str, typer.Option(help="Models to add, separated by spaces.")], ""),
    "count_added": (
        Annotated[
            bool, typer.Option("--count-added", help="Let estimates take in the added models.")
        ],
        False,
    ),
    "settings": (
        Annotated[
            str, typer.Option(help="Replaces settings of measures, e.g. '{n_neighbors: 5}'.")
        ],
        "",
    ),
}
Name = Annotated[
    str, typer.Argument(help="A job or a result, e.g. train_vit-base or notebooks/layer_curves.")
]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes a study and, after its own arguments, which models are meant.

    The function gets them in a dict, as `study.load` takes them.
    """
    kind = Parameter.POSITIONAL_OR_KEYWORD
    choice, *own = signature(function).parameters.values()
    options = [
        Parameter(name, kind, annotation=annotation, default=default)
        for name, (annotation, default) in _CHOICE.items()
    ]

    @wraps(function)
    def called(**arguments: Any) -> None:
        choice = {name: arguments.pop(name) for name in ("study", *_CHOICE)}
        choice["settings"] = _mapping(choice["settings"])
        function(choice, **arguments)

    study = Parameter("study", kind, annotation=_STUDY, default=choice.default)
    called.__signature__ = signature(function).replace(parameters=[study, *own, *options])
    called.__annotations__ = {
        p.name: p.annotation for p in called.__signature__.parameters.values()
    }
    return app.command()(called)


def _mapping(settings: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(settings) or {}
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"settings is {settings!r}; give YAML such as '{{n_neighbors: 5}}'")
    return found


def _each(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """The choice of each study that is named, separated by spaces."""
    named = choice["study"]
    names = [named] if Path(named).expanduser().is_file() else shlex.split(named)
    return [choice | {"study": name} for name in names]


@command
def check(choice: dict[str, Any]) -> None:
    """Check each study and that every model can be measured, and fetch data that are missing."""
    for of_study in _each(choice):
        _check(of_study)
    store.sweep()


def _check(choice: dict[str, Any]) -> None:
    from convexlib import layers, pipeline
    from convexlib.data import downloads

    files, _ = _sources(choice)
    downloads.check_passwords(files)
    studies.check_stimuli(choice["study"])
    study = studies.load(**choice)
    if not all(map(downloads.is_here, files)):
        downloads.fetch_all(files, typer.echo)
        studies.check_stimuli(choice["study"])
    layers.check(pipeline.judged(study), study.file.measures)
    models = [model for model in study.models if model.source]
    for model in tqdm(models, desc="trying the models", unit="model", delay=2):
        pipeline.trial(study, model).get()


@command
def fetch(choice: dict[str, Any]) -> None:
    """Load what a study needs from the network ahead of time: its data and its models."""
    from convexlib.data import downloads
    from convexlib.models import checkpoints

    files, models = _sources(choice)
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
def plan(choice: dict[str, Any]) -> None:
    """Say what would be fetched and made, and how long that takes here, before anything starts."""
    for of_study in _each(choice):
        _plan(of_study)


def _plan(choice: dict[str, Any]) -> None:
    from convexlib import plan as plans
    from convexlib.data import downloads
    from convexlib.models import checkpoints

    files, models = _sources(choice)
    sizes = {source.path: downloads.size(source) for source in files}
    sizes |= {model: checkpoints.size(model) for model in models}
    wanted = {name: size for name, size in sizes.items() if size != 0}
    for name, n_bytes in wanted.items():
        typer.echo(f"to fetch: {name} ({downloads.shown(n_bytes)})")
    if wanted:
        total = sum(filter(None, wanted.values()))
        typer.echo(f"{downloads.shown(total)} in all; the rest can be told once these are here")
        return
    lines = plans.plan(studies.load(**choice))
    typer.echo(plans.shown(lines).to_string(index=False))
    known = sum(line.seconds for line in lines if line.seconds == line.seconds)
    typer.echo(f"together {plans.in_words(known)} of one process, and what is not known")


@command
def run(
    choice: dict[str, Any],
    site: Annotated[Path, typer.Argument(help="Folder of the finished site.")],
    cores: Annotated[str, typer.Option(help="How many steps at a time.")] = "all",
    again: Annotated[str, typer.Option(help="A result to make again, by its name.")] = "",
    profile: Annotated[
        str, typer.Option(help="Where steps run: a name in profiles/, or a folder.")
    ] = "default",
) -> None:
    """Run the workflow: all that is missing, then the site, of one study or of several."""
    from convexlib import book, editions, reports

    book.check_folder(site)
    folder = _profile(profile)
    several = [studies.load(**of_study) for of_study in _each(choice)]
    editions.check(several)
    for study in several:
        for result in [*_named(study, again), book.site(study)] if again else ():
            store.remove(result)
        jobs = store.jobs(book.site(study))
        if all(store.receipt(name, job.results).exists() for name, job in jobs.items()):
            typer.echo(
                f"Nothing to be done for {study.file.title}: all results are stored and whole"
            )
        else:
            _workflow(study, cores, folder)
    editions.publish(several, site)
    for study in several:
        for line in reports.agreement(study):
            typer.echo(line)


def _workflow(study: Study, cores: str, profile: Path) -> None:
    """Let Snakemake make what is missing, as the profile in this folder says."""
    # Snakemake reads values as YAML, of which JSON is a part.
    values = [f"{key}={json.dumps(value)}" for key, value in study.choice.items()]
    values.append(f"profile={json.dumps(str(profile))}")
    command = [sys.executable, "-m", "snakemake", "--cores", cores, "--workflow-profile", profile]
    command += ["--config", *values]
    if subprocess.run(command, cwd=store.ROOT).returncode:
        raise ValueError(
            f"a step failed; its last words are above, and all of them in {store.root() / 'logs'}"
        )


@command
def make(choice: dict[str, Any], name: Name) -> None:
    """Make a result, or all results of a job, and what they need."""
    results = _named(studies.load(**choice), name)
    for result in results:
        result.get()
    store.receipt(name, results)


@command
def why(choice: dict[str, Any], name: Name) -> None:
    """Say why a result is made anew: how what it depends on differs from what is stored."""
    for result in _named(studies.load(**choice), name):
        for line in store.why(result) or [f"{result.name} is stored and whole"]:
            typer.echo(line)


@command
def notebooks(choice: dict[str, Any] = "colors") -> None:
    """Write the notebooks for a study as .ipynb beside their sources, to open in JupyterLab."""
    from convexlib import book

    study = studies.load(**choice)
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


def _profile(name: str) -> Path:
    folders = store.ROOT / "profiles" / name, Path(name).expanduser().resolve()
    found = next((folder for folder in folders if (folder / "config.yaml").is_file()), None)
    if found is None:
        known = sorted(path.parent.name for path in store.ROOT.glob("profiles/*/config.yaml"))
        raise ValueError(
            f"profile {name!r} is neither one of {', '.join(known)} nor a folder with config.yaml"
        )
    return found


def _sources(choice: dict[str, Any]) -> tuple[tuple, tuple[str, ...]]:
    given = {key: choice[key] for key in ("models", "add_models")}
    return studies.sources(choice["study"], **given)


def _named(study: Study, name: str) -> list[Result]:
    """The results of a job, or those whose name below the study is, or begins with, this one."""
    from convexlib import book

    jobs = store.jobs(book.site(study))
    if name in jobs:
        return jobs[name].results
    results = [result for job in jobs.values() for result in job.results]
    found = [r for r in results if f"{r.name}/".startswith(f"{study.name}/{name.strip('/')}/")]
    if not found:
        raise ValueError(
            f"study {study.name!r} has no job or result {name!r}; jobs are: {', '.join(jobs)}"
        )
    return found
