"""The process that runs a student's code: ``python -m vaekit.classroom.child JOB.json DESCRIPTOR``.

It reports each event as one line of JSON on its own file descriptor. So the parent knows what was running when time
ran out, and what the student's code prints does no harm.
"""

import ast
import faulthandler
import json
import os
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from vaekit.classroom.calling import Callee, SignatureError, UncallableError
from vaekit.classroom.examine_divergence import examine_divergence
from vaekit.classroom.examine_loss import examine_loss
from vaekit.classroom.examine_sample import examine_sample
from vaekit.classroom.examine_terms import examine_kl, examine_reconstruction
from vaekit.classroom.findings import Finding, Verdict
from vaekit.classroom.isolation import StoppedError, limit, watch
from vaekit.classroom.student_file import definitions

STUDENT = "<student>"


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    pipe = os.fdopen(int(sys.argv[2]), "w", buffering=1)

    def say(event: str, **details: Any) -> None:
        pipe.write(json.dumps({"event": event, **details}) + "\n")
        pipe.flush()

    prepare(job)
    if "torch" in sys.modules:
        _save_through_python()
    limit(job["memory_limit"], job["time_limit"])
    warnings.simplefilter("ignore")
    sys.dont_write_bytecode = True
    sys.path.append(job["folder"])
    say("ready")
    # When time runs out, the stack with the student's line is written to the pipe, and the process ends.
    faulthandler.dump_traceback_later(job["time_limit"], exit=True, file=pipe)
    watch(
        os.getcwd(),
        STUDENT,
        lambda code, message, line: say("stopped", code=code, message=message, line=line),
    )
    work(job, say)


def prepare(job: dict[str, Any]) -> None:
    """Import the libraries before the clock starts, set double precision, and set the seeds."""
    if "torch" in job["code"]:
        import torch

        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        torch.manual_seed(0)
    import numpy as np

    np.random.seed(0)  # noqa: NPY002  the student's code may use the old generator


def _save_through_python() -> None:
    """Make ``torch.save`` open its file in Python, where `watch` sees it, and not in C++."""
    import torch

    original = torch.save

    def save(obj: Any, f: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(f, str | os.PathLike):
            with open(f, "wb") as file:
                original(obj, file, *arguments, **options)
        else:
            original(obj, f, *arguments, **options)

    torch.save = torch.serialization.save = save


def work(job: dict[str, Any], say: Callable[..., None]) -> None:
    """Load the file and examine its functions, reporting each event by ``say``."""
    module = _load(job, say)
    if module is None:
        return
    for role, name in job["roles"].items():
        say("function", role=role, name=name)
        try:
            verdict = _examine(role, name, module, job)
        except StoppedError:
            continue
        except SignatureError as error:
            say("verdict", role=role, style={}, findings=[_not_checked(str(error))])
        except UncallableError as error:
            if "." in name and "has no attribute" in str(error):  # a method that needs a whole object
                say("verdict", role=role, style={}, findings=[_not_checked(str(error))])
                continue
            say("raised", role=role, message=str(error), line=_line_of(error))
        except MemoryError:
            say("memory", role=role)
        except (Exception, SystemExit) as error:
            say("raised", role=role, message=f"{type(error).__name__}: {error}", line=_line_of(error))
        else:
            say("verdict", role=role, style=verdict.style, findings=[asdict(f) for f in verdict.findings])
    say("done")


def _not_checked(reason: str) -> dict[str, Any]:
    return asdict(Finding("not-checked", f"{reason}; map a function of these alone", severity="note"))


def _examine(role: str, name: str, module: types.ModuleType, job: dict[str, Any]) -> Verdict:
    callee = Callee.of(role, name, module)
    if role == "sample_z":
        return examine_sample(callee)
    if role == "kl_loss":
        return examine_kl(callee)
    if role == "recon_loss":
        return examine_reconstruction(callee, job["decoder"])
    if role == "vae_loss":
        return examine_loss(callee, job["decoder"])
    return examine_divergence(callee)


def _load(job: dict[str, Any], say: Callable[..., None]) -> types.ModuleType | None:
    """Run the file statement by statement: all of it, or only its definitions."""
    module = types.ModuleType("student")
    module.__file__ = job["path"]
    sys.modules["student"] = module
    tree = ast.parse(job["code"])
    run = tree.body if job["whole"] else definitions(tree)[0]
    for statement in run:
        say("statement", line=statement.lineno)
        try:
            code = compile(ast.Module([statement], type_ignores=[]), STUDENT, "exec")
            exec(code, module.__dict__)
        except StoppedError:
            if job["whole"]:
                return None
        except MemoryError:
            say("memory", role=None, line=statement.lineno)
            return None
        except (Exception, SystemExit) as error:
            message = f"{type(error).__name__}: {error}"
            say("statement-raised", message=message, line=_line_of(error) or statement.lineno)
            if job["whole"]:
                return None
    return module


def _line_of(error: BaseException | None) -> int | None:
    """Return the student's line in the traceback of an error or of its cause, or None."""
    line = None
    while error is not None:
        frame = error.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_filename == STUDENT:
                line = frame.tb_lineno
            frame = frame.tb_next
        error = error.__cause__
    return line


if __name__ == "__main__":
    main()
