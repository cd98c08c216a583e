"""Run all benchmarks: python -m benchmarks. Writes the table and the figure of the book."""

from pathlib import Path

import numba
from tqdm import tqdm

from benchmarks import alignet, convexity, extraction, odd_one_out, transforms

TABLE = Path(__file__).parents[1] / "book" / "_static" / "benchmarks.txt"
HEADER = "| work | here | the other side | here is |\n|---|---|---|---|"


def main() -> None:
    lines = [HEADER]
    for module in (odd_one_out, convexity, transforms, extraction, alignet):
        lines += [str(row) for row in tqdm(module.rows(), desc=module.__name__, unit="row")]
    exponent = convexity.draw_growth()
    n_threads = numba.get_num_threads()
    lines.append(
        f"\nMeasured with {n_threads} threads. From {convexity.SIZES[0]:,} to "
        f"{convexity.SIZES[-1]:,} samples the time of graph convexity grows as the number of "
        f"samples to the power {exponent:.2f}."
    )
    text = "\n".join(lines) + "\n"
    TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
