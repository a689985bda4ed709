"""The command line: results on stdout, progress and messages on stderr, one exit status for each ending.

0 done, 1 failed, 2 usage, 3 bad data, 4 training diverged, 130 interrupted. Arguments are parsed before torch
is imported, so that ``--help`` and mistakes are answered at once.
"""

import os
import sys
from collections.abc import Sequence

from vaekit.cli.parser import parse_arguments
from vaekit.errors import VaekitError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb of the command line and return the exit status.

    Parameters
    ----------
    arguments
        Without the program's name; None for those the process was started with.
    """
    try:
        verb = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        return verb.run()
    except VaekitError as error:
        print(f"vaekit: {_one_line(error)}", file=sys.stderr)
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
