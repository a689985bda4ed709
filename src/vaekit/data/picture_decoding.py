"""Worker processes that decode pictures, where there are many.

A worker is a process that runs :func:`answer`: it reads a line of JSON with names of files from its standard
input, and answers with a line of JSON and the bytes of one array. It runs no code of a user and draws no
random numbers, so the result does not depend on the number of workers. It ends when its input ends.

The workers of PyTorch's ``DataLoader`` are not used. Started by spawn or forkserver, they run the user's main
script again, which then needs an ``if __name__ == "__main__"``, and each imports torch (2.5 s for two
workers, against 0.5 s for these); started by fork, they copy a process whose threads may hold locks, for rows
are decoded in a thread beside the one that trains.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple
from weakref import finalize

import numpy as np

from vaekit.data.messages import plural
from vaekit.data.picture_recipe import PictureRecipe
from vaekit.data.pictures import AS_FOUND, load_picture
from vaekit.errors import DataError

__all__ = ["Decoder", "Picture", "answer"]

_MODES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with alpha",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "P": "palette",
}
_WORTH_WORKERS = 2000  # files; fewer are decoded before workers have started
_FILES_AT_ONCE = 32
_MOST_WORKERS = 8


class Picture(NamedTuple):
    """The size, type and mode that all pictures of a folder share."""

    shape: tuple[int, ...]
    dtype: str
    mode: str

    @classmethod
    def of(cls, pixels: np.ndarray, mode: str) -> "Picture":
        """Return the size, type and mode of a decoded picture."""
        return cls(pixels.shape, pixels.dtype.str, mode)

    def __str__(self) -> str:
        return f"{self.shape[1]}x{self.shape[2]} (height x width) {_MODES.get(self.mode, self.mode)}"


class Decoder:
    """Decodes the files of one folder; all must be like the first.

    Parameters
    ----------
    folder : Path
        Folder of the files.
    first : str
        Name of the file that the others are compared with, for messages.
    like : Picture
        Size, type and mode of that file.
    recipe : PictureRecipe
        The colours and size that every picture is brought to.
    workers : int, optional
        Number of processes; by default one for each processor that this process may use, and at most 8. For
        one, or for few files, none are started and files are decoded in this process.
    """

    def __init__(
        self,
        folder: Path,
        first: str,
        like: Picture,
        *,
        recipe: PictureRecipe = AS_FOUND,
        workers: int | None = None,
    ) -> None:
        self._folder, self._first, self.like, self._recipe = folder, first, like, recipe
        self._wanted = _processors() if workers is None else workers
        self._workers: list[_Worker] | None = None
        self._pool: ThreadPoolExecutor | None = None

    def decode(self, files: Sequence[str], out: np.ndarray, *, many: bool = True) -> None:
        """Decode files into an array.

        Parameters
        ----------
        files : sequence of str
            Names relative to the folder.
        out : ndarray of shape (len(files), \\*like.shape)
            The array to fill.
        many : bool
            Whether more files will follow, so that workers are worth starting for a few.

        Raises
        ------
        DataError
            For a file that is not a picture, is damaged, or is not like the first; for a worker that died.
        """
        parts = [slice(i, i + _FILES_AT_ONCE) for i in range(0, len(files), _FILES_AT_ONCE)]
        workers = self._started() if many or len(files) >= _WORTH_WORKERS else []
        if not workers:
            for i, name in enumerate(files):
                found, mode = load_picture(self._folder / name, self._recipe)
                self._compare(name, Picture.of(found, mode))
                out[i] = found
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(workers), "vaekit waits for a worker")
        share = [parts[k :: len(workers)] for k in range(len(workers))]

        failures: list[tuple[int, DataError]] = []

        def ask(worker: "_Worker", parts: list[slice]) -> None:
            for part in parts:
                try:
                    self._ask(worker, files[part], out[part])
                except DataError as error:
                    failures.append((part.start, error))
                    return

        wait([self._pool.submit(ask, worker, parts) for worker, parts in zip(workers, share, strict=True)])
        if any(worker.process.poll() is not None for worker in workers):
            _end(workers)
            self._workers = None
        if failures:
            raise min(failures, key=lambda failure: failure[0])[1]

    def _ask(self, worker: "_Worker", files: Sequence[str], out: np.ndarray) -> None:
        told = {
            "files": [str(self._folder / name) for name in files],
            "like": self.like,
            "convert": self._recipe.convert,
            "resize": self._recipe.resize,
        }
        reply = worker.ask(told, out)
        if reply is None:
            raise DataError(
                f"{self._folder}: a worker process that decodes pictures died ({worker.ending()}) at one of "
                f"{plural(len(files), 'file')} from {files[0]!r} to {files[-1]!r}; was it out of memory, or "
                "is one of them damaged? Free memory, or remove the file, and try again"
            )
        if "error" in reply:
            raise DataError(reply["error"])
        if "other" in reply:
            shape, dtype, mode = reply["like"]
            self._compare(str(files[reply["other"]]), Picture(tuple(shape), dtype, mode))

    def _compare(self, name: str, found: Picture) -> None:
        if found != self.like:
            raise DataError(
                f"{self._folder}: {self._first!r} is {self.like} and {name!r} is {found}; all images need "
                "one size and mode: resize or convert them first, or ask for it with resize=(height, width) and "
                "convert='rgb' or 'grey'"
            )

    def _started(self) -> "list[_Worker]":
        """Return the running workers; none where none are wanted or they cannot be started."""
        if self._workers is None:
            made: list[_Worker] = []
            finalize(self, _end, made)
            with suppress(OSError):  # no Python to start, or no room for one: pictures are decoded here
                made.extend(_Worker() for _ in range(self._wanted if self._wanted > 1 else 0))
            self._workers = made if all(worker.is_ready() for worker in made) else []
            if not self._workers:
                _end(made)
        return self._workers


class _Worker:
    """A process that decodes; one thread at a time may ask it."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from vaekit.data.picture_decoding import answer; answer()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for the parent process
        )
        self._lock = threading.Lock()

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.process.stdin is None or self.process.stdout is None:
            raise DataError("a worker process without pipes")
        return self.process.stdin, self.process.stdout

    def is_ready(self) -> bool:
        """Return whether the worker has started."""
        return self._pipes[1].readline() == b"ready\n"

    def ask(self, told: dict[str, Any], out: np.ndarray) -> dict[str, Any] | None:
        """Fill an array with decoded files and return the reply; None where the worker is gone."""
        to, back = self._pipes
        with self._lock:
            try:
                to.write(json.dumps(told).encode() + b"\n")
                to.flush()
            except OSError:
                return None
            line = back.readline()
            if not line:
                return None
            reply = json.loads(line)
            if reply:
                return reply
            content = back.read(out.nbytes)
        if len(content) < out.nbytes:
            return None
        out[...] = np.frombuffer(content, dtype=out.dtype).reshape(out.shape)
        return reply

    def end(self) -> None:
        """Close the input of the worker, and wait up to 5 s for it to end before it is killed."""
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ending(self) -> str:
        """Return in words how the worker ended."""
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _end(workers: "Sequence[_Worker]") -> None:
    """End workers by closing their input."""
    for worker in workers:
        worker.end()


def answer() -> None:
    """Decode the files that the standard input names, until it ends: the whole work of a worker."""
    to, back = sys.stdout.buffer, sys.stdin.buffer
    to.write(b"ready\n")
    to.flush()
    for line in back:
        told = json.loads(line)
        shape, dtype, mode = told["like"]
        like = Picture(tuple(shape), dtype, mode)
        recipe = PictureRecipe(told["convert"], told["resize"] and tuple(told["resize"]))
        pixels = np.empty((len(told["files"]), *like.shape), dtype=dtype)
        reply: dict[str, Any] = {}
        try:
            for i, name in enumerate(told["files"]):
                found, mode = load_picture(Path(name), recipe)
                if Picture.of(found, mode) != like:
                    reply = {"other": i, "like": Picture.of(found, mode)}
                    break
                pixels[i] = found
        except DataError as error:
            reply = {"error": str(error)}
        to.write(json.dumps(reply).encode() + b"\n")
        if not reply:
            to.write(pixels.data)
        to.flush()


def _processors() -> int:
    """Return the number of processors that this process may use, and at most eight."""
    counted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(counted, _MOST_WORKERS)
