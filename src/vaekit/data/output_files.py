"""Where results go: a file that is written whole or not at all, or the standard output."""

import errno
import io
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from vaekit.errors import DataError

__all__ = ["is_standard_output", "output_ending", "write_atomically", "write_text"]

_STREAMED = (".csv", ".tsv", ".json")


def is_standard_output(path: "str | os.PathLike[str]") -> bool:
    """Return whether a path stands for the standard output: ``-``, or ``-.json`` to name a format.

    >>> is_standard_output("-"), is_standard_output("-.json"), is_standard_output("./-")
    (True, True, False)
    """
    return re.fullmatch(r"-(\.\w+)?", os.fspath(path)) is not None


def output_ending(path: "str | os.PathLike[str]") -> str:
    """Return the ending that says the format of an output, in lower case; on the standard output ``.csv`` by default.

    >>> output_ending("rows.TSV"), output_ending("-"), output_ending("-.json")
    ('.tsv', '.csv', '.json')
    """
    if is_standard_output(path):
        return os.fspath(path)[1:].lower() or ".csv"
    return Path(path).suffix.lower()


def write_atomically(path: Path, fill: "Callable[[IO[bytes]], Any]") -> None:
    """Write a file whole or not at all: ``fill`` writes a temporary file, which is synced and renamed.

    To the standard output it writes as it goes.

    Raises
    ------
    DataError
        Where the folder is missing or cannot be written, the disk is full, or ``path`` is a folder. The
        target is then as it was, and the temporary file is gone.
    """
    if is_standard_output(path):
        _write_to_standard_output(fill, streamed=output_ending(path) in _STREAMED)
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # not mkstemp, whose files only their owner may read
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {_reason(error, target)}") from error


def _write_to_standard_output(fill: "Callable[[IO[bytes]], Any]", *, streamed: bool) -> None:
    sys.stdout.flush()
    output: IO[bytes] | None = getattr(sys.stdout, "buffer", None)
    if streamed and output is not None:
        fill(output)
        output.flush()
        return
    whole = io.BytesIO()  # for formats whose writers go back in the file
    fill(whole)
    if output is None:  # a notebook's output takes only text
        sys.stdout.write(whole.getvalue().decode())
        return
    output.write(whole.getvalue())
    output.flush()


def write_text(path: "str | os.PathLike[str]", text: str) -> None:
    """Write text (a page, say) as `write_atomically` does."""
    write_atomically(Path(path).expanduser(), lambda file: file.write(text.encode()))


def _reason(error: OSError, target: Path) -> str:
    if error.errno == errno.ENOENT:
        return f"there is no folder {str(target.parent)!r}; make it first"
    if error.errno == errno.ENOTDIR:
        return f"{str(target.parent)!r} is not a folder"
    if error.errno == errno.EISDIR:
        return "it is a folder; name a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room or choose another place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder {str(target.parent)!r} may not be written to ({error.strerror})"
    return error.strerror or str(error)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a crash, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
