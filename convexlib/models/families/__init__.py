"""Families of models that are trained here: a module each.

A module says what the family is called (`LABEL`), its colour in figures (`COLOR`), what it is
pretrained on (`OBJECTIVE`) and how it knows where a patch is (`ARCHITECTURE`), and has two
functions. No library is imported before these are called.

``build(shape, labels, columns)``
    A model of transformers with random weights. `shape` holds `image_size`, `patch_size`,
    `num_hidden_layers`, `hidden_size`, `num_attention_heads` and `intermediate_size`; columns of
    the labels of the training images are for those that name something.
``objective(model, pixels, columns, seed)``
    What it is pretrained for: an `Objective` of `convexlib.models.objectives`. `pixels` are those
    to train on, as `convexlib.models.training` has them.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def names() -> list[str]:
    """Names of the families, as study files have them.

    Examples
    --------
    >>> names()
    ['beit', 'data2vec', 'vit']
    """
    return sorted(module.name for module in iter_modules(__path__))


def known() -> dict[str, ModuleType]:
    """The module of each family.

    Examples
    --------
    >>> known()["vit"].LABEL
    'ViT'
    """
    return {family: import_module(f"convexlib.models.families.{family}") for family in names()}


def of_model_type(model_type: str) -> str:
    """The family of a Hugging Face model type; the type itself where it is none of these.

    Examples
    --------
    >>> of_model_type("data2vec-vision"), of_model_type("dinov2")
    ('data2vec', 'dinov2')
    """
    family = model_type.partition("-")[0]
    return family if family in names() else model_type
