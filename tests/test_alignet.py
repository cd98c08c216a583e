"""A teacher is fitted to people, tells what it thinks of triplets, and students learn it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from transformers import (
    AutoModel,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from convexlib import alignment, triplets
from convexlib.data import RATED, Human, Judgments, colors
from convexlib.models import alignet, objectives, training
from convexlib.models.pixels import Pixels
from convexlib.models.representations import extract
from convexlib.settings import Distillation, Transform
from convexlib.triplets import Triplets

SPLITS = {
    s: colors.generate(n, seed=[2, k]) for k, (s, n) in enumerate({"train": 6, "v": 3}.items())
}
IMAGES = {"train": SPLITS["train"][0], "validation": SPLITS["v"][0]}
HUES = {"train": SPLITS["train"][1]["hue"], "validation": SPLITS["v"][1]["hue"]}


def settings(**changed: Any) -> Distillation:
    told = {"epochs": 3, "batch_size": 64, "learning_rate": 3e-3, "n_triplets": 640}
    return Distillation(**told | changed)


def lessons(shuffled: bool = False) -> dict[str, Triplets]:
    """A teacher that finds hues the more alike the nearer they are in Ekman's circle."""
    circle, found = colors.human_dimensions().coordinates, {}
    for split, hue in HUES.items():
        rows = pd.Index(colors.WAVELENGTHS).get_indexer(hue)
        drawn = triplets.draw(rows, 640 if split == "train" else 500, n_groups=8, batch_size=64)
        said = 5 * triplets.told(circle[rows], drawn)
        if shuffled:
            said = np.random.default_rng(0).permuted(said, axis=1)
        ordered, said = triplets.odd_last(drawn, said)
        found[split] = Triplets(ordered, said, ordered.astype(str))
    return found


def student(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = ViTConfig(
        image_size=32, patch_size=8, num_hidden_layers=2, hidden_size=16, num_attention_heads=2
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessorPil(do_resize=False).save_pretrained(folder)
    return folder


def taught(folder: Path, start: Path, told: dict[str, Triplets] | None = None, **changed: Any):
    given = {"images": IMAGES, "lessons": told or lessons(), "seed": 0, "start": start}
    training.distill(folder, settings=settings(**changed), pooling="mean", **given)
    return json.loads((folder / "training.json").read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModel.from_pretrained(folder).state_dict()


def options(**changed: Any) -> dict[str, Any]:
    told = {"divergence": "jensen-shannon", "similarity": "dot", "temperature": 10.0, "anchor": 1.0}
    return {"pooling": "mean"} | told | changed


def objective(**changed: Any) -> objectives.Distillation:
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "num_hidden_layers": 1, "hidden_size": 16}
    model = ViTModel(ViTConfig(**shape, num_attention_heads=2), add_pooling_layer=False)
    pixels = Pixels(IMAGES["train"][:12], ViTImageProcessorPil(do_resize=False))
    return objectives.Distillation(model, pixels, **options(**changed))


@pytest.mark.parametrize("divergence", ["jensen-shannon", "kullback-leibler"])
def test_divergences_and_their_gradients_are_those_of_torch(divergence: str) -> None:
    generator = torch.Generator().manual_seed(0)
    said = torch.randn(50, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    teacher = Categorical(teacher)
    own = objective(divergence=divergence).loss(said, teacher.probs)
    student = Categorical(logits=said)
    if divergence == "kullback-leibler":
        expected = kl_divergence(teacher, student).mean()
    else:
        middle = Categorical((student.probs + teacher.probs) / 2)
        both = kl_divergence(teacher, middle) + kl_divergence(student, middle)
        expected = both.mean() / 2
    assert own.item() == pytest.approx(expected.item(), rel=1e-12)
    gradients = [torch.autograd.grad(loss, said, retain_graph=True)[0] for loss in (own, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("divergence", ["jensen-shannon", "kullback-leibler"])
def test_certain_teachers_and_students_have_finite_losses_and_gradients(divergence: str) -> None:
    said = torch.tensor([[2000.0, 0, -3000], [0, 500, 0], [1, 2, 3]], requires_grad=True)
    told = torch.tensor([[0.0, 1, 0], [0, 1, 0], [0.5, 0.5, 0]])
    loss = objective(divergence=divergence).loss(said, told)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(said.grad).all()
    if divergence == "jensen-shannon":
        assert loss.item() <= np.log(2)


def test_of_equal_similarities_each_is_kept_for_its_share() -> None:
    told = torch.tensor([[0.8, 0.1, 0.1]])
    score = objective().score
    assert score(torch.zeros(1, 3), told) == pytest.approx(1 / 3)
    assert score(torch.tensor([[1.0, 1, 0]]), told) == 0.5
    assert score(torch.tensor([[0.0, 1, 0]]), told) == 0
    assert score(torch.tensor([[2.0, 1, 0]]), told) == 1


@pytest.mark.parametrize("divergence", ["jensen-shannon", "kullback-leibler"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_teacher_that_is_the_student_moves_no_weight(divergence: str, similarity: str) -> None:
    learner = objective(divergence=divergence, similarity=similarity, temperature=2.0)
    pixels = Pixels(IMAGES["train"][:12], ViTImageProcessorPil(do_resize=False))
    shown = pixels[torch.arange(12)]
    places = torch.arange(12).view(4, 3)
    with torch.no_grad():
        own = learner(shown, torch.zeros(4, 3), None, places)[0].softmax(dim=1)
    loss = learner.loss(*learner(shown, own, None, places))
    loss.backward()
    assert abs(loss.item()) < 1e-6
    steepest = max(p.grad.abs().max() for p in learner.model.parameters() if p.grad is not None)
    assert steepest < 1e-5
    other = own.roll(1, dims=1)
    assert learner.loss(*learner(shown, other, None, places)).item() > loss.item() + 1e-5


def test_what_is_compared_is_what_is_measured(tmp_path: Path) -> None:
    start = student(tmp_path)
    last = extract(start, IMAGES["train"][:12])[-1]
    learner = objectives.Distillation(
        AutoModel.from_pretrained(start),
        Pixels(IMAGES["train"][:12], ViTImageProcessorPil(do_resize=False)),
        **options(similarity="cosine", temperature=0.5),
    )
    shown = Pixels(IMAGES["train"][:12], ViTImageProcessorPil(do_resize=False))[torch.arange(12)]
    threes = np.arange(12).reshape(4, 3)
    said, _ = learner(shown, torch.zeros(4, 3), None, torch.from_numpy(threes))
    expected = alignment.odd_one_out_probabilities(last, threes, temperature=0.5)
    np.testing.assert_allclose(said.softmax(dim=1).detach(), expected, atol=1e-5)


def test_a_student_learns_and_is_a_checkpoint_like_any_other(tmp_path: Path) -> None:
    start = student(tmp_path / "start")
    record = taught(tmp_path / "aligned", start, epochs=8)
    assert record["objective"] == "triplets of a teacher"
    assert record["n_steps"] == 8 * 10
    losses = [point["training_loss"] for point in record["curve"]]
    assert losses[-1] < 0.8 * losses[0]
    before, after = weights(start), weights(tmp_path / "aligned")
    still = {name for name in before if torch.equal(before[name], after[name])}
    # What comes after the last layer is not measured, and so not trained.
    assert {name.partition(".")[0] for name in still} == {"layernorm", "pooler"}
    assert len(extract(tmp_path / "aligned", IMAGES["validation"][:3])) == 3


def test_shuffled_answers_teach_nothing_of_the_teacher(tmp_path: Path) -> None:
    start, told = student(tmp_path / "start"), lessons()
    taught(tmp_path / "aligned", start, epochs=8)
    taught(tmp_path / "shuffled", start, lessons(shuffled=True), epochs=8)
    held_out = told["validation"].indices
    accuracy = {
        name: alignment.odd_one_out_accuracy(
            extract(tmp_path / name, IMAGES["validation"])[-1], held_out
        )
        for name in ("start", "aligned", "shuffled")
    }
    assert accuracy["aligned"] > accuracy["start"] + 0.1
    assert accuracy["shuffled"] < accuracy["start"] + 0.05


def test_an_infinite_decay_to_the_start_leaves_the_student_as_it_was(tmp_path: Path) -> None:
    start = student(tmp_path / "start")
    taught(tmp_path / "held", start, anchor=float("inf"))
    for name, before in weights(start).items():
        assert torch.equal(before, weights(tmp_path / "held")[name]), name


def test_the_stronger_the_decay_the_nearer_weights_stay(tmp_path: Path) -> None:
    start = student(tmp_path / "start")
    far = []
    for anchor in (0.0, 30.0, 300.0):
        taught(tmp_path / str(anchor), start, anchor=anchor)
        after = weights(tmp_path / str(anchor))
        far.append(sum((after[n] - w).square().sum() for n, w in weights(start).items()))
    assert far[0] > 1.2 * far[1] > 1.2**2 * far[2] > 0


class Killed(BaseException):
    pass


def test_a_killed_lesson_goes_on_to_the_very_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = student(tmp_path / "start")
    taught(tmp_path / "whole", start)
    n_epochs, one_epoch = [], training._Run.one_epoch

    def one_epoch_or_none(run: training._Run) -> None:
        n_epochs.append(1)
        if len(n_epochs) == 3:
            run._one_step(torch.arange(64))
            raise Killed
        one_epoch(run)

    monkeypatch.setattr(training._Run, "one_epoch", one_epoch_or_none)
    with pytest.raises(Killed):
        taught(tmp_path / "killed", start)
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    taught(tmp_path / "killed", start)
    assert len(n_epochs) == 4
    for name in ("model.safetensors", "training.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_of_a_batch_make_the_step_of_the_whole(tmp_path: Path) -> None:
    start = student(tmp_path / "start")
    taught(tmp_path / "whole", start, epochs=1)
    taught(tmp_path / "parts", start, epochs=1, accumulate=4)
    for name, whole in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "parts")[name], whole, rtol=1e-3, atol=1e-4)


def test_an_image_goes_through_the_student_once_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_shown, forward = [], objectives.Distillation.forward

    def counted(self: Any, pixels: torch.Tensor, *others: Any, **more: Any) -> Any:
        n_shown.append(len(pixels))
        return forward(self, pixels, *others, **more)

    monkeypatch.setattr(objectives.Distillation, "forward", counted)
    told = lessons()
    taught(tmp_path / "a", student(tmp_path / "start"), told, epochs=1)
    batches = told["train"].indices.reshape(10, 64, 3)
    assert sorted(n_shown[:10]) == sorted(len(np.unique(batch)) for batch in batches)
    assert max(n_shown[:10]) <= 8 * 4


def test_a_loss_that_is_no_number_stops_the_lesson(tmp_path: Path) -> None:
    start = student(tmp_path / "start")
    with pytest.raises(ValueError, match="the loss became nan at step"):
        taught(tmp_path / "a", start, learning_rate=1e38, epochs=1, anchor=0)
    assert not (tmp_path / "a" / "model.safetensors").exists()


def test_triplets_of_images_that_there_are_not_are_refused_before_training(tmp_path: Path) -> None:
    told = lessons()
    wrong = told["train"]._replace(indices=told["train"].indices + 80)
    with pytest.raises(ValueError, match="the lesson of split 'train', of 84 images: indices"):
        taught(tmp_path / "a", student(tmp_path / "start"), told | {"train": wrong})
    assert not (tmp_path / "a").exists()


def test_a_student_without_places_is_refused_before_training(tmp_path: Path) -> None:
    class Nothing(ViTModel):
        def forward(self, pixel_values: torch.Tensor, **_: Any) -> Any:
            output = super().forward(pixel_values)
            output["hidden_states"] = None
            return output

    config = ViTConfig(image_size=32, patch_size=8, num_hidden_layers=1, hidden_size=16)
    config.num_attention_heads = 2
    pixels = Pixels(IMAGES["train"][:2], ViTImageProcessorPil(do_resize=False))
    with pytest.raises(ValueError, match="gives no hidden states"):
        objectives.Distillation(Nothing(config), pixels, **options())


def test_a_convolutional_network_can_be_a_student(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path / "start")
    ViTImageProcessorPil(do_resize=False).save_pretrained(tmp_path / "start")
    curve = taught(tmp_path / "aligned", tmp_path / "start")["curve"]
    assert curve[-1]["training_loss"] < curve[0]["training_loss"]


# The teacher.


def of_people(triplets: np.ndarray, n: int = 12, **known: Any) -> Human:
    return Human(
        names=[str(k) for k in range(n)],
        shown=np.arange(n),
        categories=pd.DataFrame({"few": np.arange(n) < n // 2, "many": np.arange(n) >= n // 2}),
        sets={"all": Judgments(triplets, **known)},
    )


def test_shares_of_choices_are_what_people_chose() -> None:
    chosen = np.array([[0, 1, 2]] * 6 + [[0, 2, 1]] * 3 + [[2, 1, 0]])
    threes, likely = alignet.soft_choices(Judgments(chosen), chosen)
    assert threes.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(likely, [[0.6, 0.3, 0.1]])


def test_ratings_give_the_shares_of_luce() -> None:
    similarity = np.array([[1, 0.6, 0.3], [0.6, 1, 0.1], [0.3, 0.1, 1]])
    judged = Judgments(np.array([[0, 1, 2]]), similarity, method=RATED)
    threes, likely = alignet.soft_choices(judged, judged.triplets)
    np.testing.assert_allclose(likely, [[0.6, 0.3, 0.1]])
    nothing = judged._replace(similarity=np.eye(3))
    np.testing.assert_allclose(alignet.soft_choices(nothing, judged.triplets)[1], [[1 / 3] * 3])
    assert threes.tolist() == [[0, 1, 2]]


def test_where_each_three_was_judged_once_the_embedding_of_people_says_how_likely() -> None:
    dimensions = np.array([[1.0, 0], [1.0, 0.2], [0, 1.0], [0.1, 1.0]])
    judged = Judgments(np.array([[0, 1, 2], [2, 3, 0]]), dimensions=dimensions)
    threes, likely = alignet.soft_choices(judged, judged.triplets)
    expected = alignment.odd_one_out_probabilities(dimensions, threes, similarity="dot")
    np.testing.assert_array_equal(likely, expected)


def test_the_teacher_takes_the_layer_of_people_and_knows_the_first_fold_alone() -> None:
    rng = np.random.default_rng(0)
    human_space = rng.normal(size=(24, 3))
    S = human_space @ human_space.T
    human = of_people(alignment.triplets_from_similarity((S + S.T) / 2), n=24)
    noise = rng.normal(size=(24, 8))
    features = [noise, np.hstack([human_space, 3 * noise]), noise[:, ::-1]]
    options = Transform(lmbda=0.01, n_folds=3)
    teacher, table = alignet.teach(features, human, options)
    assert teacher.layer == 1
    found = table.loc[1]
    assert found["aligned"] > found["zero_shot"]
    assert found["n"] < len(human.judgments.triplets)
    assert table["validation"].idxmax() == 1
    # What it does not know does not change it.
    from convexlib.layers import first_fold

    known, unseen = first_fold(human, options)
    assert len(known) + len(unseen) == len(human.judgments.triplets)
    assert not set(map(tuple, known)) & set(map(tuple, unseen))
    turned = Judgments(np.concatenate([known, unseen[:, [0, 2, 1]]]))
    again, _ = alignet.teach(features, human._replace(sets={"all": turned}), options)
    np.testing.assert_allclose(
        again.transform.transform(features[1]), teacher.transform.transform(features[1]), atol=1e-6
    )


def test_targets_are_the_aligned_space_the_space_as_it_was_and_shuffled_answers() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5))
    human = of_people(alignment.triplets_from_similarity(np.cov(rng.normal(size=(12, 40)))))
    teacher, _ = alignet.teach([X[:12]], human, Transform(lmbda=0.01, n_folds=3))
    names = [str(n) for n in range(40)]
    options = {"scheme": "cluster-border", "n_clusters": 4, "random_state": 0, "batch_size": 50}
    told = alignet.lesson(teacher, X, names, 200, **options)
    assert [*told] == ["aligned", "unaligned", "shuffled"]
    for lesson in told.values():
        lesson.check("it", 40)
    rows = np.arange(200)

    def likely(space: np.ndarray, of: Triplets, warmth: float) -> np.ndarray:
        options = {"similarity": "dot", "temperature": warmth}
        return alignment.odd_one_out_probabilities(space, of.indices, **options)

    aligned, unaligned, shuffled = told.values()
    expected = likely(teacher.transform.transform(X), aligned, 1.0)
    np.testing.assert_allclose(aligned.targets, expected, atol=1e-5)
    expected = likely(teacher.transform.standardize(X), unaligned, teacher.temperature)
    np.testing.assert_allclose(unaligned.targets, expected, atol=1e-5)
    np.testing.assert_allclose(
        np.sort(shuffled.similarities, axis=1), np.sort(aligned.similarities, axis=1)
    )
    kept = [
        {*three[:2]} == {*other[:2]}
        for three, other in zip(aligned.indices.tolist(), shuffled.indices.tolist(), strict=True)
    ]
    assert 0.2 < np.mean(kept) < 0.5
    assert len(rows) == len(aligned.indices)


def test_more_clusters_than_images_are_refused() -> None:
    X = np.random.default_rng(0).normal(size=(12, 3))
    human = of_people(alignment.triplets_from_similarity(np.cov(X)))
    teacher, _ = alignet.teach([X], human, Transform(lmbda=0.01, n_folds=3))
    names, options = [str(n) for n in range(12)], {"n_clusters": 13, "random_state": 0}
    with pytest.raises(ValueError, match="n_clusters is 13, and there are 12 images"):
        alignet.lesson(teacher, X, names, 10, scheme="cluster-border", **options)
    with pytest.raises(ValueError, match="scheme is 'within-class', and the classes of the images"):
        alignet.lesson(teacher, X, names, 10, scheme="within-class", **options)


def test_a_layer_that_tells_nothing_apart_is_not_taken() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 4))
    human = of_people(alignment.triplets_from_similarity(X @ X.T))
    broken = X.copy()
    broken[3] = np.nan
    layers = [np.ones((12, 4)), broken, X]
    teacher, table = alignet.teach(layers, human, Transform(lmbda=0.01, n_folds=3))
    assert teacher.layer == 2
    assert table["validation"].isna().tolist() == [True, True, False]
    with pytest.raises(ValueError, match="the teacher tells no two images apart at any layer"):
        alignet.teach(layers[:2], human, Transform(lmbda=0.01, n_folds=3))
