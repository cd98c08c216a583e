"""Resolve the newest versions that pyproject.toml allows; pin them for pip and for conda.

Writes requirements.lock and environment.yml. A build tag of the machine, such as the "+cpu" of
a PyTorch wheel, is no part of a pin.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ENVIRONMENT = """\
# Made by tools/lock.py from requirements.lock; the versions are the same.
name: convexlib
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    with tempfile.TemporaryDirectory() as venv:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [Path(venv, "bin", "pip"), "--quiet"]
        subprocess.run([*pip, "install", *wanted], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True)
    pins = [re.sub(r"\+\w+$", "", line) for line in frozen.stdout.splitlines()]
    (ROOT / "requirements.lock").write_text("\n".join(pins) + "\n")
    listed = "".join(f"      - {pin}\n" for pin in pins)
    (ROOT / "environment.yml").write_text(ENVIRONMENT + listed)


if __name__ == "__main__":
    main()
