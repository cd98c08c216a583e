"""Concept convexity and human alignment of vision models, layer by layer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["book", "figures", "statistics", "study", "tables"],
    submod_attrs={
        "convexity": ["graph_convexity_score", "neighbor_graph"],
        "judgments": ["object_folds", "odd_one_out_accuracy"],
        "transforms": ["AlignmentTransform"],
    },
)
