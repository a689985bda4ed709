"""MNIST by name: where it is looked for, its checksums, and the download (from a server of our own)."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest

from narrowing import known
from vaekit.data import mnist, read
from vaekit.errors import DataError


def small_files():
    """Four files of MNIST's names, of two images each."""
    files = {}
    for name in mnist.MD5:
        shape = (2, 3, 3) if "images" in name else (2,)
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
        files[name] = gzip.compress(header + bytes(range(int(np.prod(shape)))), mtime=0)
    return files


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Pretend that the small files are MNIST, and that there is no cache, no variable and no network."""
    found = small_files()
    sums = {name: hashlib.md5(content).hexdigest() for name, content in found.items()}
    monkeypatch.setattr(mnist, "MD5", sums)
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VAEKIT_DATA", raising=False)
    return found


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("below", ["", "mnist"])
@pytest.mark.parametrize("place", ["data_dir", "variable", "cache"])
def test_places(tmp_path, monkeypatch, files, place, below):
    put(tmp_path / "cache" / "vaekit" / below if place == "cache" else tmp_path / "here" / below, files)
    if place == "variable":
        monkeypatch.setenv("VAEKIT_DATA", str(tmp_path / "here"))
    data = read("mnist", data_dir=tmp_path / "here" if place == "data_dir" else None)
    assert (data.source, data.values.shape, known(data.labels).tolist()) == ("mnist", (2, 1, 3, 3), [0, 1])
    assert data.test is not None
    assert data.test.source == "mnist (test)"


def test_offline_says_where_to_put_the_files(tmp_path, files):
    with pytest.raises(DataError) as caught:
        read("mnist", data_dir=tmp_path / "here")
    message = str(caught.value)
    cache = tmp_path / "cache" / "vaekit"
    assert f"mnist: not found in {tmp_path / 'here'}, {cache} " in message
    assert "not downloaded (http://127.0.0.1:9/: " in message
    where = f"into {cache / 'mnist'}, or name their folder with data_dir=FOLDER or $VAEKIT_DATA"
    assert f"Put {', '.join(mnist.MD5)} {where}" in message
    assert list((cache / "mnist").iterdir()) == []


def test_another_data_set_under_the_same_names_is_refused(tmp_path, files):
    put(tmp_path / "here", files)
    other = tmp_path / "here" / "t10k-labels-idx1-ubyte.gz"
    other.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x02\x07\x07"))
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte.gz: md5 [0-9a-f]{32}, and MNIST's file has [0-9a-f]{32}"
    ):
        read("mnist", data_dir=tmp_path / "here")


@pytest.fixture
def server(tmp_path, monkeypatch, files):
    """Serve a folder, and name it as the only mirror."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    folder = tmp_path / "served"
    put(folder, files)
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/", f"http://127.0.0.1:{httpd.server_port}/"))
    yield folder
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_download_from_the_second_mirror_and_then_from_the_cache(tmp_path, monkeypatch, server):
    assert read("mnist").values.shape == (2, 1, 3, 3)
    cached = tmp_path / "cache" / "vaekit" / "mnist"
    assert sorted(path.name for path in cached.iterdir()) == sorted(mnist.MD5)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    assert known(read("mnist").labels).tolist() == [0, 1]


def test_a_damaged_cache_is_fetched_again(tmp_path, server):
    read("mnist")
    damaged = tmp_path / "cache" / "vaekit" / "mnist" / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(b"half")
    assert read("mnist").values.shape == (2, 1, 3, 3)
    assert hashlib.md5(damaged.read_bytes()).hexdigest() == mnist.MD5[damaged.name]


def test_a_download_with_the_wrong_checksum_is_not_kept(tmp_path, server):
    (server / "t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz has md5 .* expected .*data_dir="):
        read("mnist")
    left = sorted(path.name for path in (tmp_path / "cache" / "vaekit" / "mnist").iterdir())
    assert left == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]


def test_a_slow_download_is_given_up(monkeypatch, server):
    monkeypatch.setattr(mnist, "DEADLINE", -1.0)
    with pytest.raises(DataError, match="the download took more than -1 s"):
        read("mnist")


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch, files):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be made: Not a directory.*data_dir="):
        read("mnist")


def test_the_real_one(shared_data):
    data = read("mnist", data_dir=shared_data)
    assert (data.values.shape, data.values.dtype) == ((60_000, 1, 28, 28), np.uint8)
    assert known(data.labels)[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test is not None
    assert data.test.values.shape == (10_000, 1, 28, 28)
    assert data.values.mean() == pytest.approx(33.3184, abs=1e-4)  # the well-known 0.1307 of 255
    assert np.bincount(known(data.test.labels)).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
