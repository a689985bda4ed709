"""Blocks of rows end in the file that all rows at once would end in."""

import numpy as np
import pytest

from vaekit.data import write
from vaekit.data.writers import write_blocks
from vaekit.errors import DataError

ROWS = {
    "table": np.random.default_rng(0).normal(size=(50, 3)),
    "float16": np.arange(150).reshape(50, 3).astype(np.float16),
    "images": np.arange(600, dtype=np.float32).reshape(50, 1, 4, 3),
    "missing": np.full((50, 2), np.nan),
}


@pytest.mark.parametrize("ending", [".npy", ".csv", ".tsv", ".npz"])
@pytest.mark.parametrize("kind", ROWS)
def test_the_same_bytes_as_in_one_piece(tmp_path, kind, ending):
    rows = ROWS[kind]
    whole, parts = tmp_path / f"whole{ending}", tmp_path / f"parts{ending}"
    write(whole, rows)
    assert write_blocks(parts, (rows[i : i + 7] for i in range(0, 50, 7)), rows=50) == rows.shape
    if ending == ".npz":  # it holds the time
        np.testing.assert_array_equal(np.load(parts)["X"], np.load(whole)["X"])
    else:
        assert parts.read_bytes() == whole.read_bytes()


def test_names_and_categories_are_written(tmp_path):
    rows, options = (
        np.array([[0.0, 1.0], [1.0, 2.0]]),
        {"columns": ["a", "b"], "categories": [["x", "y"], None]},
    )
    write(tmp_path / "whole.csv", rows, **options)
    write_blocks(tmp_path / "parts.csv", [rows[:1], rows[1:]], rows=2, **options)
    assert (
        (tmp_path / "parts.csv").read_text() == (tmp_path / "whole.csv").read_text() == "a,b\nx,1.0\ny,2.0\n"
    )


@pytest.mark.parametrize("rows", [3, 5])
def test_another_number_of_rows_leaves_no_file(tmp_path, rows):
    (tmp_path / "out.npy").write_text("what was there")
    with pytest.raises(DataError, match="4 rows to write"):
        write_blocks(tmp_path / "out.npy", iter([np.zeros((2, 2))] * 2), rows=rows)
    with pytest.raises(DataError, match="rows of shape"):
        write_blocks(tmp_path / "out.npy", iter([np.zeros((2, 2)), np.zeros((2, 3))]), rows=4)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.npy", "what was there")]
