# Which step needs which. Every result but the site is a folder of the store, named by all that
# it depends on, so a step runs when its folder is missing and never else; see
# profiles/default/config.yaml for what follows from that. Models that share a batch share a
# process, because loading PyTorch takes longer than measuring a small model.
import sys
from pathlib import Path
from shlex import quote

from convexlib import book, steps, store
from convexlib import study as studies

SITE = Path(config.get("site") or "_build/html")
MODELS = config.get("models") or ""
ADD_MODELS = config.get("add_models") or ""
CHOICE = f"--models {quote(MODELS)}"
MORE_CHOICE = f"{CHOICE} --add-models {quote(ADD_MODELS)}"

study = studies.load(
    config.get("study") or "colors", models=MODELS.split(), add_models=ADD_MODELS.split()
)
NAME = quote(study.choice["study"])


def folder(result):
    """Where a result is stored. A damaged one is removed here, so that its step runs again."""
    if not store.is_whole(result.folder, thoroughly=False) and store.discard(result.folder):
        print(store.damaged(result.folder), file=sys.stderr)
    return str(result.folder)


def folders(step, models):
    return [folder(step(study, model)) for model in models]


def needed(*paths):
    """Inputs that must be there. That one was just written again does not make it another."""
    return [ancient(path) for path in paths]


def kept(*paths):
    """Outputs that survive when their step runs for the others of its batch."""
    return [update(directory(path)) for path in paths]


STIMULI = folder(steps.stimuli(study))
TRAINED = [model for model in study.models if model.source is None]
NOTEBOOKS = {name: folder(book.executed(study, name)) for name in book.notebooks(study)}


rule all:
    input:
        str(book.site_stamp(study, SITE)),
        STIMULI,
        folders(steps.checkpoint, TRAINED),
        folders(steps.representations, study.models),
        folders(steps.measures, study.models),
        NOTEBOOKS.values(),


rule site:
    input:
        needed(*NOTEBOOKS.values()),
    output:
        str(book.site_stamp(study, SITE)),
    log:
        str(store.root() / "logs" / "site.log"),
    shell:
        "convexlib render {NAME} {SITE} {MORE_CHOICE} 2> {log}"


rule stimuli:
    output:
        directory(STIMULI),
    log:
        str(store.root() / "logs" / "stimuli.log"),
    shell:
        "convexlib stimuli {NAME} 2> {log}"


for batch, models in study.batches().items():
    trained = [model for model in models if model.source is None]
    # The largest first, so that none is left running alone at the end.
    size = study.file.zoo.sizes[models[0].size].layers if trained else 0

    if trained:

        rule:
            name:
                f"train_{batch}"
            input:
                needed(STIMULI),
            output:
                kept(*folders(steps.checkpoint, trained)),
            params:
                batch=batch,
            priority: 200 + size
            log:
                str(store.root() / "logs" / f"train-{batch}.log"),
            shell:
                "convexlib train {NAME} {params.batch} {CHOICE} 2> {log}"

    rule:
        name:
            f"represent_{batch}"
        input:
            needed(STIMULI, *folders(steps.checkpoint, trained)),
        output:
            kept(*folders(steps.representations, models)),
        params:
            batch=batch,
        priority: 100 + size
        log:
            str(store.root() / "logs" / f"represent-{batch}.log"),
        shell:
            "convexlib represent {NAME} {params.batch} {MORE_CHOICE} 2> {log}"

    rule:
        name:
            f"measure_{batch}"
        input:
            needed(STIMULI, *folders(steps.representations, models)),
        output:
            kept(*folders(steps.measures, models)),
        params:
            batch=batch,
        priority: 100 + size
        log:
            str(store.root() / "logs" / f"measure-{batch}.log"),
        shell:
            "NUMBA_NUM_THREADS={threads} "
            "convexlib measure {NAME} {params.batch} {MORE_CHOICE} 2> {log}"


for name, path in NOTEBOOKS.items():

    rule:
        name:
            f"notebook_{name}"
        input:
            needed(*folders(steps.measures, study.models)),
        output:
            directory(path),
        params:
            name=name,
        log:
            str(store.root() / "logs" / f"notebook-{name}.log"),
        shell:
            "convexlib execute {NAME} {params.name} {MORE_CHOICE} 2> {log}"
