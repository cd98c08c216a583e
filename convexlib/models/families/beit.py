"""BEiT (Bao et al. 2022): visual tokens of masked patches, relative positions."""

LABEL = "BEiT"
COLOR = "#D55E00"
OBJECTIVE = "masked tokens"
ARCHITECTURE = "relative positions"


def build(shape, labels, columns):
    """A BEiT with a head that predicts one of 64 visual tokens of each patch."""
    from transformers import BeitConfig, BeitForMaskedImageModeling

    options = {"use_relative_position_bias": True, "use_mask_token": True}
    config = BeitConfig(**shape, **options, vocab_size=64, drop_path_rate=0.0)
    return BeitForMaskedImageModeling(config)


def objective(model, pixels, columns, seed):
    """Visual tokens of masked patches, 40 % of them as in section 2.3 of the paper."""
    from convexlib.models.objectives import MaskedTokens

    return MaskedTokens(model, pixels, masked=0.4, seed=seed)
