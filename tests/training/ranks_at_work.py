"""Real processes that form a process group on this machine, started from one that has torch already."""

import datetime
import os
import pickle
import socket
import traceback
import warnings
from typing import Any

import torch

from warm_processes import context_of_forks


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def launch(task, size, *arguments, seconds=120) -> list[Any]:
    """Run ``task(rank, *arguments)`` in so many ranks; give what each returned, or the error it ended with."""
    processes, ends = start(task, size, *arguments)
    found = [answer(end, seconds) for end in ends]
    for process in processes:
        process.join(seconds)
        process.kill()
    return found


def answer(end, seconds):
    """What a rank returned."""
    try:
        return pickle.loads(end.recv_bytes()) if end.poll(seconds) else "no answer"
    except EOFError:
        return "killed"


def start(task, size, *arguments):
    """Start the ranks; give the processes and the pipes that their results come through."""
    context = context_of_forks()
    port, processes, ends = free_port(), [], []
    for rank in range(size):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_in_rank, args=(task, rank, size, port, theirs, arguments), daemon=True
        )
        process.start()
        theirs.close()
        processes.append(process)
        ends.append(ours)
    return processes, ends


def _in_rank(task, rank, size, port, end, arguments):
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    os.environ |= {"VAEKIT_TIMEOUT": "20"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.distributed.init_process_group(
                "gloo",
                init_method=f"tcp://127.0.0.1:{port}",
                rank=rank,
                world_size=size,
                timeout=datetime.timedelta(seconds=60),
            )
        end.send_bytes(pickle.dumps(task(rank, *arguments)))
        assert torch.distributed.is_initialized()  # it is not ours to destroy
    except BaseException as error:
        end.send_bytes(pickle.dumps(f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
