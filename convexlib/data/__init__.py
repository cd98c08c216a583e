"""Images, their labels and what people judged of them: a class a kind of study.

A kind is a module of this folder with a class `Stimuli`, which knows all about itself. Adding one
touches no other file of the package.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from safetensors.numpy import load_file, save_file

PATH = "path"
"""The label column that holds the file of an image."""

PIXELS = 32
"""Height and width of images whose pixels are features."""


def beside_the_study_file(path: Path, info: ValidationInfo) -> Path:
    """A path is meant as seen from the study file, whose folder is the context."""
    try:
        return ((info.context or Path()) / path.expanduser()).resolve()
    except (OSError, RuntimeError) as error:  # such as links in a circle, or nobody's home
        raise ValueError(f"the path cannot be followed: {error}") from error


FilePath = Annotated[Path, AfterValidator(beside_the_study_file)]


CHOSEN = "odd one out of three"
RATED = "ratings of pairs"
ARRANGED = "arrangement by similarity"
"""Methods of judgment."""

_GROUPED = ("concepts", "groups")
_ARRAYS = ("triplets", "similarity", "dimensions", "judges", "seconds")
_SAID = ("stress", "ceiling", "method")


class Judgments(NamedTuple):
    """What people judged of the reference images, by one method.

    Attributes
    ----------
    triplets : ndarray of int, shape (n_triplets, 3)
        Rows of the reference images; columns 0 and 1 are the pair that was kept together.
    similarity : ndarray of shape (n_concepts, n_concepts), optional
        Of the reference images; NaN in rows and columns of those of which none is known.
    dimensions : ndarray of shape (n_concepts, n_dimensions), optional
        A human embedding of the first of the reference images, or of all.
    stress : float
        How badly the embedding fits the similarity, if it was scaled from it.
    ceiling : tuple of two floats, optional
        Lower and upper noise ceiling of the odd-one-out accuracy.
    judges : ndarray of int, shape (n_triplets,), optional
        Who judged each triplet, a row of the people.
    method : str
        How they were judged.
    seconds : ndarray of shape (n_triplets,), optional
        How long each judgment took; NaN where it is not known.
    """

    triplets: np.ndarray
    similarity: np.ndarray | None = None
    dimensions: np.ndarray | None = None
    stress: float = float("nan")
    ceiling: tuple[float, float] | None = None
    judges: np.ndarray | None = None
    method: str = CHOSEN
    seconds: np.ndarray | None = None

    def among(self, rows: np.ndarray, n_images: int) -> "Judgments":
        """The same where the reference images are these rows of `n_images`."""
        similarity = self.similarity
        if similarity is not None:
            similarity = np.full((n_images, n_images), np.nan)
            similarity[np.ix_(rows, rows)] = self.similarity
        return self._replace(triplets=rows[self.triplets], similarity=similarity)

    def moved(self, place: np.ndarray) -> "Judgments":
        """The same, of other images: what was judged of row i is said of row `place[i]`."""
        similarity, dimensions = self.similarity, self.dimensions
        if similarity is not None:
            similarity = np.empty_like(similarity)
            similarity[np.ix_(place, place)] = self.similarity
        if dimensions is not None:
            dimensions = np.empty_like(dimensions)
            dimensions[place[: len(dimensions)]] = self.dimensions
        triplets = place[self.triplets]
        return self._replace(triplets=triplets, similarity=similarity, dimensions=dimensions)


class Human(NamedTuple):
    """What is known of the test images, and what people judged of the reference images.

    Attributes
    ----------
    names : list of str
        Of the reference images, in order.
    shown : ndarray of int, shape (n_images,)
        Which reference image shows the same as each test image. There may be reference images that
        no test image belongs to, but not among those of the first set of judgments.
    categories : DataFrame of bool, shape (n_images, n_categories)
        Which test image belongs to which category; to several, or to none, it may.
    sets : dict of Judgments
        Sets of judgments by name. Transforms are fitted to the first.
    concepts : list of str, optional
        Concept of each reference image, such as the letter that it is; by default each is one of
        its own, by its name.
    groups : list of str, optional
        What is held out as a whole where transforms are judged, of each reference image, such as
        its typeface; by default each stands alone.
    people : DataFrame, optional
        One row a person, and what is known of them: a column a question, as answered.
    measured : ndarray of int, optional
        Rows of the test images that are measured, where not all are; `shown` and `categories` are
        of these.
    """

    names: list[str]
    shown: np.ndarray
    categories: pd.DataFrame
    sets: Mapping[str, Judgments]
    concepts: list[str] | None = None
    groups: list[str] | None = None
    people: pd.DataFrame | None = None
    measured: np.ndarray | None = None

    @property
    def judgments(self) -> Judgments:
        """The first set."""
        return next(iter(self.sets.values()))

    @property
    def concept(self) -> pd.Categorical:
        """Concept of each reference image; numbered as they first appear."""
        concepts = self.names if self.concepts is None else self.concepts
        return pd.Categorical(concepts, [*dict.fromkeys(concepts)])

    @property
    def held_together(self) -> np.ndarray:
        """Number of the group of each reference image; where there are none, each is its own."""
        groups = range(len(self.names)) if self.groups is None else self.groups
        return pd.factorize(np.array(groups, object))[0]

    def is_held_out(self, triplets: np.ndarray) -> np.ndarray:
        """Which test images a fold holds out that is judged by these triplets, bool (n_images,)."""
        groups = self.held_together
        return np.isin(groups[self.shown], groups[np.unique(triplets)])

    @property
    def category_of_reference(self) -> pd.DataFrame:
        """Categories of each reference image, those of its first test image; none without one."""
        rows, first = np.unique(self.shown, return_index=True)
        found = self.categories.iloc[first].set_axis(rows)
        return found.reindex(range(len(self.names)), fill_value=False)

    @property
    def category_of_concept(self) -> pd.DataFrame:
        """Categories of each concept, those of its first test image; none without one."""
        return self.category_of_reference.groupby(self.concept.codes).max()

    @property
    def ends(self) -> list[str]:
        """Names of the positive ends of the human dimensions, then of the negative ones."""
        dimensions = self.judgments.dimensions
        ends = [*dimensions.argmax(axis=0), *dimensions.argmin(axis=0)]
        return [
            f"dimension {1 + column % dimensions.shape[1]}, towards {self.names[farthest]}"
            for column, farthest in enumerate(ends)
        ]

    @property
    def n_images(self) -> int:
        """Images of the concept that has fewest."""
        counts = np.bincount(self.concept.codes[self.shown])
        return int(counts[counts > 0].min())

    def joined(self, others: Mapping[str, "Human"]) -> "Human":
        """With the reference images and judgments of others, by kind, behind one's own.

        Dimensions and judges are kept of one's own judgments alone.
        """
        n_images = len(self.names) + sum(len(human.names) for human in others.values())
        own = np.arange(len(self.names))
        sets = {name: judged.among(own, n_images) for name, judged in self.sets.items()}
        named = {field: [*(getattr(self, field) or self.names)] for field in ("names", *_GROUPED)}
        for kind, human in others.items():
            rows = len(named["names"]) + np.arange(len(human.names))
            for name, judged in human.sets.items():
                called = f"{kind}: {name}" if name in sets else name
                sets[called] = judged.among(rows, n_images)._replace(dimensions=None, judges=None)
            for field, of_all in named.items():
                of_all += [f"{kind}: {name}" for name in getattr(human, field) or human.names]
        if all(human.groups is None for human in (self, *others.values())):
            named["groups"] = None  # each stands alone
        return self._replace(sets=sets, **named)

    def fewer(self, share: float) -> "Human":
        """With this share of the test images of each concept, drawn at random, one at least."""
        rng, rows = np.random.default_rng(0), []
        for of_concept in _rows_of(self.concept.codes[self.shown]):
            n = max(1, round(share * len(of_concept)))
            rows += rng.choice(of_concept, n, replace=False).tolist()
        measured = np.sort(np.array(rows))
        categories = self.categories.iloc[measured].reset_index(drop=True)
        return self._replace(shown=self.shown[measured], categories=categories, measured=measured)

    def shuffled(self) -> "Human":
        """As if others had been judged: a null for all that is said of people.

        Of each set of judgments, the reference images change places at random, within the groups
        that are held out together; concepts change their categories. How often people agree, how
        many categories there are, and how large they are stays as it is.
        """
        rng = np.random.default_rng(0)
        groups = np.zeros(len(self.names)) if self.groups is None else self.held_together
        sets = {}
        for name, judged in self.sets.items():
            place = np.arange(len(groups))
            among = np.isin(place, judged.triplets)
            for rows in _rows_of(np.where(among, groups, -1)):
                if among[rows[0]]:
                    place[rows] = rng.permutation(rows)
            sets[name] = judged.moved(place)
        concept = self.concept.codes[self.shown]
        shown, first = np.unique(concept, return_index=True)
        dealt = np.zeros(concept.max() + 1, int)
        dealt[shown] = rng.permutation(first)
        categories = self.categories.iloc[dealt[concept]].reset_index(drop=True)
        return self._replace(sets=sets, categories=categories)

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        self.categories.to_parquet(folder / "categories.parquet")
        if self.people is not None:
            self.people.to_parquet(folder / "people.parquet")
        arrays = {"shown": self.shown}
        if self.measured is not None:
            arrays["measured"] = self.measured
        about: dict[str, Any] = {name: getattr(self, name) for name in ("names", *_GROUPED)}
        about["sets"] = {}
        for name, judged in self.sets.items():
            about["sets"][name] = {field: getattr(judged, field) for field in _SAID}
            for field in _ARRAYS:
                if (array := getattr(judged, field)) is not None:
                    # safetensors writes the memory as it lies.
                    arrays[f"{field} {name}"] = np.ascontiguousarray(array)
        save_file(arrays, folder / "judgments.safetensors")
        (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Human":
        """What `save` wrote."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "judgments.safetensors")
        sets = {
            name: Judgments(
                **{field: arrays.get(f"{field} {name}") for field in _ARRAYS},
                **of_set | {"ceiling": of_set["ceiling"] and tuple(of_set["ceiling"])},
            )
            for name, of_set in about["sets"].items()
        }
        categories = pd.read_parquet(folder / "categories.parquet")
        grouped = {name: about[name] for name in _GROUPED}
        file = folder / "people.parquet"
        people = pd.read_parquet(file) if file.exists() else None
        known = {**grouped, "people": people, "measured": arrays.get("measured")}
        return cls(about["names"], arrays["shown"], categories, sets, **known)


def _rows_of(codes: np.ndarray) -> list[np.ndarray]:
    """The rows of each code, in the order of the codes."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


class Stimuli(BaseModel):
    """A kind of stimuli: its settings are fields, what is the same for all studies class constants.

    Attributes
    ----------
    CONCEPT : str
        The column of the labels that names the concept.
    WORDS : mapping
        What concepts and categories are called, and the units that folds hold out.
    SOURCES : tuple of downloads.Source
        The files that it needs from the network.
    MAY_SHOW : bool
        Whether a page may show the images.
    IN_ORDER : bool
        Whether each concept follows on another, as hues do.
    ONE_NAME : bool
        Whether each image belongs to one category.
    TRAINS : bool
        Whether models are trained on it: there are splits train and validation.
    REPEATED : bool
        Whether many people judged the very same three concepts, so that they may disagree.
    TASKS : bool
        Whether there are other tasks than those that models were trained for: see `tasks`.
    FEATURES : bool
        Whether ready-made features of the test images have those that people judged.
    DATA : str
        What it says of the training data of these models.
    PLAIN : tuple of str
        What `plain_features` has: baselines for whatever a model makes of the images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    CONCEPT: ClassVar[str] = "concept"
    WORDS: ClassVar[Mapping[str, str]] = {
        "concept": "concept",
        "concepts": "concepts",
        "category": "category",
        "categories": "categories",
        "units": "concepts",
    }
    SOURCES: ClassVar[tuple] = ()
    MAY_SHOW: ClassVar[bool] = True
    IN_ORDER: ClassVar[bool] = False
    ONE_NAME: ClassVar[bool] = True
    TRAINS: ClassVar[bool] = False
    REPEATED: ClassVar[bool] = False
    TASKS: ClassVar[bool] = False
    FEATURES: ClassVar[bool] = True
    DATA: ClassVar[str] = ""
    PLAIN: ClassVar[tuple[str, ...]] = ("pixels",)

    kind: str
    seed: int = Field(0, ge=0)

    @property
    def extent(self) -> tuple[int, int]:
        """How many concepts there are, and test images of the concept that has fewest."""
        raise NotImplementedError

    @property
    def n_sets(self) -> int:
        """How many sets of judgments there are."""
        return 1

    @property
    def root(self) -> Path | None:
        """From where the files of the images are named, where they are in files."""
        return None

    @property
    def sources(self) -> tuple:
        """Those of `SOURCES` that are needed with these settings."""
        return self.SOURCES

    def without_images(self) -> "Stimuli":
        """The same for ready-made features, as far as nothing else needs the images."""
        return self

    def check(self) -> None:
        """Raise a one-line ValueError if something is wrong that can be seen at once."""

    def splits(self) -> dict[str, tuple[np.ndarray | None, pd.DataFrame]]:
        """Images and labels of every split.

        At least "test", whose classes are judged for convexity, and "reference", to which the
        judgments refer; where models are trained, "train" and "validation", and others that they
        are tested on besides. Images are an array, or None where the labels have a column `PATH`
        with the file of each.
        """
        raise NotImplementedError

    def tasks(self) -> dict[str, tuple[np.ndarray, pd.DataFrame]]:
        """Images and labels of other tasks, by which it is told what a space is good for.

        "few_shot": a label a task, whose values are classes that few models were trained to name,
        and missing where an image is none of the task's.
        "shift": labels shift and class; a probe learns from those of shift "none".
        "factors": images of which each label is a factor to be read from features.
        """
        raise NotImplementedError

    @staticmethod
    def plain_features(name: str, images: Sequence[Any]) -> np.ndarray:
        """Features that no model is needed for, by their name in `PLAIN`, a row an image.

        "pixels" are all values of the image, which is made smaller where it is larger than
        `PIXELS` on a side.
        """
        size = (PIXELS, PIXELS)
        small = (
            image if image.size == size else image.resize(size, Image.Resampling.BOX)
            for image in map(_picture, images)
        )
        return np.stack([np.asarray(image, np.float32).ravel() for image in small]) / 255

    def human(self, of_test: pd.DataFrame, of_reference: pd.DataFrame) -> Human:
        """What people judged, from the labels of these two splits."""
        raise NotImplementedError

    def images_depend_on(self) -> Any:
        """All that `splits` depends on but code, as JSON."""
        return self.model_dump(mode="json")

    def judgments_depend_on(self) -> Any:
        """All that `human` depends on but code and labels, as JSON."""
        return self.model_dump(mode="json")


def _picture(image: Any) -> Image.Image:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
    return picture.convert("RGB")


def kinds() -> list[str]:
    """Names of the kinds: the modules of this folder that have a class `Stimuli` of their own."""
    return [module.name for module in iter_modules(__path__) if _has_own(module.name)]


def of_kind(kind: str) -> type[Stimuli]:
    """The class of a kind."""
    if not _has_own(kind):
        raise ValueError(f"no such kind; choose one of: {', '.join(kinds())}")
    return import_module(f"convexlib.data.{kind}").Stimuli


def _has_own(kind: str) -> bool:
    if kind not in (module.name for module in iter_modules(__path__)):
        return False
    found = getattr(import_module(f"convexlib.data.{kind}"), "Stimuli", Stimuli)
    return found is not Stimuli
