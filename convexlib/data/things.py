"""THINGS: 1,854 object concepts, 26,107 images, 27 categories and 4.7 million judgments."""

import io
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from convexlib import data, store
from convexlib.data import FilePath, downloads, files
from convexlib.data.downloads import Source
from convexlib.data.images import Broken

PASSWORD = "CONVEXLIB_THINGS_PASSWORD"
"""Environment variable with the password of the images."""

N_CONCEPTS = 1854

_MISSING = ["", "NA", "NaN", "nan"]

_VICE = "https://raw.githubusercontent.com/LukasMut/VICE/5f80103ef4c9eb29477c4cadb1c9c54476d59e97"
_DIMENSIONS = (
    "https://raw.githubusercontent.com/ViCCo-Group/dimension_encoding/"
    "aaa833cfccdc7fe9d83244f2ed6865333c5b029b"
)
_IMAGES_LICENCE = (
    "For research alone; read password_images.txt in the OSF project jum2f, which has the terms "
    "and the password."
)
_DATA_LICENCE = "CC BY 4.0."
_JUDGMENTS_LICENCE = "Published for research; the OSF project f5rn6 names no licence."

IMAGES = Source(
    "things/images_THINGS.zip",
    "https://osf.io/rdxy2/download",
    _IMAGES_LICENCE,
    "hebart2019",
    unpack="things/object_images",
    password=PASSWORD,
)
TRIALS = Source(
    "things/triplets_large_final_correctednc_correctedorder.csv",
    "https://osf.io/h2smy/download",
    _JUDGMENTS_LICENCE,
    "hebart2023",
    "68f2bbc330b17537881f81b1aa806fc2179b7accecc3a44d54fb25ae3de7f3e5",
)
SPOSE = Source(
    "things/spose_embedding_66d_sorted.txt",
    "https://osf.io/nfbp3/download",
    _JUDGMENTS_LICENCE,
    "hebart2023",
    "6a485922fe22c10b2eb920140198488451d44ac6de0c6be5e8ee8eec8a2007cc",
)
SPOSE_LABELS = Source(
    "things/labels_66.txt",
    "https://osf.io/ydxus/download",
    _JUDGMENTS_LICENCE,
    "hebart2023",
    "396f333a38d629a503f894b0ee7929af0ed073bc59a3c0d86ec5e88de713f808",
)
VICE = Source(
    "things/vice_embedding.npy",
    f"{_VICE}/embeddings/things/final_embedding.npy",
    "GPL-3.",
    "muttenthaler2022vice",
    "6c596ec9fe6e135e3fd32207d4d1d5eb004e3cef3810d5cb40474b1996d5392f",
)
CONCEPTS = Source(
    "things/things_concepts.tsv",
    f"{_VICE}/data/files/things_concepts.tsv",
    _DATA_LICENCE,
    "hebart2019",
    "f6eb4ec6fcad61e50a746bee820f98d1595fe655e9e210a9a407e9a17fd8cee4",
)
CATEGORIES = Source(
    "things/Categories_final_20200131_fixedUniqueID.tsv",
    f"{_DIMENSIONS}/data/Categories_final_20200131_fixedUniqueID.tsv",
    "MIT.",
    "hebart2019",
    "b99df40d374d36e51fa74937a0834248d11803193199b1ce29e1858f557097df",
)
SOURCES = (IMAGES, TRIALS, SPOSE, SPOSE_LABELS, VICE, CONCEPTS, CATEGORIES)
"""All are fetched for the study; the images alone take gigabytes."""


class Trials(NamedTuple):
    """Odd-one-out trials, one row each.

    Attributes
    ----------
    triplets : ndarray of int, shape (n_trials, 3)
        Columns 0 and 1 are the pair kept together; concepts count from 0.
    ceiling_set : ndarray of int, shape (n_trials,)
        0 for training; 1, 2 and 3 for the test sets whose triplets were judged repeatedly.
    subject : ndarray of shape (n_trials,)
    reaction_time : ndarray of float, shape (n_trials,)
        In milliseconds.
    """

    triplets: np.ndarray
    ceiling_set: np.ndarray
    subject: np.ndarray
    reaction_time: np.ndarray


class Stimuli(data.Stimuli):
    """Which images of THINGS, and how many of the 4.7 million judgments.

    `images` are the reference image of each object, whose classes are judged for convexity too,
    or all images, or none, for ready-made features of the objects; `categories` and `trials` are
    files in the place of the published ones.
    """

    WORDS: ClassVar = data.Stimuli.WORDS | {
        "concept": "object",
        "concepts": "objects",
        "units": "objects",
    }
    SOURCES: ClassVar = SOURCES
    MAY_SHOW: ClassVar = False
    ONE_NAME: ClassVar = False

    kind: Literal["things"]
    images: Literal["reference", "all", "none"] = "reference"
    n_triplets: int = Field(ge=1000)
    categories: FilePath | None = None
    trials: FilePath | None = None
    broken: Broken = "error"

    @property
    def extent(self) -> tuple[int, int]:
        return N_CONCEPTS, 1

    @property
    def root(self) -> Path:
        return downloads.root() / "things"

    @property
    def sources(self) -> tuple[Source, ...]:
        """Without the images where there are none, and what one's own files replace."""
        needless = {
            IMAGES.path: self.images == "none",
            TRIALS.path: self.trials is not None,
            CATEGORIES.path: self.categories is not None,
        }
        return tuple(source for source in self.SOURCES if not needless.get(source.path))

    def without_images(self) -> "Stimuli":
        """Features have a row an object."""
        return self.model_copy(update={"images": "none"})

    def check(self) -> None:
        """Read the categories, so that a mistake in one's own shows before anything is computed."""
        if downloads.is_here(CONCEPTS):
            categories(self.categories)

    def splits(self) -> dict[str, tuple[None, pd.DataFrame]]:
        """The reference images, or all; files are read one by one."""
        if self.images == "none":
            labels = pd.DataFrame({self.CONCEPT: concepts()})
            return {"test": (None, labels), "reference": (None, labels)}
        found = image_paths(reference_only=self.images == "reference")
        by_split = files.splits(found, self.root, broken=self.broken)
        _, references = by_split["reference"]
        lost = pd.Index(found).difference(references[self.CONCEPT], sort=False)
        if len(lost):
            raise ValueError(
                f"the reference image {str(found[lost[0]][0])!r} cannot be read; people judged it, "
                "so it cannot be left out; remove the folder of images and run `convexlib fetch "
                "things`"
            )
        return by_split

    def images_depend_on(self) -> dict[str, Any]:
        """Names, sizes and times of change."""
        if self.images == "none":
            return {"files": store.of_files([downloads.find(CONCEPTS)])}
        found = image_paths(reference_only=self.images == "reference")
        paths = [path for of_concept in found.values() for path in of_concept]
        return {"files": files.stamps(paths, self.root), "broken": self.broken}

    def judgments_depend_on(self) -> dict[str, Any]:
        """All published files but the images, those in the place of some, and what is drawn."""
        own = {"categories": self.categories, "trials": self.trials}
        return {
            "published": {source.path: source.sha256 for source in SOURCES if not source.unpack},
            "own": {name: store.of_files([path]) for name, path in own.items() if path},
            "drawn": [self.seed, self.n_triplets],
        }

    def human(self, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> data.Human:
        """Triplets judged once, drawn at random, and what SPoSE and VICE learned from such.

        Similarity is the dot product of SPoSE, from which its choices follow by a softmax. The
        dimensions are those of VICE. The noise ceiling is that of the first repeated test set.
        """
        from convexlib.alignment import noise_ceiling

        trials = read_trials(self.trials)
        rows = np.flatnonzero(trials.ceiling_set == 0)
        if self.n_triplets < len(rows):
            rng = np.random.default_rng(self.seed)
            rows = rows[rng.choice(len(rows), self.n_triplets, replace=False)]
        weights, _ = spose()
        ceiling = noise_ceiling(trials.triplets[trials.ceiling_set == 1])
        of_concept = categories(self.categories).loc[of_test[self.CONCEPT]]
        return data.Human(
            names=concepts(),
            shown=pd.Index(concepts()).get_indexer(of_test[self.CONCEPT]),
            categories=of_concept.reset_index(drop=True),
            sets={
                "THINGS": data.Judgments(
                    trials.triplets[rows],
                    weights @ weights.T,
                    vice().astype(float),
                    ceiling=ceiling,
                    seconds=trials.reaction_time[rows] / 1000,
                )
            },
        )


@cache
def concepts() -> list[str]:
    """Unique names of the 1,854 concepts, in the order to which all judgments refer."""
    names = _table(downloads.find(CONCEPTS))["uniqueID"].tolist()
    if len(names) != N_CONCEPTS or len(set(names)) != N_CONCEPTS:
        raise ValueError(
            f"{CONCEPTS.path} holds {len(set(names))} concepts; there are {N_CONCEPTS}; fetch it "
            "again"
        )
    return names


def categories(path: Path | None = None) -> pd.DataFrame:
    """Which concept belongs to which of the 27 categories.

    Parameters
    ----------
    path : Path, optional
        A file of categories of one's own, tab-separated: a column uniqueID, and a column a
        category that holds 1 for members.

    Returns
    -------
    DataFrame of bool, shape (1854, 27)
        Rows are concepts, by name. They may belong to several categories or none.

    Raises
    ------
    ValueError
        If a concept is unknown.
    """
    own = path is not None
    path = path or downloads.find(CATEGORIES)
    table = _table(path)
    if "uniqueID" not in table:
        raise ValueError(
            f"{str(path)!r} has no column uniqueID; it names the concepts; separate columns by tabs"
        )
    table.index = table["uniqueID"].map(files.plain).str.replace(" ", "_")
    for wrong, what in (
        (table.index.difference(concepts(), sort=False), "which THINGS does not have"),
        (table.index[table.index.duplicated()], "and that twice"),
    ):
        if len(wrong):
            raise ValueError(
                f"{str(path)!r} names the concept {wrong[0]!r}, {what}; see uniqueID in "
                f"{CONCEPTS.path}"
            )
    members = table.drop(columns=["uniqueID", "Word"], errors="ignore")
    if not own:
        members = members.loc[:, "animal":"weapon"]
    if members.shape[1] < 2:
        raise ValueError(f"{str(path)!r} has {members.shape[1]} columns of categories; give two")
    with files.readable(path, "categories"):
        members = members.replace("", "0").astype(float)
    return members.fillna(0).gt(0).reindex(concepts(), fill_value=False)


def vice() -> np.ndarray:
    """The 42 dimensions of VICE, float32 (1854, 42), none below zero.

    References
    ----------
    Muttenthaler et al. (2022), *VICE: Variational interpretable concept embeddings*, NeurIPS.
    """
    return np.load(downloads.find(VICE), allow_pickle=False)


def spose() -> tuple[np.ndarray, list[str]]:
    """The 66 dimensions of SPoSE, float64 (1854, 66), none below zero, and their labels.

    References
    ----------
    Hebart et al. (2023), *THINGS-data*, eLife 12.
    """
    labels = downloads.find(SPOSE_LABELS).read_text(encoding="utf-8").splitlines()
    return np.loadtxt(downloads.find(SPOSE), encoding="utf-8"), labels


@cache
def read_trials(path: Path | None = None) -> Trials:
    """All trials, with who judged, how fast, and what counts towards the noise ceiling.

    Parameters
    ----------
    path : Path, optional
        The published file in the data folder by default. In it concepts count from 1, and
        choice is the place of the odd one, from 1 to 3. Or a file without a header, four numbers a
        line: two concepts that were kept together, the odd one, all from 0, and who judged. Of
        such triplets those that were judged repeatedly count towards the noise ceiling.

    Raises
    ------
    ValueError
        If a column is missing or a choice is none of the three.
    """
    from convexlib import checks

    path = path or downloads.find(TRIALS)
    with files.readable(path, "trials"), path.open(encoding="utf-8") as file:
        if len(cells := file.readline().split()) == 4 and all(cell.isdecimal() for cell in cells):
            return _without_header(path)
    columns = ["image1", "image2", "image3", "choice", "RT", "noise_ceiling", "subject_id"]
    kinds = dict.fromkeys(columns[:4], np.int64) | {"RT": float, "subject_id": str}
    missing = {"RT": _MISSING, "noise_ceiling": _MISSING}  # someone may be called "NA"
    with files.readable(path, "trials"):
        table = pd.read_csv(
            path,
            sep="\t",
            usecols=columns,
            dtype=kinds,
            keep_default_na=False,
            na_values=missing,
            encoding="utf-8",
        )
        choice = table["choice"].to_numpy()
        wrong = ~np.isin(choice, (1, 2, 3))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"the choice of trial {row} is {choice[row]}; it is 1, 2 or 3")
        shown = table[columns[:3]].to_numpy() - 1
        odd_last = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[choice - 1]
        triplets = checks.triplets(np.take_along_axis(shown, odd_last, axis=1), N_CONCEPTS)
    return Trials(
        triplets,
        table["noise_ceiling"].fillna(0).to_numpy(dtype=np.int64),
        table["subject_id"].to_numpy(),
        table["RT"].to_numpy(),
    )


def _without_header(path: Path) -> Trials:
    from convexlib import checks

    with files.readable(path, "trials"):
        table = pd.read_csv(path, sep=r"\s+", header=None, dtype={3: str})
        triplets = checks.triplets(table[[0, 1, 2]].to_numpy(), N_CONCEPTS)
    _, which, times = np.unique(
        np.sort(triplets, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    repeated = times[which.ravel()] > 1
    subjects, unknown = table[3].to_numpy(), np.full(len(table), np.nan)
    return Trials(triplets, repeated.astype(np.int64), subjects, unknown)


def summary(everything: Trials) -> pd.DataFrame:
    """How many judgments there are, and how well two human embeddings predict them.

    Returns
    -------
    DataFrame
        One row a set of judgments: set, judgments, people, triplets, ceiling (lower and upper,
        where triplets were judged repeatedly), and the accuracy of SPoSE and of VICE by the dot
        product.
    """
    from convexlib.alignment import noise_ceiling, odd_one_out_accuracy

    embeddings = {"SPoSE": spose()[0], "VICE": vice()}
    names = {0: "training", 1: "repeated, set 1", 2: "repeated, set 2", 3: "repeated, set 3"}
    rows = []
    for number, name in names.items():
        chosen = everything.ceiling_set == number
        triplets = everything.triplets[chosen]
        if not len(triplets):
            continue
        ceiling = noise_ceiling(triplets) if number else None
        accuracies = {
            f"accuracy of {embedding}": odd_one_out_accuracy(X, triplets, similarity="dot")
            for embedding, X in embeddings.items()
        }
        rows.append(
            {
                "set": name,
                "judgments": len(triplets),
                "people": len(np.unique(everything.subject[chosen])),
                "triplets": len(np.unique(np.sort(triplets, axis=1), axis=0)),
                "ceiling": f"{ceiling.lower:.3f} to {ceiling.upper:.3f}" if ceiling else "",
                **accuracies,
            }
        )
    return pd.DataFrame(rows)


def reaction_times(everything: Trials, *, n_bins: int = 8) -> pd.DataFrame:
    """How fast people judge triplets on which they agree more or less.

    Returns
    -------
    DataFrame
        One row a range of agreement, the share of people who made the most frequent choice of a
        triplet that was judged repeatedly: agreement (its middle), low, median and high (quartiles
        of the reaction time, in seconds), n (judgments).
    """
    repeated = everything.ceiling_set > 0
    triplets = everything.triplets[repeated]
    _, triplet = np.unique(np.sort(triplets, axis=1), axis=0, return_inverse=True)
    table = pd.DataFrame(
        {
            "triplet": triplet.ravel(),
            "odd": triplets[:, 2],
            "seconds": everything.reaction_time[repeated] / 1000,
        }
    )
    times_chosen = table.groupby(["triplet", "odd"]).size().groupby("triplet")
    agreement = table["triplet"].map(times_chosen.max() / times_chosen.sum())
    ranges = pd.cut(agreement, np.linspace(1 / 3, 1, n_bins + 1), include_lowest=True)
    of_range = table.groupby(ranges, observed=True)["seconds"]
    quartiles = of_range.quantile([0.25, 0.5, 0.75]).unstack()
    return pd.DataFrame(
        {
            "agreement": [interval.mid for interval in quartiles.index],
            "low": quartiles[0.25].to_numpy(),
            "median": quartiles[0.5].to_numpy(),
            "high": quartiles[0.75].to_numpy(),
            "n": of_range.size().to_numpy(),
        }
    )


def image_paths(*, reference_only: bool) -> dict[str, list[Path]]:
    """Files of the images of each concept, the reference image first, in order of name.

    Raises
    ------
    ValueError
        If a concept has no image in the data folder.
    """
    folder = downloads.root() / "things" / "object_images"
    found = {name: sorted((folder / name).glob("*.jpg")) for name in concepts()}
    missing = [name for name, paths in found.items() if not paths]
    if missing:
        raise ValueError(
            f"{str(folder)!r} has no images of {len(missing)} concepts, the first {missing[0]!r}; "
            "run `convexlib fetch things`"
        )
    return {name: paths[:1] if reference_only else paths for name, paths in found.items()}


def _table(path: Path) -> pd.DataFrame:
    """Tab-separated, all of it text, so that names such as "nan" and "007" are names."""
    with files.readable(path, "a table"):
        content = io.BytesIO(files.in_utf8(path))
        table = pd.read_csv(content, sep="\t", header=None, dtype=str, na_filter=False)
        header = pd.Index(table.iloc[0])
        if not header.is_unique:
            raise ValueError(f"it has two columns called {header[header.duplicated()][0]!r}")
    return table[1:].set_axis(header, axis=1)
