# One loop over the graph of results, which stands in convexlib/pipeline.py and book.py. Every result
# is a folder of the store, named by all that it depends on, so a job runs when a folder is missing
# and never else. What Snakemake sees of it is a receipt, which it may remove; see
# profiles/default/config.yaml for what follows from that.
import json
import sys
from pathlib import Path
from shlex import join, quote

import yaml

from convexlib import book, store
from convexlib import study as studies

OPTIONS = ("models", "add_models")
study = studies.load(
    str(config.get("study") or "colors"),
    count_added=str(config.get("count_added")).lower() in ("true", "yes", "1"),
    settings=config.get("settings"),
    **{name: config.get(name) for name in OPTIONS},
)
JOBS = store.jobs(book.site(study))
PROFILE = Path(config.get("profile") or "profiles/default", "resources.yaml")
RESOURCES = yaml.safe_load(PROFILE.read_text(encoding="utf-8")) if PROFILE.is_file() else {}
LOGS = store.root() / "logs" / f"{study.name}-{store.fingerprint(study.choice)}"
LOGS.mkdir(parents=True, exist_ok=True)


def convexlib(name):
    """The command that makes a job; its words go to a log, and to the screen if it fails."""
    line = ["convexlib", "make", study.choice["study"], name]
    for option in OPTIONS:
        line += ["--" + option.replace("_", "-"), join(study.choice[option])]
    line += ["--settings", json.dumps(study.choice["settings"])]
    line += ["--count-added"] * study.choice["count_added"]
    log = quote(str(LOGS / f"{name}.log"))
    return f"{join(line)} 2> {log} || {{ tail -n 12 {log} >&2; exit 1; }}"


def asked(name):
    """What a job asks for in the profile, by the first word of its name."""
    return dict(RESOURCES.get(name.partition("_")[0], {}))


def receipt(name):
    """What a job leaves. That another job just ran does not make it run again."""
    for folder in {result.folder for result in JOBS[name].results}:
        if folder.exists() and not store.is_whole(folder, thoroughly=False):
            print(store.damaged(folder), file=sys.stderr)
    return ancient(str(store.receipt(name, JOBS[name].results)))


RECEIPTS = {name: receipt(name) for name in JOBS}


rule all:
    input:
        RECEIPTS.values(),


for name, job in JOBS.items():

    rule:
        name:
            name
        input:
            [RECEIPTS[need] for need in job.needs],
        output:
            str(RECEIPTS[name]),
        priority: job.priority
        threads: asked(name).get("threads", 1)
        resources:
            **{key: value for key, value in asked(name).items() if key != "threads"},
        params:
            command=convexlib(name),
        shell:
            "NUMBA_NUM_THREADS={threads} {params.command}"
