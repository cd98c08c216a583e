"""The study of the 92 images, with real images and judgments and a small model."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from convexlib import steps, tables
from convexlib import study as studies
from convexlib.judgments import odd_one_out_accuracy, rsa_score
from convexlib.representations import load
from convexlib.stimuli import images92
from tests.conftest import data


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> studies.Study:
    """A study file that lists one checkpoint, with its results in a store of its own."""
    data("images92")
    folder = tmp_path_factory.mktemp("images92")
    config = ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    ViTForImageClassification(config).save_pretrained(folder / "small")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder / "small")
    content = {
        "title": "92 images in miniature",
        "stimuli": {"kind": "images92", "n_triplets": 200},
        "models": [
            {
                "source": str(folder / "small"),
                "family": "vit",
                "size": "base",
                "variant": "finetuned",
                "objective": "labels",
            }
        ],
        "measures": {"transform": {"strength": 0.1, "n_folds": 3}},
    }
    (folder / "mini92.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVEXLIB_RESULTS", str(folder / "results"))
        yield studies.load(str(folder / "mini92.yaml"))


def test_the_listed_model_has_the_attributes_of_the_file(study: studies.Study) -> None:
    (model,) = study.models
    assert model.id == "small"
    assert model.attributes == {
        "objective": "labels",
        "architecture": "unknown",
        "size": "base",
        "training data": "unknown",
        "fine-tuning": "fine-tuned",
    }


def test_measures_are_those_of_the_real_images_and_judgments(study: studies.Study) -> None:
    (model,) = study.models
    folder = steps.representations(study, model).get()
    measured = tables.layer_measures(study).query("space == 'original'")
    value = measured.set_index(["layer", "measure"])["value"]
    triplets = images92.human_triplets(200)
    human = images92.human_similarity().mean(axis=0)
    for layer in range(3):
        X = load(folder / "test", layer)
        assert X.shape == (92, 16)
        np.testing.assert_array_equal(X, load(folder / "reference", layer))
        assert value[layer, "odd_one_out"] == odd_one_out_accuracy(X, triplets)
        assert value[layer, "rsa"] == pytest.approx(rsa_score(X, human))
        assert 0 < value[layer, "convexity"] < 1


def test_every_table_can_be_made(study: studies.Study) -> None:
    for table in (
        tables.layer_means,
        tables.concept_measures,
        tables.convexity_and_accuracy,
        tables.correlations,
        tables.transform_effects,
        tables.probing,
        tables.dimension_scores,
        tables.model_effects,
        tables.best_and_worst,
        tables.predicted_positions,
    ):
        assert len(table(study)), table.__name__
    assert tables.training(study).empty
    assert 0 < tables.stress(study) < 0.5


def test_a_study_of_images_cannot_train_and_must_list(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    content = yaml.safe_load((studies.ROOT / "studies" / "images92.yaml").read_text())
    path.write_text(yaml.safe_dump(content | {"models": []}))
    with pytest.raises(ValueError, match="models is empty; list at least one checkpoint"):
        studies.load(str(path))
    zoo = yaml.safe_load((studies.ROOT / "studies" / "colors.yaml").read_text())["zoo"]
    path.write_text(yaml.safe_dump(content | {"zoo": zoo}))
    with pytest.raises(ValueError, match="cannot train a zoo; list models instead"):
        studies.load(str(path))
