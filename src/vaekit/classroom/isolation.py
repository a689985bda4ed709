"""Run a student's code in a process of its own, with limits on its time, memory, files and sockets.

The parent starts the process with `spawn`; inside it, `limit` and `watch` set the limits. They protect against
accidents: a program that downloads a data set, saves figures or trains for an hour is stopped, and the report says
so. They are no sandbox against malicious code, which can get round them.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vaekit

__all__ = ["StoppedError", "limit", "spawn", "watch"]

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
REACHING = {  # event: which of its arguments is the address
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


def spawn(job: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Run a job in a child process; return its events and how it ended.

    The end is "ended", "time LINE" (out of time at that line), "status N", or "failed: REASON".
    """
    with tempfile.TemporaryDirectory(prefix="vaekit-check-") as name:
        folder = Path(name)
        work, said, printed = folder / "work", folder / "said.jsonl", folder / "printed"
        work.mkdir()
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        with said.open("w") as pipe, printed.open("w") as output:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "vaekit.classroom.child",
                    str(folder / "job.json"),
                    str(pipe.fileno()),
                ],
                pass_fds=[pipe.fileno()],
                cwd=work,
                env=_environment(work),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                # The child stops itself in time; this is for one that cannot. Its start-up does not count.
                process.wait(timeout=job["time_limit"] + 60)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _kill_group(process)
        text = said.read_text(errors="replace")
        events = [json.loads(line) for line in text.splitlines() if line.startswith('{"event"')]
        if "Timeout (" in text or process.returncode == -signal.SIGKILL:
            lines = re.findall(r'File "<student>", line (\d+)', text)
            return events, f"time {lines[0] if lines else ''}"
        if not events:
            return events, f"failed: {' '.join(printed.read_text(errors='replace').splitlines()[-1:])}"
        return events, "ended" if process.returncode == 0 else f"status {process.returncode}"


def _environment(work: Path) -> dict[str, str]:
    """Return an environment with one thread, no screen, and all caches in the temporary folder."""
    package = str(Path(vaekit.__file__).resolve().parents[1])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    folders = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCH_HOME"), str(work))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **folders, **threads, "PYTHONPATH": path, "MPLBACKEND": "Agg"}


def _kill_group(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class StoppedError(PermissionError):
    """Raised in a student's code when it opens a file or a socket, or starts a process, that it may not."""


def limit(memory: int, seconds: float) -> None:
    """Limit the further memory (bytes), the processor time (seconds) and the size of files of this process.

    The libraries that are loaded already do not count. A system without such limits sets none.
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
    """Return the size of this process's address space in bytes, or 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def watch(folder: str, student: str, say: Callable[[str, str, int | None], None]) -> None:
    """From now on stop file changes outside ``folder``, sockets and new processes, and report each one.

    A stop is reported by ``say(code, message, line)``. Actions of a library while it is imported (a probe for IPv6,
    a font cache) are stopped without a report.
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
