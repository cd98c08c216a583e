"""Judge the claims of a study again, from other seeds or with other vector instructions.

    python tools/stability.py colors "seeds 3 to 5" --seeds 3 4 5
    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
        python tools/stability.py colors "AVX2 instructions"

Models are trained anew in a store of their own, and the verdicts go to published/<study>. Claims of
AligNet are left out, and other settings are not tried.
"""

import argparse
import os
import subprocess
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pandas as pd
import yaml

from convexlib import claims, store
from convexlib import study as studies


def make_all(study: studies.Study, n_jobs: int) -> None:
    """Make what the verdicts need, several jobs at a time."""
    waiting, running, done = store.jobs(claims.result(study)), {}, set()
    with ThreadPoolExecutor(n_jobs) as pool:
        while waiting or running:
            ready = [name for name, job in waiting.items() if done.issuperset(job.needs)]
            for name in sorted(ready, key=lambda name: -waiting[name].priority):
                del waiting[name]
                command = ["convexlib", "make", study.choice["study"], name]
                running[pool.submit(subprocess.run, command, check=True, stderr=-3)] = name
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
                done.add(running.pop(future))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study")
    parser.add_argument("run", help="what is different")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    folder = store.root() / "stability" / asked.run.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["CONVEXLIB_RESULTS"] = str(folder)
    content = yaml.safe_load((store.ROOT / "studies" / f"{asked.study}.yaml").read_text())
    for section in ("sensitivity", "alignet"):
        content.pop(section, None)
    if asked.seeds:
        content["training"]["seeds"] = asked.seeds
    path = Path(folder, f"{asked.study}.yaml")
    path.write_text(yaml.safe_dump(content))
    study = studies.load(str(path))
    make_all(study, asked.cores)
    found = claims.of(study).verdicts[["claim", "verdict"]].assign(run=asked.run)
    file = claims.PUBLISHED / asked.study / claims.STABILITY
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_file():
        known = pd.read_csv(file)
        found = pd.concat([known[known["run"] != asked.run], found])
    found.to_csv(file, index=False)
    print(f"{file} has {found['run'].nunique()} runs")
