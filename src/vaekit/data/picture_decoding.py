"""Pictures to arrays, decoded by worker processes where there are many.

A worker runs :func:`answer` in a process of its own: it is told names of files, a line of JSON at a time on its
standard input, and answers with a line of JSON and the bytes of one array. It runs no code of a user and draws no
numbers, so that what is decoded does not depend on how many there are. It ends when its input does.
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
from vaekit.data.pictures import load_picture
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
    """What all pictures of a folder have in common."""

    shape: tuple[int, ...]
    dtype: str
    mode: str

    @classmethod
    def of(cls, pixels: np.ndarray, mode: str) -> "Picture":
        """What a picture is like."""
        return cls(pixels.shape, pixels.dtype.str, mode)

    def __str__(self) -> str:
        return f"{self.shape[1]}x{self.shape[2]} (height x width) {_MODES.get(self.mode, self.mode)}"


class Decoder:
    """Decodes files of one folder, all of which are to be like the first.

    Parameters
    ----------
    folder : Path
        Of the files.
    first : str
        The file that the others are held against, for messages.
    like : Picture
        What it is like.
    workers : int, optional
        How many processes; by default one for each processor that this process may use, and at most 8. None are started
        for one, or for few files.
    """

    def __init__(self, folder: Path, first: str, like: Picture, *, workers: int | None = None) -> None:
        self._folder, self._first, self.like = folder, first, like
        self._wanted = _processors() if workers is None else workers
        self._workers: list[_Worker] | None = None
        self._pool: ThreadPoolExecutor | None = None

    def decode(self, files: Sequence[str], out: np.ndarray, *, many: bool = True) -> None:
        """Decode files, named relative to the folder, into an array of so many pictures.

        ``many`` says whether these are some of many, so that workers are worth starting.

        Raises
        ------
        DataError
            For a file that is no picture, is damaged, or is not like the first; for a worker that died.
        """
        parts = [slice(i, i + _FILES_AT_ONCE) for i in range(0, len(files), _FILES_AT_ONCE)]
        workers = self._started() if many or len(files) >= _WORTH_WORKERS else []
        if not workers:
            for i, name in enumerate(files):
                found, mode = load_picture(self._folder / name)
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
        told = {"files": [str(self._folder / name) for name in files], "like": self.like}
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
                "one size and mode: resize or convert them first"
            )

    def _started(self) -> "list[_Worker]":
        """The workers, started; none where they are not wanted or cannot be started."""
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
    """A process that decodes; it is asked by one thread at a time."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from vaekit.data.picture_decoding import answer; answer()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for who asks
        )
        self._lock = threading.Lock()

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.process.stdin is None or self.process.stdout is None:
            raise DataError("a worker process without pipes")
        return self.process.stdin, self.process.stdout

    def is_ready(self) -> bool:
        """Whether it has begun."""
        return self._pipes[1].readline() == b"ready\n"

    def ask(self, told: dict[str, Any], out: np.ndarray) -> dict[str, Any] | None:
        """Have files decoded into an array; None where the worker is gone."""
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
        """Close its input, and wait for it a moment."""
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ending(self) -> str:
        """How it ended, in words."""
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "it does not answer"
        return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _end(workers: "Sequence[_Worker]") -> None:
    """Let workers end, for their input does."""
    for worker in workers:
        worker.end()


def answer() -> None:
    """Decode what is asked for until the input ends: the worker's side."""
    to, back = sys.stdout.buffer, sys.stdin.buffer
    to.write(b"ready\n")
    to.flush()
    for line in back:
        told = json.loads(line)
        shape, dtype, mode = told["like"]
        like = Picture(tuple(shape), dtype, mode)
        pixels = np.empty((len(told["files"]), *like.shape), dtype=dtype)
        reply: dict[str, Any] = {}
        try:
            for i, name in enumerate(told["files"]):
                found, mode = load_picture(Path(name))
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
    """How many processors this process may use, and at most eight."""
    counted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(counted, _MOST_WORKERS)
