"""Fetch what tests read of other people's data, as far as anyone may load it, some 10 MB."""

from convexlib.data import downloads, images92, things

FILES = (
    *images92.Stimuli.SOURCES,
    *(things.SPOSE, things.SPOSE_LABELS, things.VICE, things.CONCEPTS, things.CATEGORIES),
)

if __name__ == "__main__":
    downloads.fetch_all(FILES, print)
