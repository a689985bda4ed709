"""Limits on a student's code, inside the child process: memory, time, files and sockets.

A seat belt for homework, not a sandbox for enemies. It stops what a program does by mistake or out of habit
(downloads a data set, saves figures, trains for an hour) and says so; code that means to get round it can.
"""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["StoppedError", "limit", "watch"]

OPENING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
CHANGES = {
    "os.remove": "remove",
    "os.rename": "rename",
    "os.rmdir": "remove",
    "os.mkdir": "make",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "truncate",
    "os.chmod": "change the mode of",
    "os.chown": "change the owner of",
    "shutil.rmtree": "remove",
    "shutil.move": "move",
}
REACHING = {  # event: which of its arguments says where
    "socket.connect": 1,
    "socket.bind": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "urllib.Request": 0,
}
PROCESSES = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "pty.spawn",
)


class StoppedError(PermissionError):
    """What a student's code gets in place of the file, the socket or the process it asked for."""


def limit(memory: int, seconds: float) -> None:
    """Bound the memory this process may yet take (bytes), its processor time (seconds), and its files.

    What is mapped already, the libraries, does not count. Where a system knows no bound there is none.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    bounds = {
        resource.RLIMIT_AS: memory + _mapped(),
        resource.RLIMIT_CPU: resource.getrusage(resource.RUSAGE_SELF).ru_utime + seconds + 30,
        resource.RLIMIT_FSIZE: 64 * 2**20,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        lower = int(bound) if hard == resource.RLIM_INFINITY else min(int(bound), hard)
        with contextlib.suppress(OSError, ValueError):  # macOS refuses a bound on the address space
            resource.setrlimit(kind, (lower, lower))


def _mapped() -> int:
    """Give the size of this process's address space in bytes, where the system tells; else 0."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def watch(folder: str, student: str, say: Callable[[str, str, int | None], None]) -> None:
    """Stop file changes outside ``folder``, sockets and processes from now on; ``say(code, message, line)``.

    What an import does on the student's behalf (a library that probes for IPv6, a font cache) is stopped in
    silence.
    """
    root = os.path.realpath(folder)

    def outside(path: Any) -> bool:
        if isinstance(path, int):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return not (real == root or real.startswith(root + os.sep) or real in ("/dev/null", "/dev/tty"))

    def stop(code: str, message: str) -> None:
        frames = traceback.extract_stack()
        lines = [frame.lineno for frame in frames if frame.filename == student]
        own = [i for i, frame in enumerate(frames) if frame.filename == student]
        importing = own and any("importlib" in frame.filename for frame in frames[own[-1] :])
        if own and not importing:
            say(code, message, lines[-1])
        raise StoppedError(f"stopped by the checker: {message}")

    def hook(event: str, arguments: Any) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and any(c in mode for c in "wax+")) or (flags or 0) & OPENING
            if writes and path is not None and outside(path):
                stop("wrote-file", f"it opens {os.fsdecode(path)} for writing")
        elif event in CHANGES:
            paths = [path for path in arguments[:2] if isinstance(path, str | bytes | os.PathLike)]
            changed = next((path for path in paths if outside(path)), None)
            if changed is not None:
                stop("wrote-file", f"it wants to {CHANGES[event]} {os.fsdecode(changed)}")
        elif event == "socket.__new__" and len(arguments) > 1 and int(arguments[1]) in (2, 10, 30):
            stop("opened-socket", "it opens a network socket")
        elif event in REACHING:
            stop("opened-socket", f"it wants to reach {arguments[REACHING[event]]}")
        elif event in PROCESSES:
            stop("started-process", f"it calls {event}")

    sys.addaudithook(hook)
