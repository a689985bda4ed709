"""The command line: results on stdout, progress and messages on stderr, one exit status for each ending.

0 done, 1 failed, 2 usage, 3 bad data, 4 training diverged, 130 interrupted. Arguments are parsed before torch
is imported, so that ``--help`` and mistakes are answered at once. A verb parses, calls one function of another room,
and prints its result.
"""

import os
import re
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from vaekit.cli.parser import parse_arguments
from vaekit.errors import DataWarning, TrainingWarning, VaekitError

__all__ = ["main"]

# Errors name the arguments of Python's functions; here the same advice names flags.
_IN_FLAGS = (
    (re.compile(r"^(validation|samples|sentences|split|rows)=(\S+)(?=:)"), r"--\1 \2"),
    (re.compile(r"^false_alarm_rate=(\S+)(?=:| needs)"), r"--false-alarm-rate \1"),
    (re.compile(r"^(reasons|members|seed|draws|interval|steps|port)=(\S+)(?=:)"), r"--\1 \2"),
    (re.compile(r"^checkpoint_minutes=(\S+)(?=:)"), r"--checkpoint-minutes \1"),
    (re.compile(r"^batch_size=(\S+)(?=: there are)"), r"--batch-size \1"),
    (re.compile(r"^n_samples=(\S+)(?=:)"), r"-n \1"),
    (re.compile(r"\b(force|resume|shard|report)=True\b"), r"--\1"),
    (re.compile(r"\bkeep_missing=True\b"), "--keep-missing"),
    (re.compile(r"\bformat='(onnx|torch)'"), r"--format \1"),
    (re.compile(r"\bfit_and_prove label="), "label="),
    (re.compile(r"\bcolumns=\{'(\S+)': '(\w[\w-]*)'\}"), r"--column \1=\2"),
    (re.compile(r"\bdata_dir=FOLDER\b"), "--data-dir FOLDER"),
    (re.compile(r"^(given|target)='([^']* [^']*)'(?=:)"), r"--\1 '\2'"),
    (re.compile(r"\b(label|given|unique|target)='(\S+)'"), r"--\1 \2"),
    (re.compile(r"\b(label|given)=(?=['\"]|NAME)"), r"--\1 "),
    (re.compile(r"\bfit with (likelihood|objective)=(?=\w)"), r"fit with --\1 "),
    (re.compile(r"\bmethod='(\w+)'"), r"--method \1"),
    (
        re.compile(r"\bnetwork=mlp:hidden=none and prior=standard\b"),
        "--network mlp:hidden=none and --prior standard",
    ),
    (re.compile(r"\bresize=\(height, width\)"), "--resize HEIGHTxWIDTH"),
    (re.compile(r"\bconvert='rgb' or 'grey'"), "--convert rgb or grey"),
    (re.compile(r"\bsplit=all\b"), "--split all"),
    (re.compile(r"\bleave split out\b"), "leave --split out"),
    (re.compile(r"\bchoose another path\b"), "choose another --output"),
    (re.compile(r"\bchoose another save\b"), "choose another --save"),
    (re.compile(r"^save (is for|keeps)\b"), r"--save \1"),
    (re.compile(r"\btake out a column\b"), "give --label for a column"),
    (re.compile(r"^unique(?= is of the fit)"), "--unique"),
    (re.compile(r"^keep_missing(?= is of the fit)"), "--keep-missing"),
    (re.compile(r"^missing_values(?= is of the fit)"), "--missing-values"),
    (re.compile(r"^missing_values and steps(?= are of the fit)"), "--missing-values and --steps"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb of the command line and return the exit status.

    Parameters
    ----------
    arguments
        Without the program's name; None for those the process was started with.
    """
    try:
        verb = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        with _warnings_in_a_line():
            return verb.run()
    except VaekitError as error:
        print(f"vaekit: {_in_flags(_one_line(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("vaekit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone (`vaekit ... | head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError) as error:
        print(f"vaekit: {_one_line(error) or type(error).__name__}", file=sys.stderr)
        return 1


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _in_flags(message: str) -> str:
    for pattern, flag in _IN_FLAGS:
        message = pattern.sub(flag, message)
    return message


@contextmanager
def _warnings_in_a_line() -> Generator[None]:
    """Print each of vaekit's own warnings about data and training in one line on stderr."""
    ours = (DataWarning, TrainingWarning)
    with warnings.catch_warnings():
        for category in ours:
            warnings.simplefilter("always", category)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, ours):
                print(f"vaekit: warning: {_in_flags(' '.join(str(message).split()))}", file=sys.stderr)
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield
