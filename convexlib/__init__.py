"""Concept convexity and human alignment of vision models, layer by layer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "book",
        "claims",
        "editions",
        "figures",
        "reports",
        "statistics",
        "study",
        "tables",
        "widgets",
    ],
    submod_attrs={
        "book": ["begin"],
        "concepts": [
            "dominant_dimension",
            "half_axes",
            "nonmetric_mds",
            "predicted_dimensions",
            "is_about_category",
        ],
        "convexity": [
            "connected_share",
            "euclidean_convexity_score",
            "graph_convexity_score",
            "graph_path",
        ],
        "neighbors": ["neighbor_graph"],
        "alignment": [
            "agreement",
            "ceiling_share",
            "choice_counts",
            "disagreement",
            "disagreement_ceiling",
            "fit_temperature",
            "noise_ceiling",
            "object_folds",
            "odd_one_out_accuracy",
            "odd_one_out_choices",
            "odd_one_out_probabilities",
            "odd_one_out_scores",
            "rsa_noise_ceiling",
            "rsa_score",
            "triplets_from_similarity",
        ],
        "models.representations": ["extract"],
        "triplets": ["Triplets"],
        "transforms": ["AlignmentTransform", "cross_validate", "fit_folds"],
    },
)
