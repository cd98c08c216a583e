"""Vision transformer (Dosovitskiy et al. 2021): named classes of images, positions added."""

LABEL = "ViT"
COLOR = "#0072B2"
OBJECTIVE = "labels"
ARCHITECTURE = "absolute positions"


def build(shape, labels, columns):
    """A ViT with a head that names the classes that columns of the labels make."""
    from transformers import ViTConfig, ViTForImageClassification

    from convexlib.models.objectives import naming

    return ViTForImageClassification(ViTConfig(**shape, **naming(labels, columns)))


def objective(model, pixels, columns, seed):
    """Naming those classes."""
    from convexlib.models.objectives import NamedClasses

    return NamedClasses(model, columns)
