"""data2vec (Baevski et al. 2022): latent targets of masked patches, relative positions."""

LABEL = "data2vec"
COLOR = "#009E73"
OBJECTIVE = "masked latents"
ARCHITECTURE = "relative positions"


def build(shape, labels, columns):
    """A data2vec model of images, without a head."""
    from transformers import Data2VecVisionConfig, Data2VecVisionModel

    options = {"use_relative_position_bias": True, "use_mask_token": True}
    return Data2VecVisionModel(Data2VecVisionConfig(**shape, **options, drop_path_rate=0.0))


def objective(model, pixels, columns, seed):
    """Latent targets of masked patches, 60 % of them as in section 5.1 of the paper."""
    from convexlib.models.objectives import MaskedLatents

    return MaskedLatents(model, masked=0.6)
