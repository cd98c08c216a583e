"""Release the verdicts of a study as they were made here: python tools/release.py colors."""

import sys

from convexlib import claims
from convexlib import study as studies

if __name__ == "__main__":
    for name in sys.argv[1:]:
        study = studies.load(name)
        claims.of(study).save(claims.PUBLISHED / study.name)
        print(f"{claims.PUBLISHED / study.name}")
