"""What a study file may say, checked by pydantic before anything runs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationInfo,
    model_validator,
)

Family = Literal["vit", "beit", "data2vec"]


Kind = Literal["colors", "images92", "things", "folder"]
"""Kinds of stimuli: the modules of `convexlib.stimuli`."""

Variant = Literal["pretrained", "finetuned"]

Precision = Literal["single", "mixed"]
"""In which numbers a model computes: float32, or what autocast of PyTorch chooses."""

Broken = Literal["error", "skip"]
"""What to do about an image that cannot be read."""


def _beside_the_study_file(path: Path, info: ValidationInfo) -> Path:
    """A path is meant as seen from the study file, whose folder is the context."""
    try:
        return ((info.context or Path()) / path.expanduser()).resolve()
    except (OSError, RuntimeError) as error:  # such as links in a circle, or nobody's home
        raise ValueError(f"the path cannot be followed: {error}") from error


def _folder_or_name(source: str, info: ValidationInfo) -> str:
    folder = _beside_the_study_file(Path(source), info)
    return str(folder) if folder.is_dir() else source


FilePath = Annotated[Path, AfterValidator(_beside_the_study_file)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColorStimuli(_Settings):
    """How many images of each hue to draw for each split, and from which seed."""

    kind: Literal["colors"]
    seed: int = Field(0, ge=0)
    train_per_hue: int = Field(ge=1)
    validation_per_hue: int = Field(ge=1)
    test_per_hue: int = Field(ge=1)


class Images92Stimuli(_Settings):
    """Of how many triplets of the 92 images the judgments of each of the sixteen people count."""

    kind: Literal["images92"]
    seed: int = Field(0, ge=0)
    n_triplets: int = Field(ge=100)


class ThingsStimuli(_Settings):
    """Which images of THINGS, and how many of the 4.7 million judgments.

    `images` are the reference image of each object, whose classes are judged for convexity too,
    or all images; `categories` is a file of categories in the place of the published one.
    """

    kind: Literal["things"]
    seed: int = Field(0, ge=0)
    images: Literal["reference", "all"] = "reference"
    n_triplets: int = Field(ge=1000)
    categories: FilePath | None = None
    broken: Broken = "error"


class FolderStimuli(_Settings):
    """One's own images, a folder a category, and one's own judgments, by one file.

    Of judgments as a matrix of similarities, at most `n_triplets` triplets are drawn.
    """

    kind: Literal["folder"]
    seed: int = Field(0, ge=0)
    images: FilePath
    triplets: FilePath | None = None
    similarity: FilePath | None = None
    n_triplets: int = Field(100_000, ge=100)
    broken: Broken = "error"

    @model_validator(mode="after")
    def _judged_by_one_file(self) -> "FolderStimuli":
        if (self.triplets is None) == (self.similarity is None):
            raise ValueError("give human judgments as triplets or as similarity, one of the two")
        return self


class AddedCheckpoint(_Settings):
    """A model of the reader's: a name on the Hugging Face hub or a folder, and what is known of it.

    What is not said is taken from the files of the checkpoint, as far as they know.
    """

    source: Annotated[str, AfterValidator(_folder_or_name)]
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    parent: str | None = None
    family: str | None = None
    variant: Variant | None = None
    objective: str = "unknown"
    architecture: str = "unknown"
    training_data: str = "unknown"


class Checkpoint(AddedCheckpoint):
    """A model that a study lists.

    `parent` is the name of the listed model that it was fine-tuned from; by default the one
    pretrained model of the same family and size, if there is just one.
    """

    family: str
    size: str
    variant: Variant


class Architecture(_Settings):
    """Size of a transformer: `layers` blocks of `width` features and `heads` heads."""

    layers: int = Field(ge=1)
    width: int = Field(ge=1)
    heads: int = Field(ge=1)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "Architecture":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class Training(_Settings):
    """AdamW with a linear warm-up over a share of the steps and a cosine decay to zero."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    weight_decay: float = Field(0.05, ge=0, allow_inf_nan=False)
    warmup: float = Field(0.1, ge=0, lt=1)


class Zoo(_Settings):
    """Which models to train: every family at every size with every seed."""

    families: tuple[Family, ...] = Field(min_length=1)
    sizes: dict[str, Architecture] = Field(min_length=1)
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    patch_size: Literal[2, 4, 8, 16]
    pretraining: Training
    finetuning: Training


class Transform(_Settings):
    """The alignment transforms, and over how many folds of objects they are cross-validated."""

    kinds: tuple[Literal["naive", "global"], ...] = Field(("naive", "global"), min_length=1)
    strength: float = Field(gt=0, allow_inf_nan=False)
    n_folds: int = Field(ge=2)
    n_repeats: int = Field(1, ge=1)


class Measures(_Settings):
    """How representations are computed, pooled and measured."""

    pooling: Literal["mean", "cls"] = "mean"
    precision: Precision = "single"
    n_neighbors: int = Field(10, ge=1)
    similarity: Literal["cosine", "dot", "euclidean"] = "cosine"
    transform: Transform
