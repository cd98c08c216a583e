"""Resolve the newest versions that pyproject.toml allows; pin them for pip and for conda.

Writes requirements.lock and environment.yml. A build tag of the machine, such as the "+cpu" of
a PyTorch wheel, is no part of a pin. What the oldest Python that the project supports cannot have,
though the one at hand can, is taken in an older version.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

OLDEST = "3.11.0"

# Of all packages that are installed, those whose metadata leave out the oldest Python.
TOO_NEW = f"""
from importlib.metadata import distributions
from pip._vendor.packaging.specifiers import SpecifierSet
for found in distributions():
    if {OLDEST!r} not in SpecifierSet(found.metadata["Requires-Python"] or ""):
        print(found.metadata["Name"] + "<" + found.version)
"""

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
        python = Path(venv, "bin", "python")
        pip = [python, "-m", "pip", "--quiet"]
        limits: list[str] = []
        while True:
            subprocess.run([*pip, "install", *wanted, *limits], check=True)
            if not (too_new := _said([python, "-c", TOO_NEW])):
                break
            limits += too_new
        frozen = _said([*pip, "freeze"])
    pins = [re.sub(r"\+\w+$", "", line) for line in frozen]
    (ROOT / "requirements.lock").write_text("\n".join(pins) + "\n")
    listed = "".join(f"      - {pin}\n" for pin in pins)
    (ROOT / "environment.yml").write_text(ENVIRONMENT + listed)


def _said(command: list) -> list[str]:
    """What a command printed, by lines."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    main()
