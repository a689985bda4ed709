"""Somebody's own data sets: items by number, or one after another, in memory or where they are."""

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from narrowing import known, untyped
from vaekit.data import Schema, from_object, stream
from vaekit.data.stream_rows import ItemRows, SequenceRows, guarded
from vaekit.data.streams import is_stream
from vaekit.errors import DataError, StreamWarning

X = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
SMALL = "2kB"


class Items(torch.utils.data.Dataset):
    """Rows of X, as whatever an item is made of."""

    def __init__(self, make=lambda i: X[i], length=200):
        self.make, self.length, self.read = make, length, []

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        if not 0 <= i < len(X):
            raise IndexError(f"index {i} is out of range")
        self.read.append(i)
        return self.make(i)


class Sequence(IterableDataset):
    """The same, from the first to the last."""

    def __init__(self, make=lambda i: X[i], rows=200):
        self.make, self.rows, self.passes = make, rows, 0

    def __iter__(self):
        self.passes += 1
        return (self.make(i) for i in range(self.rows))


MAKERS = {
    "array": lambda i: X[i],
    "tensor": lambda i: torch.from_numpy(X[i]),
    "tuple": lambda i: (torch.from_numpy(X[i]), int(i % 3)),
    "tuple with text": lambda i: (X[i], "abc"[i % 3]),
    "dictionary": lambda i: {"x": X[i], "id": int(i % 3), "__key__": f"{i:06}"},
    "numbers": lambda i: {name: float(v) for name, v in zip("abcdef", X[i], strict=True)},
}


@pytest.mark.parametrize("limit", [SMALL, "1MB"], ids=["stored", "read"])
@pytest.mark.parametrize("kind", [Items, Sequence])
@pytest.mark.parametrize("item", MAKERS)
def test_the_same_data_from_anything(limit, kind, item, monkeypatch):
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", 100)
    data = stream(kind(MAKERS[item]), memory_limit=limit)
    stored = limit == SMALL
    assert isinstance(data.values, (ItemRows, SequenceRows)) == stored
    truth = from_object(X)
    assert (data.kind, data.event_shape, data.values.dtype) == ("table", (6,), np.float64)
    assert data.columns == (tuple("abcdef") if item == "numbers" else truth.columns)
    np.testing.assert_array_equal(data.values[:], truth.values)
    some = np.array([3, 199, 3, 0, 77])
    for key in (slice(2, 9), slice(None, None, 7), some, 5, (4, 0), (slice(None), 0)):
        np.testing.assert_array_equal(data.values[key], truth.values[key])
    schemas = [Schema.fit(d, scaling="standardize") for d in (data, truth)]
    np.testing.assert_allclose(schemas[0].scale, schemas[1].scale, rtol=1e-12)
    np.testing.assert_array_equal(data.take(some).take([1, 2]).values, truth.values[[199, 3]])
    labelled = item.startswith("tuple") and (kind is Sequence or not stored)
    assert (data.labels is not None) == labelled
    if labelled:
        assert known(data.labels)[:4].tolist() == ([0, 1, 2, 0] if item == "tuple" else ["a", "b", "c", "a"])


@pytest.mark.parametrize("limit", [SMALL, "1MB"], ids=["stored", "read"])
def test_labels_and_columns_are_chosen_by_name(limit):
    for kind in (Items, Sequence):
        source = kind(lambda i: {"x": X[i], "y": X[i, :2], "id": int(i % 3)})
        data = stream(source, column="y", label="id", memory_limit=limit)
        assert data.event_shape == (2,)
        assert known(data.labels)[:4].tolist() == [0, 1, 2, 0]
        source = kind(lambda i: {"a": 1.0 * i, "b": X[i, 1], "c": "text"})
        data = stream(source, column=["b", "a"], memory_limit="100")
        assert data.columns == ("b", "a")
        np.testing.assert_allclose(data.values[5], [X[5, 1], 5.0])


def test_pictures_are_images():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (30, 4, 5, 3), dtype=np.uint8)
    for kind in (Items, Sequence):
        source = kind(lambda i: {"image": image.fromarray(pixels[i % 30]), "label": i})
        for limit in ("1kB", "1MB"):
            data = stream(source, memory_limit=limit)
            assert (data.kind, data.event_shape, data.values.dtype) == ("images", (3, 4, 5), np.uint8)
            np.testing.assert_array_equal(data.values[7], np.moveaxis(pixels[7], -1, 0))


def test_data_frames_and_batches_are_blocks_of_rows():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    for limit in (SMALL, "1MB"):
        data = stream(lambda: (frame[i : i + 33] for i in range(0, 200, 33)), memory_limit=limit)
        assert data.columns == tuple("abcdef")
        np.testing.assert_array_equal(data.values[:], X)
        batches = [(X[i : i + 33], np.arange(i, min(i + 33, 200))) for i in range(0, 200, 33)]
        data = stream(lambda b=batches: iter(b), batched=True, memory_limit=limit)
        np.testing.assert_array_equal(data.values[np.array([150, 4])], X[[150, 4]])
        assert known(data.labels).tolist() == list(range(200))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("limit", [SMALL, "1MB"], ids=["stored", "read"])
def test_a_loader_lends_its_workers(limit, workers):
    for kind, options in ((Items, {"shuffle": True}), (Sequence, {})):
        made = kind(MAKERS["tuple"]) if kind is Items or workers == 0 else _Shared()
        loader = DataLoader(made, batch_size=16, num_workers=workers, **untyped(options))
        data = stream(loader, memory_limit=limit)
        assert isinstance(data.values, np.ndarray) == (limit == "1MB")
        np.testing.assert_array_equal(np.sort(data.values[:], 0), np.sort(X, 0))
        if kind is Items:
            np.testing.assert_array_equal(data.values[:], X)
            np.testing.assert_array_equal(data.values[np.arange(199, -1, -1)], X[::-1])
        if limit == "1MB":
            assert sorted(known(data.labels).tolist()) == sorted(i % 3 for i in range(200))


class _Shared(IterableDataset):
    """Divides its rows among workers, as it must."""

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        return (MAKERS["tuple"](i) for i in range(known(info).id, len(X), known(info).num_workers))


def test_a_sequence_is_read_on_and_begun_anew_for_rows_before():
    source = Sequence()
    data = stream(source, memory_limit=SMALL)
    passes = source.passes
    for start in range(0, 200, 50):
        data.values[np.arange(start, start + 50, 2)]
    assert source.passes == passes + 1
    data.values[:3]
    assert source.passes == passes + 2


def test_an_end_can_be_set_to_what_has_none():
    def endless():
        i = 0
        while True:
            yield X[i % 200]
            i += 1

    for limit in ("1kB", "1MB"):
        data = stream(endless, length=130, memory_limit=limit)
        assert len(data) == 130
        np.testing.assert_array_equal(data.values[:], X[:130])
    data = stream(
        lambda: (X[i : i + 33] for i in range(0, 200, 33)), length=130, batched=True, memory_limit="1kB"
    )
    np.testing.assert_array_equal(data.values[:], X[:130])


def test_counting_that_takes_long_is_said(monkeypatch):
    monkeypatch.setattr("vaekit.data.streams._PATIENCE", -1.0)
    with pytest.warns(StreamWarning, match=r"the Sequence: still counting its rows, 1 so far; .*length="):
        assert len(stream(Sequence(), memory_limit=SMALL)) == 200


def one_shot():
    yield from X


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (one_shot(), "the generator: it can be read once only, .*give a function"),
        (lambda: 3, "the function gave a int; expected an iterator"),
        ((lambda g: lambda: g)(one_shot()), "gave the same generator twice"),
        (Sequence(rows=0), "the Sequence: no rows: it ended before its first item"),
        (Items(length=0), "the Items: no rows"),
        (Items(length=250), r"the Items: its length says 250, and there is no item 200 \(IndexError"),
        (
            Sequence(lambda i: X[i] if i < 150 else X[i, :4]),
            r"item 0 has shape \(6,\) and type float32, item 150 \(4,\) and float32; all items need the same",
        ),
        (Items(lambda i: X[i] if i != 30 else X[i].astype(int)), "item 30 .*int64; all items need the same"),
        (Items(lambda i: 1 / (i - 7) + X[i]), r"item 7 cannot be read \(ZeroDivisionError: division by zero"),
        (Sequence(lambda i: 1 / (i - 7) + X[i]), r"after 7 rows \(ZeroDivisionError: division by zero"),
        (
            Items(lambda i: {"a": X[i], "b": X[i]}),
            "keys 'a', 'b', of which 'a', 'b' could be the data; say which",
        ),
        (Items(lambda i: {"a": "text"}), "of which none could be the data"),
        (Items(lambda i: "text"), "holds <U4; expected numbers"),
        (
            DataLoader(Sequence(), batch_size=4, collate_fn=len),
            "item 0 is a single int; expected a batch of rows",
        ),
    ],
    ids=range(14),
)
@pytest.mark.parametrize("limit", [SMALL, "1MB"], ids=["stored", "read"])
def test_what_is_no_data_is_refused(source, message, limit):
    with pytest.raises(DataError, match=message):
        stream(source, memory_limit=limit).values[:]


class Sized(Sequence):
    """Says a length."""

    def __len__(self):
        return 300


def test_an_iterable_whose_length_lies_is_refused():
    with pytest.raises(DataError, match="its length says 300, and it gave 200 rows; mend __len__"):
        stream(Sized())
    assert len(stream(Sized(), length=200)) == 200
    with pytest.raises(DataError, match="length=250 was asked for, and it ended after 200"):
        stream(Sequence(), length=250)
    with pytest.raises(DataError, match="no 'z' for the data in item 0, which is the keys 'x', 'y'"):
        stream(Items(lambda i: {"x": X[i], "y": 1}), column="z")


def test_passes_that_differ_are_refused():
    generator = np.random.default_rng(0)

    class Shuffling(Sequence):
        def __iter__(self) -> Any:
            return iter(X[generator.permutation(200)])

    data = stream(Shuffling(), memory_limit=SMALL)
    with pytest.raises(DataError, match=r"is another than in the pass before; .*leave shuffling to vaekit"):
        data.values[:3]
    with pytest.raises(DataError, match=r"it shuffles.*shuffle=False"):
        stream(
            DataLoader(
                Items(), batch_size=4, shuffle=True, collate_fn=torch.utils.data.default_collate.__call__
            )
        )
    noisy = stream(lambda: (row + generator.normal() for row in X), varying=True, memory_limit=SMALL)
    assert not np.array_equal(noisy.values[:], noisy.values[:])
    source = Sequence()
    data = stream(source, memory_limit=SMALL)
    source.rows = 150
    with pytest.raises(DataError, match="200 rows when they were counted, and only 150 in this pass"):
        data.values[:]


DEATH = """
import os, sys
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset
from vaekit.data import stream


class Dying(Dataset):
    def __len__(self):
        return 200

    def __getitem__(self, i):
        if i == 120 and torch.utils.data.get_worker_info() is not None:
            os._exit(7)
        return torch.ones(4) * i


class DyingSequence(IterableDataset):
    def __iter__(self):
        return (Dying()[i] for i in range(200))


loader = DataLoader({"Dying": Dying, "DyingSequence": DyingSequence}[sys.argv[1]](), batch_size=8, num_workers=1)
stream(loader, memory_limit="2kB").values[:]
"""


@pytest.mark.parametrize("kind", ["Dying", "DyingSequence"])
def test_a_worker_that_dies_is_said(kind, tmp_path):
    """In a process of its own: PyTorch tells of the death from a signal's handler, wherever the program is then."""
    script = tmp_path / "death.py"
    script.write_text(DEATH)
    done = subprocess.run(
        [sys.executable, script, kind], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode != 0
    last = done.stderr.rstrip().splitlines()[-1]
    if last.startswith("vaekit.errors.DataError"):  # nearly always: the program waits for the next item
        assert re.search(r"a worker process died.*num_workers=0", last)
    else:  # PyTorch's handler may also strike while Python prints the error that it has
        assert re.search(r"exited unexpectedly|a worker process died", done.stderr)


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError()])
def test_a_worker_whose_pipe_is_gone_died_and_a_connection_of_the_data_did_not(error):
    class Iterator:
        def __next__(self):
            raise error

    for workers, advice in ((True, True), (False, False)):
        iterator = Iterator()
        if workers:
            untyped(iterator)._workers = []
        with pytest.raises(DataError, match=type(error).__name__) as told:
            next(guarded(untyped(iterator), "the DataLoader", lambda: "after 3 rows"))
        assert ("a worker process died" in str(told.value)) == advice


def test_errors_in_workers_are_said_as_elsewhere():
    loader = DataLoader(Items(lambda i: 1 / (i - 7) + X[i]), batch_size=8, num_workers=1)
    with pytest.raises(
        DataError, match=r"^the Items: item 7 cannot be read \(ZeroDivisionError: division by zero\)$"
    ):
        stream(loader)


def test_what_is_a_stream_and_what_is_not():
    assert is_stream(Items())
    assert is_stream(Subset(Items(), range(5)))
    assert is_stream(Sequence())
    assert is_stream(DataLoader(Items()))
    for other in (
        X,
        X.tolist(),
        torch.zeros(2, 2),
        TensorDataset(torch.zeros(2, 2)),
        "x",
        from_object(X),
        {"a": 1},
    ):
        assert not is_stream(other)


@pytest.mark.parametrize("limit", [SMALL, "1MB"], ids=["stored", "read"])
@pytest.mark.parametrize("make", [Items, Sequence])
def test_items_whose_channels_stand_last(make, limit):
    images = np.random.default_rng(0).normal(size=(len(X), 6, 5, 3))
    data = stream(make(lambda i: images[i]), memory_limit=limit)
    assert (data.event_shape, data.layout) == ((3, 6, 5), "channels-last")
    np.testing.assert_array_equal(data.values[7:50], np.moveaxis(images[7:50], -1, 1))
