"""The recipes of the how-to page, with the libraries that they are for, where these are installed."""

import gc
import io
import json
import tarfile

import numpy as np
import pytest

from narrowing import known
from vaekit.data import stream
from vaekit.data.stream_rows import ItemRows, SequenceRows
from vaekit.errors import DataError
from vaekit.estimator import VariationalAutoencoder

OPTIONS = {"network": "mlp:hidden=8", "epochs": 2, "random_state": 0}
PIXELS = np.random.default_rng(0).integers(0, 256, (120, 6, 5), dtype=np.uint8)
SMALL = "6kB"

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.fixture
def hugging_face(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets")


def test_hugging_face_tables_by_number_and_streamed(hugging_face):
    x = np.random.default_rng(1).normal(size=(200, 3))
    data = hugging_face.Dataset.from_dict(
        {"a": x[:, 0], "b": x[:, 1], "vector": x.tolist(), "name": ["n"] * 200}
    )
    for source, kind in ((data, ItemRows), (data.to_iterable_dataset(num_shards=4), SequenceRows)):
        read = stream(source, column="vector", memory_limit=SMALL)
        assert isinstance(read.values, kind)
        np.testing.assert_array_equal(read.values[:], x)
        np.testing.assert_array_equal(stream(source, column="vector").values, x)
        two = stream(source, column=["b", "a"], memory_limit="1kB")
        assert two.columns == ("b", "a")
        np.testing.assert_array_equal(two.values[:], x[:, [1, 0]])
        vae = VariationalAutoencoder(2, memory_limit=SMALL, **OPTIONS)
        vae.fit(source.select_columns("vector"))
        assert vae.transform(source.select_columns(["vector"])).shape == (200, 2)


def test_hugging_face_pictures_and_formats(hugging_face):
    image = pytest.importorskip("PIL.Image")
    pictures = [image.fromarray(p) for p in PIXELS]
    features = hugging_face.Features(
        image=hugging_face.Image(), label=hugging_face.ClassLabel(names=["one", "two"])
    )
    data = hugging_face.Dataset.from_dict(
        {"image": pictures, "label": [i % 2 for i in range(120)]}, features=features
    )
    for source in (data, data.with_format("torch"), data.with_format("numpy"), data.to_iterable_dataset()):
        read = stream(source, label="label", memory_limit=SMALL)
        assert read.kind == "images"
        np.testing.assert_array_equal(read.values[:].squeeze(), PIXELS)
        assert known(read.labels).tolist() == [i % 2 for i in range(120)]


def test_hugging_face_shuffled_streams(hugging_face):
    x = np.random.default_rng(1).normal(size=(200, 3))
    data = hugging_face.Dataset.from_dict({"vector": x.tolist()}).to_iterable_dataset(num_shards=4)
    shuffled = stream(data.shuffle(seed=1, buffer_size=50), memory_limit=SMALL)  # one order, pass after pass
    np.testing.assert_array_equal(shuffled.values[:], shuffled.values[:])


@pytest.fixture
def shards(tmp_path):
    pytest.importorskip("webdataset")
    image = pytest.importorskip("PIL.Image")
    for shard in range(3):
        with tarfile.open(tmp_path / f"part-{shard}.tar", "w") as archive:
            for i in range(40):
                picture = io.BytesIO()
                image.fromarray(PIXELS[40 * shard + i]).save(picture, "png")
                files = {
                    "png": picture.getvalue(),
                    "json": json.dumps({"label": i % 2}).encode(),
                    "cls": b"%d" % (i % 2),
                }
                for ending, content in files.items():
                    info = tarfile.TarInfo(f"{shard}-{i:03}.{ending}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    yield str(tmp_path / "part-{0..2}.tar")
    gc.collect()  # the archives that it left open, here where its warnings are not heard


def test_webdataset_tuples_and_dictionaries(shards):
    webdataset = pytest.importorskip("webdataset")

    def opened():
        return webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).decode("pill")

    pairs = opened().to_tuple("png", "cls")
    for limit in (SMALL, "1MB"):
        read = stream(pairs, memory_limit=limit)
        assert isinstance(read.values, SequenceRows) == (limit == SMALL)
        np.testing.assert_array_equal(read.values[:].squeeze(), PIXELS)
        assert known(read.labels).tolist() == [i % 2 for i in range(120)]
        read = stream(opened(), label="cls", memory_limit=limit)
        np.testing.assert_array_equal(read.values[:].squeeze(), PIXELS)
    vae = VariationalAutoencoder(2, likelihood="bernoulli", memory_limit=SMALL, **OPTIONS).fit(pairs)
    assert vae.score_samples(pairs, samples=2).shape == (120,)


def test_webdataset_with_workers_repeated_and_shuffled(shards):
    webdataset = pytest.importorskip("webdataset")

    def opened():
        data = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False)
        return data.decode("pill").to_tuple("png", "cls")

    loader = webdataset.WebLoader(opened(), batch_size=None, num_workers=2)
    read = stream(loader, memory_limit=SMALL)
    assert len(read) == 120
    assert sorted(map(bytes, read.values[:])) == sorted(map(bytes, PIXELS))
    assert len(stream(opened().repeat(), length=150, memory_limit=SMALL)) == 150
    with pytest.raises(DataError, match="is another than in the pass before"):
        stream(opened().shuffle(100), memory_limit=SMALL).values[:]
