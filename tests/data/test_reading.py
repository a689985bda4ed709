"""The one door: names, endings, what does not exist, and what importing the room brings along."""

import gzip
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from narrowing import known, untyped
from vaekit.data import read, write
from vaekit.errors import DataError, MissingExtraError


def test_digits():
    data = read("digits")
    assert (data.kind, data.source, data.test) == ("images", "digits", None)
    assert (data.values.shape, data.values.dtype) == ((1797, 1, 8, 8), np.float32)
    assert np.array_equal(data.values[:, 0] * 16, untyped(load_digits()).images)
    assert known(data.labels).tolist() == untyped(load_digits()).target.tolist()


def test_importing_the_room_brings_neither_torch_nor_pandas():
    code = (
        "import sys, vaekit.data; "
        "print(sorted({'torch', 'pandas', 'PIL', 'pyarrow', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


UNKNOWN = {
    "digit": "'digit': no such file, folder or name; did you mean 'digits'.*expected a .csv, .tsv, .npy",
    "MNIST": "did you mean 'mnist'",
    "": "'': no such file, folder or name",
    "no/such/folder/a.csv": "no such file, and no folder 'no/such/folder'",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=UNKNOWN[name]):
        read(name)


def test_a_neighbouring_file_is_suggested(tmp_path, monkeypatch):
    (tmp_path / "measurements.csv").write_text("1,2\n")
    with pytest.raises(DataError, match=r"did you mean '.*measurements.csv'"):
        read(tmp_path / "measurement.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"did you mean 'measurements.csv'"):
        read("measurement.csv")


def test_a_link_to_nothing(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"a link to '.*gone.csv', which is not there"):
        read(tmp_path / "a.csv")


def test_endings_that_are_not_accepted(tmp_path):
    for name, message in {
        "a.docx": "unknown ending '.docx'; expected a .csv",
        "a.pkl": "a pickle, and reading one can run any code",
        "a.png": "a single picture; expected a folder of images: give the folder",
        "noending": "unknown ending ''",
    }.items():
        (tmp_path / name).write_bytes(b"something")
        with pytest.raises(DataError, match=message):
            read(tmp_path / name)


def test_a_model_is_no_data(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(DataError, match="a fitted model, not data"):
        read(tmp_path)


def test_labels_need_named_columns(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    for source in ("digits", tmp_path / "a.npy", tmp_path):
        with pytest.raises(DataError, match="no column 'y' for the label: this source has no named columns"):
            read(source, label="y")


def test_what_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("1,2\n")

    def refuse(path, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vaekit.data.reading.read_text", refuse)
    with pytest.raises(DataError, match=r"a.csv: not allowed to read it \(Permission denied\)"):
        read(tmp_path / "a.csv")


def test_parquet(tmp_path):
    file = tmp_path / "a.parquet"
    frame = pd.DataFrame({"a": [1.5, None], "b": [1, 2], "kind": ["u", "v"]})
    frame.to_parquet(file)
    data = read(file, label="kind")
    assert (data.columns, known(data.labels).tolist()) == (("a", "b"), ["u", "v"])
    assert np.array_equal(data.values, [[1.5, 1], [np.nan, 2]], equal_nan=True)
    assert read(file).categories == (None, None, ("u", "v"))
    whole = file.read_bytes()
    for content, message in {
        whole[:-40]: "truncated, corrupt or no Parquet",
        b"PAR1": "corrupt",
        b"": "empty",
    }.items():
        file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(file)


def test_extras_that_are_missing_are_named(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"reading parquet needs .*pip install 'vaekit\[parquet\]'"):
        read(tmp_path / "a.parquet")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"reading images needs .*pip install 'vaekit\[images\]'"):
        read(tmp_path / "pictures")


def test_no_damage_gets_past_the_readers(tmp_path):
    """Random damage to each format either still reads, or is a DataError; never another exception."""
    rng = np.random.default_rng(0)
    rows, buffer = rng.normal(size=(20, 3)), io.BytesIO()
    write(tmp_path / "a.npy", rows)
    write(tmp_path / "a.npz", rows, columns=["a", "b", "c"])
    write(tmp_path / "a.parquet", rows)
    write(tmp_path / "a.csv", rows[:3])
    write(tmp_path / "pictures.png", rng.random((1, 9, 9)))
    buffer.write(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3]) + bytes(18))
    (tmp_path / "a.idx.gz").write_bytes(gzip.compress(buffer.getvalue()))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures.png").rename(tmp_path / "pictures" / "a.png")
    refused = 0
    for file in [*tmp_path.glob("a.*"), tmp_path / "pictures" / "a.png"]:
        whole = file.read_bytes()
        for _ in range(60):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), rng.integers(1, 4)):
                damaged[place] = rng.integers(256)
            file.write_bytes(damaged[: rng.integers(len(whole)) if rng.random() < 0.3 else None])
            try:
                read(file.parent if file.suffix == ".png" else file)
            except DataError:
                refused += 1
    assert refused > 100


def test_a_file_that_is_not_near_is_not_suggested(tmp_path):
    for name in ("people.csv", "a.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n3,4\n")
    for absent in ("nofile.csv", "b.csv", "data.csv"):
        with pytest.raises(DataError) as caught:
            read(tmp_path / absent)
        assert "did you mean" not in str(caught.value)
    for near in ("poeple.csv", "people.cvs", "people", "People.csv.gz"):
        with pytest.raises(DataError, match=r"did you mean '.*people.csv'"):
            read(tmp_path / near)
