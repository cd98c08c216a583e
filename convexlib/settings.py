"""What a study file may say, checked by pydantic before anything runs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationInfo,
    model_validator,
)

from convexlib.data import FilePath, beside_the_study_file
from convexlib.models import families

UNKNOWN = "unknown"

VARIANTS = ("pretrained", "finetuned")
Variant = Literal[VARIANTS]

Pooling = Literal["mean", "cls", "tokens"]
POOLINGS = {"mean": "mean over places", "cls": "class token", "tokens": "all tokens"}
"""What the poolings are called."""

Precision = Literal["single", "mixed"]
"""In which numbers a model computes: float32, or what autocast of PyTorch chooses."""

TARGETS = ("aligned", "unaligned", "shuffled")
"""What students learn: the teacher as people made it; as it was; and its answers, shuffled."""

Scheme = Literal["cluster-border", "class-border", "between-class", "within-class"]


def _folder_or_name(source: str, info: ValidationInfo) -> str:
    folder = beside_the_study_file(Path(source), info)
    return str(folder) if folder.exists() else source


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Checkpoint(_Settings):
    """A model from elsewhere: a name on the Hugging Face hub, a folder, or a file of features.

    What is not said of it is taken from the files of the checkpoint, as far as they know. `parent`
    is the id of the model that it was made from, its name and seed; by default, of a fine-tuned
    model that a study lists, the one pretrained model of the same family and size there. Models of
    one name that differ by their seed are of one kind.
    """

    source: Annotated[str, AfterValidator(_folder_or_name)]
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    seed: NonNegativeInt | None = None
    parent: str | None = None
    family: str | None = None
    size: str | None = None
    variant: Variant | None = None
    objective: str = UNKNOWN
    architecture: str = UNKNOWN
    training_data: str = UNKNOWN


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
    """AdamW with a linear warm-up over a share of the steps and a cosine decay to zero.

    `labels` are the columns of the images' labels whose values make the classes to name, for
    objectives that name some. Every `save_every` epochs, a checkpoint on the way is kept. A batch
    goes through the model in `accumulate` parts. On a GPU that has bfloat16, "mixed" precision
    computes in 16 bits where PyTorch's autocast has it so.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    weight_decay: float = Field(0.05, ge=0, allow_inf_nan=False)
    warmup: float = Field(0.1, ge=0, lt=1)
    labels: tuple[str, ...] = ()
    save_every: int | None = Field(None, ge=1)
    accumulate: int = Field(1, ge=1)
    precision: Precision = "single"


class Distillation(Training):
    """How a student is trained on triplets that a teacher judged (AligNet).

    `n_triplets` are seen in each epoch. The student's similarities, over `temperature`, are held
    against the teacher's by the Jensen-Shannon divergence, as in the released code, or by
    Kullback-Leibler, as in the paper. `anchor` is how fast weights decay towards those that the
    student started from.
    """

    n_triplets: int = Field(ge=1)
    divergence: Literal["jensen-shannon", "kullback-leibler"] = "jensen-shannon"
    similarity: Literal["cosine", "dot"] = "dot"
    temperature: float = Field(10.0, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)
    anchor: float = Field(1.0, ge=0)


class Alignment(_Settings):
    """Who is the teacher, on which triplets, and how students learn from it (AligNet).

    The teacher is a model of the study, by its id. Triplets are drawn, by `scheme`, of clusters of
    the images that models train on, or of those in the folder `images`; where neither is, of the
    test images. A student is made of each pretrained model that the study trains from one of
    `seeds`, or lists, to each of `TARGETS`.
    """

    teacher: str
    pooling: Pooling = "mean"
    images: FilePath | None = None
    n_clusters: int = Field(ge=2)
    scheme: Scheme = "cluster-border"
    groups_per_batch: int = Field(16, ge=1)
    images_per_group: int = Field(4, ge=1)
    seeds: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)
    distillation: Distillation

    @model_validator(mode="after")
    def _scheme_can_be_drawn(self) -> "Alignment":
        if self.scheme != "cluster-border" and self.images is not None:
            raise ValueError(
                f"alignet.scheme is {self.scheme!r}, and of images in a folder no classes are "
                "known; choose 'cluster-border'"
            )
        n_groups, n_images = {"within-class": (1, 3), "between-class": (3, 1)}.get(
            self.scheme, (2, 2)
        )
        if self.groups_per_batch < n_groups or self.images_per_group < n_images:
            raise ValueError(
                f"alignet.scheme {self.scheme!r} takes {n_groups} groups_per_batch and {n_images} "
                f"images_per_group at least, and they are {self.groups_per_batch} and "
                f"{self.images_per_group}"
            )
        return self


def _of_a_module(family: str) -> str:
    if family not in families.names():
        raise ValueError(f"no such family; choose of: {', '.join(families.names())}")
    return family


class TrainedModels(_Settings):
    """Which models to train: every family at every size with every seed."""

    families: tuple[Annotated[str, AfterValidator(_of_a_module)], ...] = Field(min_length=1)
    sizes: dict[str, Architecture] = Field(min_length=1)
    seeds: tuple[NonNegativeInt, ...] = Field(min_length=1)
    patch_size: Literal[2, 4, 8, 16]
    pretraining: Training
    finetuning: Training


class Recipe(_Settings):
    """How a model is trained here: from scratch, or from its parent.

    `architecture` and `patch_size` are None where it starts from its parent; `target` is one of
    `TARGETS` where it learns from a teacher.
    """

    family: str
    training: Training | Distillation
    target: str | None = None
    architecture: Architecture | None = None
    patch_size: int | None = None


class Transform(_Settings):
    """The alignment transforms, and over how many folds of objects they are cross-validated."""

    kinds: tuple[Literal["naive", "global"], ...] = Field(("naive", "global"), min_length=1)
    # "strength" is what study files called it before.
    lmbda: float = Field(
        gt=0, allow_inf_nan=False, validation_alias=AliasChoices("lmbda", "strength")
    )
    n_folds: int = Field(ge=2)
    n_repeats: int = Field(1, ge=1)
    max_iter: int = Field(20, ge=1)


class Measures(_Settings):
    """How representations are computed, pooled and measured.

    Of `pairs` without a path, convexity counts zero ("all") or leaves them out ("joined"). Of the
    test images of each concept a share is measured. Labels that are "shuffled" are a null: who
    judged what, and which category a concept is of, is dealt anew.
    """

    pooling: Pooling = "mean"
    precision: Precision = "single"
    n_neighbors: int = Field(10, ge=1)
    pairs: Literal["all", "joined"] = "all"
    similarity: Literal["cosine", "dot", "euclidean"] = "cosine"
    share_of_images: float = Field(1.0, gt=0, le=1)
    labels: Literal["given", "shuffled"] = "given"
    transform: Transform
