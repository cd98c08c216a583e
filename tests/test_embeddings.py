"""Ready-made features in place of a model, on real judgments and features of THINGS."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from playwright.sync_api import Browser
from safetensors.numpy import save_file

from convexlib import pipeline, tables
from convexlib import study as studies
from convexlib.alignment import odd_one_out_accuracy
from convexlib.data import downloads, things
from convexlib.models import embeddings
from convexlib.models.representations import load
from tests.conftest import Workflow, check_book, data
from tests.pages import check_site

NAMES = ["ant", "bee", "cup"]
ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def saved(path: Path, arrays: dict[str, np.ndarray], names: list[str] | None = None) -> Path:
    save_file(arrays, path, metadata=None if names is None else {"names": json.dumps(names)})
    return path


def test_an_array_is_a_layer_or_several(tmp_path: Path) -> None:
    for given, n_layers in ((ROWS, 1), (np.stack([ROWS, -ROWS]), 2)):
        np.save(tmp_path / "x.npy", given)
        layers = embeddings.read(tmp_path / "x.npy", NAMES)
        assert len(layers) == n_layers
        np.testing.assert_array_equal(layers[0], ROWS)


def test_rows_with_names_are_put_into_order(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.safetensors", {"b": -ROWS, "a": ROWS}, ["cup", "ant", "bee"])
    first, second = embeddings.read(path, NAMES)
    np.testing.assert_array_equal(first, ROWS[[1, 2, 0]])
    np.testing.assert_array_equal(second, -first)


@pytest.mark.parametrize(
    ("arrays", "names", "message"),
    [
        ({"a": ROWS[:2]}, None, "has 2 rows at layer 0; give one for each of 3, from 'ant' to"),
        ({"a": ROWS}, ["ant", "cup", "dog"], "names no row for 'bee', nor for 0 others of 3"),
        ({"a": ROWS * np.nan}, None, "layer 0 of x.safetensors holds 12 values that are not"),
        ({"a": ROWS[0]}, None, r"layer 0 of x.safetensors has shape \(4,\)"),
        ({}, None, "holds no array"),
    ],
)
def test_a_mistake_in_the_arrays_is_named(
    tmp_path: Path, arrays: dict, names: list | None, message: str
) -> None:
    path = saved(tmp_path / "x.safetensors", arrays, names)
    with pytest.raises(ValueError, match=message):
        embeddings.read(path, NAMES)


@pytest.mark.parametrize("name", ["x.npy", "x.safetensors"])
def test_a_file_of_something_else_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(ValueError, match="holds no arrays that can be read"):
        embeddings.read(tmp_path / name, NAMES)


def write_things(folder: Path) -> Path:
    """The study of THINGS on the choices of 264 people."""
    content = yaml.safe_load((studies.ROOT / "studies" / "things.yaml").read_text())
    content["stimuli"]["trials"] = str(data("things") / "test_10_ID.txt")
    path = folder / "things.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def clip() -> Path:
    return data("things") / "clip-vit-base-p32-embeddings.npy"


def test_features_need_no_images(tmp_path: Path, clip: Path) -> None:
    path = write_things(tmp_path)
    needed, models = studies.sources(str(path), models=str(clip))
    assert not {things.IMAGES, things.TRIALS} & {*needed}
    assert all(map(downloads.is_here, needed))
    assert models == ()
    with_images, models = studies.sources(str(path))
    assert things.IMAGES in with_images
    assert len(models) == 12
    study = studies.load(str(path), models=str(clip))
    (model,) = study.models
    assert model.id == "clip-vit-base-p32-embeddings"
    X, judged = np.load(clip), pipeline.judged(study).judgments
    stored = pipeline.representations(study, model).get()
    np.testing.assert_array_equal(load(stored / "test", 0), X)
    rows = pipeline.measure(study, model, "odd_one_out").get()
    table = tables.pd.read_parquet(rows / "rows.parquet")
    value = table[(table["kind"] == "")]["value"].item()
    assert value == pytest.approx(odd_one_out_accuracy(X, judged.triplets))
    assert value == pytest.approx(0.483, abs=1e-3)


def test_wrong_features_show_before_the_work(tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", ROWS)
    study = studies.load(str(write_things(tmp_path)), models=str(tmp_path / "few.npy"))
    with pytest.raises(ValueError, match=r"few.npy' has 3 rows at layer 0; give one for each of 1"):
        pipeline.trial(study, study.models[0]).get()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """The book of THINGS by real features and real judgments, with no image at hand."""
    folder = tmp_path_factory.mktemp("things")
    features = data("things") / "clip-vit-base-p32-embeddings.npy"
    run = Workflow(folder, write_things(folder), models=str(features))
    run.run()
    return run


def test_a_book_is_made_of_one_layer(
    run: Workflow, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVEXLIB_RESULTS", str(run.results))
    study = studies.load(str(run.study), models=run.models)
    check_book(run, study)
    check_site(browser, run.site)
    means = tables.layer_means(study).set_index(["measure", "space"])["value"]
    assert means["convexity", "original"] == pytest.approx(0.511, abs=1e-3)
    assert means["held_out_odd_one_out", "original"] == pytest.approx(0.480, abs=0.002)
    assert means["held_out_odd_one_out", "global"] > 0.52
    assert not (downloads.root() / "things" / "object_images").exists()
