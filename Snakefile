# Which step needs which. Every result but the site is a folder of the store, named by all that it
# depends on, so a step runs when its folder is missing and never else. What Snakemake sees of it is
# a receipt, which it may remove; see profiles/default/config.yaml for what follows from that.
# Models that share a batch share a process, because loading PyTorch takes longer than measuring a
# small model.
import sys
from pathlib import Path
from shlex import join, quote

from convexlib import book, steps, store
from convexlib import study as studies


study = studies.load(
    str(config.get("study") or "colors"),
    models=config.get("models"),
    add_models=config.get("add_models"),
    count_added=str(config.get("count_added")).lower() in ("true", "yes", "1"),
)
SITE = Path(config.get("site") or "_build/html")
LOGS = store.root() / "logs" / f"{study.name}-{store.fingerprint(study.choice)}"
CHOICE = ["--models", join(study.choice["models"]), "--add-models", join(study.choice["add_models"])]
CHOICE += ["--count-added"] if study.choice["count_added"] else []
BATCHES = study.batches()
NOTEBOOKS = book.notebooks(study)


def convexlib(command, *arguments):
    """A command whose words go to a log, and to the screen if it fails."""
    name = "-".join([command, *(Path(argument).name for argument in arguments)])
    log = quote(str(LOGS / f"{name}.log"))
    line = join(["convexlib", command, study.choice["study"], *arguments, *CHOICE])
    return f"{line} 2> {log} || {{ tail -n 12 {log} >&2; exit 1; }}"


def receipt(name, results):
    """What a step leaves. That another step just ran does not make it run again."""
    for folder in {result.folder for result in results}:
        if folder.exists() and not store.is_whole(folder, thoroughly=False):
            print(store.damaged(folder), file=sys.stderr)
    return ancient(str(store.receipt(name, results)))


def receipts(command, batches):
    """What a command leaves for each batch."""
    step = steps.OF_BATCH[command]
    return {
        batch: receipt(f"{command}_{batch}", [step(study, model) for model in models])
        for batch, models in batches.items()
    }


STIMULI = receipt("stimuli", [steps.stimuli(study)])
TRAINED = receipts("train", {b: ms for b, ms in BATCHES.items() if ms[0].source is None})
REPRESENTED = receipts("represent", BATCHES)
MEASURED = receipts("measure", BATCHES)
EXECUTED = {
    name: receipt(f"notebook_{name}", [book.executed(study, name)]) for name in NOTEBOOKS
}
LOGS.mkdir(parents=True, exist_ok=True)


rule all:
    input:
        str(book.site_stamp(study, SITE)),
        STIMULI,
        TRAINED.values(),
        REPRESENTED.values(),
        MEASURED.values(),
        EXECUTED.values(),


rule site:
    input:
        EXECUTED.values(),
    output:
        str(book.site_stamp(study, SITE)),
    params:
        command=convexlib("render", str(SITE)),
    shell:
        "{params.command}"


rule stimuli:
    output:
        str(STIMULI),
    params:
        command=convexlib("stimuli"),
    shell:
        "{params.command}"


for batch, models in BATCHES.items():
    # The largest first, so that none is left running alone at the end.
    size = study.file.zoo.sizes[models[0].size].layers if batch in TRAINED else 0

    if batch in TRAINED:

        rule:
            name:
                f"train_{batch}"
            input:
                STIMULI,
            output:
                str(TRAINED[batch]),
            priority: 200 + size
            params:
                command=convexlib("train", batch),
            shell:
                "{params.command}"

    rule:
        name:
            f"represent_{batch}"
        input:
            STIMULI,
            TRAINED.get(batch, []),
        output:
            str(REPRESENTED[batch]),
        priority: 100 + size
        params:
            command=convexlib("represent", batch),
        shell:
            "{params.command}"

    rule:
        name:
            f"measure_{batch}"
        input:
            STIMULI,
            REPRESENTED[batch],
        output:
            str(MEASURED[batch]),
        priority: 100 + size
        params:
            command=convexlib("measure", batch),
        shell:
            "NUMBA_NUM_THREADS={threads} {params.command}"


for name in NOTEBOOKS:

    rule:
        name:
            f"notebook_{name}"
        input:
            MEASURED.values(),
        output:
            str(EXECUTED[name]),
        params:
            command=convexlib("execute", name),
        shell:
            "{params.command}"
