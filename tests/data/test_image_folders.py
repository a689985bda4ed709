"""Folders of pictures: order, labels, modes, and files that do not belong."""

import shutil

import numpy as np
import pytest
from PIL import Image

from narrowing import known, untyped
from vaekit.data import Schema, read
from vaekit.data.image_folders import PictureRows
from vaekit.errors import DataError, UsageError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path)


@pytest.mark.parametrize("ending", ["png", "bmp", "webp", "tiff"])
def test_colours_come_back_exactly(tmp_path, ending):
    options = {"lossless": True} if ending == "webp" else {}
    for i in range(3):
        Image.fromarray(COLOUR + np.uint8(i)).save(tmp_path / f"{i}.{ending}", **untyped(options))
    data = read(tmp_path)
    assert (data.kind, data.values.shape, data.values.dtype) == ("images", (3, 3, 6, 5), np.uint8)
    for i in range(3):
        assert np.array_equal(np.moveaxis(data.values[i], 0, -1), COLOUR + np.uint8(i))
    assert data.labels is None
    assert data.columns is None


def test_subfolders_are_labels_in_sorted_order(tmp_path):
    for label, value in (("zebra", 3), ("ant", 1), ("bee", 2)):
        save(tmp_path / label / "deep" / "b.png", np.full((2, 2), value * 10 + 1, np.uint8))
        save(tmp_path / label / "a.jpg", np.full((2, 2), value * 10, np.uint8))
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "ant" / "Thumbs.db").write_bytes(b"\0")
    data = read(tmp_path)
    assert known(data.labels).tolist() == ["ant", "ant", "bee", "bee", "zebra", "zebra"]
    assert data.values[:, 0, 0, 0].tolist() == [10, 11, 20, 21, 30, 31]


def test_other_modes(tmp_path):
    modes = {
        "bilevel": (Image.fromarray(GREY > 99), (1, 6, 5), np.uint8),
        "palette": (Image.fromarray(COLOUR).quantize(8), (3, 6, 5), np.uint8),
        "alpha": (Image.fromarray(COLOUR).convert("RGBA"), (4, 6, 5), np.uint8),
        "sixteen": (Image.fromarray(GREY.astype(np.uint16) * 257), (1, 6, 5), np.uint16),
    }
    for name, (picture, shape, dtype) in modes.items():
        save(tmp_path / name / "a.png", picture)
        data = read(tmp_path / name)
        assert (data.event_shape, data.values.dtype) == (shape, dtype)
    assert read(tmp_path / "bilevel").values.max() == 1
    assert read(tmp_path / "sixteen").values.max() == int(GREY.max()) * 257


def test_sizes_and_modes_must_agree(tmp_path):
    save(tmp_path / "a.png", GREY)
    save(tmp_path / "b.png", GREY[:4])
    with pytest.raises(
        DataError, match=r"'a.png' is 6x5 \(height x width\) grey and 'b.png' is 4x5 .*resize"
    ):
        read(tmp_path)
    save(tmp_path / "b.png", COLOUR)
    with pytest.raises(
        DataError, match=r"'a.png' is 6x5 .*grey and 'b.png' is 6x5 .*RGB; all images need one size and"
    ):
        read(tmp_path)
    save(tmp_path / "b.png", Image.fromarray(GREY > 99))
    with pytest.raises(DataError, match=r"6x5 \(height x width\) grey and 'b.png' is 6x5 .* black and white"):
        read(tmp_path)


def test_files_that_do_not_belong_are_named(tmp_path):
    save(tmp_path / "a.png", GREY)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes.txt: no image that can be read; .*move it out"):
        read(tmp_path)
    (tmp_path / "notes.txt").rename(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b.png: no image that can be read"):
        read(tmp_path)
    save(tmp_path / "b.png", RNG.integers(0, 256, (60, 50), dtype=np.uint8))
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:900])
    with pytest.raises(DataError, match=r"b.png: a damaged image"):
        read(tmp_path)
    (tmp_path / "b.png").unlink()
    save(tmp_path / "sub" / "c.png", GREY)
    with pytest.raises(DataError, match=r"'a.png' lies beside subfolders with files such as 'sub/c.png'"):
        read(tmp_path)


def test_moving_and_cmyk_pictures_are_refused(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a.gif: 2 frames in one file; expected one image per file"):
        read(tmp_path)
    (tmp_path / "a.gif").unlink()
    save(tmp_path / "a.jpg", Image.fromarray(COLOUR).convert("CMYK"))
    with pytest.raises(DataError, match=r"a.jpg: colours in CMYK; expected grey or RGB"):
        read(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(
        DataError, match="the folder holds no files; expected images, or MNIST's four IDX files"
    ):
        read(tmp_path)


def test_a_huge_picture_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    save(tmp_path / "a.png", GREY)
    with pytest.raises(DataError, match=r"a.png: too large an image"):
        read(tmp_path)


def many(folder, count=90):
    """Pictures of three labels, some large limits' worth of them."""
    rng = np.random.default_rng(3)
    for i in range(count):
        save(folder / "abc"[i % 3] / f"{i:03}.png", rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))


@pytest.fixture(params=[1, 2], ids=["alone", "workers"])
def workers(request, monkeypatch):
    monkeypatch.setattr("vaekit.data.picture_decoding._processors", lambda: request.param)
    monkeypatch.setattr("vaekit.data.picture_decoding._FILES_AT_ONCE", 7)
    return request.param


def test_a_folder_too_large_for_the_limit_is_decoded_where_it_is_asked_for(tmp_path, workers, monkeypatch):
    monkeypatch.setattr("vaekit.data.dataset.BLOCK_VALUES", 1000)
    many(tmp_path)
    resident, stored = read(tmp_path), read(tmp_path, memory_limit=20_000)
    assert isinstance(stored.values, PictureRows)
    assert (stored.kind, stored.event_shape, stored.values.dtype) == ("images", (3, 4, 5), np.uint8)
    assert known(stored.labels).tolist() == known(resident.labels).tolist()
    assert stored.hash() == resident.hash()
    for key in (slice(2, 9), slice(None, None, 7), np.array([3, 89, 3, -1]), 5, (4, 0)):
        np.testing.assert_array_equal(stored.values[key], resident.values[key])
    assert Schema.fit(stored, scaling="unit").scale == (255.0,)
    schemas = [Schema.fit(data, scaling="standardize") for data in (resident, stored)]
    assert schemas[1].scale == pytest.approx(schemas[0].scale, rel=1e-13)
    part = stored.take(np.arange(0, 90, 2))
    assert isinstance(part.values, PictureRows)
    assert part.hash() == resident.take(np.arange(0, 90, 2)).hash()
    assert (stored.values._decoder._workers or []) == [] or workers == 2
    assert len(known(stored.values._decoder._workers)) == (2 if workers == 2 else 0)
    assert part.values.fingerprint() != stored.values.fingerprint()


def test_many_pictures_are_decoded_by_workers_into_memory(tmp_path, workers, monkeypatch):
    monkeypatch.setattr("vaekit.data.picture_decoding._WORTH_WORKERS", 50)
    many(tmp_path, 60)
    assert read(tmp_path).hash() == read(tmp_path, memory_limit=10_000).hash()


def test_a_picture_that_changes_or_breaks_while_it_is_needed_is_named(tmp_path, workers):
    many(tmp_path)
    stored = read(tmp_path, memory_limit=20_000)
    save(tmp_path / "b" / "040.png", COLOUR)
    with pytest.raises(DataError, match=r"'a/000.png' is 4x5 .* and 'b/040.png' is 6x5 .*one size and mode"):
        stored.hash()
    (tmp_path / "b" / "040.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b/040.png: no image that can be read"):
        stored.hash()
    (tmp_path / "b" / "040.png").unlink()
    with pytest.raises(DataError, match=r"b/040.png.*No such file"):
        stored.hash()


def test_a_worker_that_dies_is_an_error_and_the_next_are_new(tmp_path, monkeypatch):
    monkeypatch.setattr("vaekit.data.picture_decoding._processors", lambda: 2)
    many(tmp_path)
    stored = read(tmp_path, memory_limit=20_000)
    before = stored.hash()
    victim = untyped(stored.values)._decoder._workers[1].process
    victim.kill()
    victim.wait()
    with pytest.raises(
        DataError, match=r"worker process that decodes pictures died \(killed by signal 9\).*32 files"
    ):
        stored.values[np.arange(65)]
    assert stored.hash() == before


@pytest.mark.parametrize("python", ["/nowhere/python", shutil.which("false")])
def test_workers_that_cannot_start_are_done_without(tmp_path, monkeypatch, python):
    monkeypatch.setattr("vaekit.data.picture_decoding._processors", lambda: 2)
    monkeypatch.setattr("sys.executable", python)
    many(tmp_path)
    stored = read(tmp_path, memory_limit=20_000)
    assert stored.values[:].shape == (90, 3, 4, 5)
    assert untyped(stored.values)._decoder._workers == []


def mixed_folder(folder):
    """Pictures of several sizes and modes, all of one red, and two files that are none."""
    red = Image.new("RGB", (9, 7), (200, 10, 30))
    save(folder / "a.png", red)
    save(folder / "b.png", red.resize((5, 12)).convert("RGBA"))
    save(folder / "c.png", red.quantize(2))
    save(folder / "d.tiff", red.convert("CMYK"))
    save(folder / "e.png", red.convert("L"))
    (folder / "f.png").write_bytes(b"no picture")
    (folder / "g.png").write_bytes((folder / "a.png").read_bytes()[:40])


def test_pictures_are_brought_to_one_size_and_colour(tmp_path):
    mixed_folder(tmp_path)
    with pytest.raises(DataError, match=r"f.png: no image .*--skip-unreadable, skip_unreadable=True"):
        read(tmp_path, convert="rgb", resize=(4, 6))
    data = read(tmp_path, convert="rgb", resize=(4, 6), skip_unreadable=True)
    assert (data.values.shape, data.values.dtype) == ((5, 3, 4, 6), np.uint8)
    for image in data.values[:4]:
        assert (np.abs(image.astype(int) - [[[200]], [[10]], [[30]]]) <= 1).all()
    assert data.notes == ("2 files of 7 left out, unreadable: 'f.png', 'g.png'",)
    grey = read(tmp_path, convert="grey", resize=(4, 6), skip_unreadable=True)
    assert grey.event_shape == (1, 4, 6)
    assert (np.abs(grey.values.astype(int) - round(0.299 * 200 + 0.587 * 10 + 0.114 * 30)) <= 1).all()
    stored = read(tmp_path, convert="grey", resize=(4, 6), skip_unreadable=True, memory_limit=10)
    assert isinstance(stored.values, PictureRows)
    assert np.array_equal(stored.values[:], grey.values)


def test_what_is_transparent_shows_white_and_sixteen_bits_become_eight(tmp_path):
    save(tmp_path / "clear" / "a.png", Image.new("RGBA", (2, 2), (255, 0, 0, 0)))
    assert (read(tmp_path / "clear", convert="rgb").values == 255).all()
    save(tmp_path / "deep" / "a.png", Image.fromarray(GREY.astype(np.uint16) * 257))
    assert np.array_equal(read(tmp_path / "deep", convert="grey").values[0, 0], GREY)
    halved = read(tmp_path / "deep", resize=(3, 5))
    assert (halved.values.dtype, halved.event_shape) == (np.uint16, (1, 3, 5))
    assert halved.values.max() > 255
    save(tmp_path / "bits" / "a.png", Image.fromarray(GREY > 99))
    assert set(np.unique(read(tmp_path / "bits", convert="grey").values)) == {0, 255}


def test_resizing_averages(tmp_path):
    save(tmp_path / "a.png", np.kron(np.eye(2), np.full((16, 16), 200)).astype(np.uint8))
    small = read(tmp_path, resize=(2, 2)).values[0, 0]
    assert abs(float(small.mean()) - 100) <= 1
    assert small[0, 0] > 120 > 80 > small[0, 1]


def test_workers_change_pictures_as_this_process_does(tmp_path):
    from vaekit.data.picture_decoding import Decoder, Picture
    from vaekit.data.picture_recipe import PictureRecipe
    from vaekit.data.pictures import load_picture

    for i in range(6):
        save(tmp_path / f"{i}.png", COLOUR + np.uint8(i))
    recipe = PictureRecipe("grey", (3, 4))
    files = [f"{i}.png" for i in range(6)]
    like = Picture.of(*load_picture(tmp_path / files[0], recipe))
    results = []
    for workers in (1, 2):
        results.append(np.empty((6, *like.shape), np.uint8))
        Decoder(tmp_path, files[0], like, recipe=recipe, workers=workers).decode(files, results[-1])
    assert np.array_equal(*results)


def test_a_recipe_for_anything_else_is_refused(tmp_path):
    save(tmp_path / "a.png", GREY)
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    for source in ("digits", tmp_path / "a.npy"):
        with pytest.raises(UsageError, match="are for folders of pictures; leave them out"):
            read(source, resize=(8, 8))
    with pytest.raises(UsageError, match=r"convert='gray'; there are rgb, grey"):
        read(tmp_path, convert=untyped("gray"))
    with pytest.raises(UsageError, match=r"resize=\(0, 3\); give height and width"):
        read(tmp_path, resize=(0, 3))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"none of 1 file can be read; .*a.png"):
        read(tmp_path / "bad", skip_unreadable=True)


@pytest.mark.parametrize("limit", [None, 1])
def test_the_names_of_files_are_kept_beside_results(tmp_path, limit):
    for name in ("b/1.png", "a/2.png", "a/ä 1.png"):
        save(tmp_path / name, GREY)
    kept = known(read(tmp_path, keep=["file", "labels"], memory_limit=limit).kept)
    assert kept.to_dict("list") == {"file": ["a/2.png", "a/ä 1.png", "b/1.png"], "labels": ["a", "a", "b"]}
    with pytest.raises(DataError, match="no column 'name' to keep; there are 'labels', 'file'"):
        read(tmp_path, keep=["name"])
    assert read(tmp_path).kept is None


def test_a_file_that_is_passed_over_has_no_name_beside_results(tmp_path):
    for name in ("1.png", "3.png"):
        save(tmp_path / name, GREY)
    (tmp_path / "2.png").write_bytes(b"none")
    assert known(read(tmp_path, keep=["file"], skip_unreadable=True).kept)["file"].tolist() == [
        "1.png",
        "3.png",
    ]
