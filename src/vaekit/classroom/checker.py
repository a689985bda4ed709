"""Check the functions of a student's file in a separate process, and report the mistakes.

A .py file is run as an import runs it. If its top level fails or has to be stopped, and for a notebook always, only
its definitions are run: see `vaekit.classroom.student_file`. The functions are then called with chosen numbers, with
limits on time and memory and without files or sockets. This protects against accidents, not against malicious code:
see `vaekit.classroom.isolation`.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaekit.classroom.findings import CheckReport, Finding, FunctionReport
from vaekit.classroom.isolation import spawn
from vaekit.classroom.roles import ROLES, find_roles
from vaekit.classroom.student_file import (
    Source,
    arity,
    decoder_output,
    function_names,
    mapping_in,
    names_in,
    read_source,
    to_be_done,
)
from vaekit.errors import UsageError

__all__ = ["check_file"]


def check_file(
    path: str | Path,
    mapping: Mapping[str, str] | None = None,
    *,
    time_limit: float = 20.0,
    memory_limit: int = 4 * 2**30,
) -> CheckReport:
    """Check the functions of a variational autoencoder in a file, and name the mistakes.

    Parameters
    ----------
    path
        A .py file or an .ipynb notebook.
    mapping
        The file's names for ``sample_z``, ``kl_loss``, ``recon_loss``, ``vae_loss`` and ``kl_gaussians``, where they
        are not the usual ones; a method is ``Class.method``. A comment in the file, ``# vaekit: kl_loss = my_kl``,
        does the same; the argument has precedence.
    time_limit
        Seconds for running the file, and again for checking each function.
    memory_limit
        Bytes that the code may use, not counting the libraries it is checked with.

    Raises
    ------
    UsageError
        If the mapping names something that is not checked, or a limit is not positive.
    DataError
        If the file cannot be read, or is not a notebook.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "homework.py"
    ...     _ = file.write_text('''
    ... import numpy as np
    ... def kl_loss(mu, log_var):
    ...     return np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)
    ... ''')
    ...     report = check_file(file)
    >>> report.ok, report.mistakes
    (False, ('missing-half',))
    """
    if not time_limit > 0 or not memory_limit > 0:
        raise UsageError(f"limits must be positive, got {time_limit} seconds and {memory_limit} bytes")
    source = read_source(path)
    mapping = {**mapping_in(source.code), **(mapping or {})}
    unknown = [role for role in mapping if role not in ROLES]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not checked; map one of {', '.join(ROLES)}")
    try:
        tree = ast.parse(source.code)
    except (SyntaxError, ValueError) as error:
        return _unparsable(path, source, error)
    return _Check(source, tree, dict(mapping), time_limit, memory_limit).run()


def _unparsable(path: str | Path, source: Source, error: SyntaxError | ValueError) -> CheckReport:
    line = getattr(error, "lineno", None) or 1
    shown = (source.code.splitlines() or [""])[min(line, source.code.count("\n") + 1) - 1 :][:1]
    text = f"{getattr(error, 'msg', error)}:\n    {''.join(shown).strip()}"
    finding = Finding("syntax-error", text, where=source.where(line))
    return CheckReport(str(path), (), tuple(ROLES), (), (finding,))


class _Check:
    """One run of the checker: it starts child processes until every function is checked or given up."""

    def __init__(
        self, source: Source, tree: ast.Module, mapping: dict[str, str], time_limit: float, memory_limit: int
    ) -> None:
        self.source = source
        self.tree = tree
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self.lines = function_names(tree)
        self.whole = not source.is_notebook
        self.findings: list[Finding] = []
        self.verdicts: dict[str, dict[str, Any]] = {}
        found = find_roles(arity(tree), mapping)
        self.absent = {role: name for role, name in found.items() if name not in self.lines}
        self.roles = {role: name for role, name in found.items() if role not in self.absent}

    def run(self) -> CheckReport:
        names = ", ".join(self.lines) or "none"
        for role, name in self.absent.items():
            text = f"the mapping names {name}; functions found: {names}"
            self.findings.append(Finding("missing-function", text, function=role))
        if not self.roles and not self.absent:
            text = f"functions found: {names}; map yours, for example kl_loss=my_kl"
            self.findings.append(Finding("nothing-to-check", text))
        waiting = dict(self.roles)
        for role, name in self.roles.items():
            if task := to_be_done(self.tree, name):
                self._add("not-done", task, self.lines[name], role, "unfinished")
                del waiting[role]
        while self._child(waiting):
            pass
        self._compare()
        functions = tuple(self._function(role, name) for role, name in self.roles.items())
        missing = tuple(role for role in ROLES if role not in self.roles)
        order = [None, *ROLES]
        self.findings.sort(key=lambda finding: (finding.severity == "note", order.index(finding.function)))
        path = str(self.source.path)
        return CheckReport(path, functions, missing, tuple(self.lines), tuple(self.findings))

    def _function(self, role: str, name: str) -> FunctionReport:
        wrong = any(f.function == role and f.severity == "mistake" for f in self.findings)
        verdict = self.verdicts.get(role)
        style = {
            key: value for key, value in (verdict or {"style": {}})["style"].items() if key != "parameter"
        }
        unchecked = verdict is None or any(f["code"] == "not-checked" for f in verdict["findings"])
        undone = any(f.function == role and f.code == "not-done" for f in self.findings)
        status = "not done yet" if undone else "wrong" if wrong else "not checked" if unchecked else "right"
        return FunctionReport(role, name, self.source.where(self.lines[name]), status, style)

    # The child processes.

    def _child(self, waiting: dict[str, str]) -> bool:
        """Check the waiting functions in one child process; return whether another is needed for the rest."""
        events, ended = spawn(self._job(waiting))
        running: dict[str, Any] = {"event": "start"}
        finished = False
        for event in events:
            kind = event["event"]
            if kind in ("statement", "function"):
                running = event
                if kind == "function":
                    waiting.pop(event["role"], None)
            elif kind == "verdict":
                self._verdict(event)
            elif kind in ("stopped", "raised", "memory"):
                self._stopped(event, running)
            elif kind == "statement-raised" and self.whole:
                text = f"{event['message']}: the rest of the top level was not run"
                self._add("definitions-only", text, event["line"], None, "note")
            elif kind == "done":
                finished = True
        if finished:
            return False
        loading = running["event"] != "function"
        if ended != "ended":
            self._ended(ended, running)
        if loading and self.whole:
            self.whole = False  # again, with the definitions only
            return True
        return not loading and bool(waiting)

    def _job(self, waiting: dict[str, str]) -> dict[str, Any]:
        return {
            "code": self.source.code,
            "path": str(self.source.path),
            "folder": str(self.source.path.resolve().parent),
            "roles": dict(waiting),
            "whole": self.whole,
            "decoder": decoder_output(self.tree),
            "time_limit": self.time_limit,
            "memory_limit": self.memory_limit,
        }

    def _verdict(self, event: dict[str, Any]) -> None:
        self.verdicts[event["role"]] = event
        where = self.source.where(self.lines[self.roles[event["role"]]])
        for found in event["findings"]:
            details: dict[str, Any] = {**found, "function": event["role"], "where": where}
            self.findings.append(Finding(**details))

    def _stopped(self, event: dict[str, Any], running: dict[str, Any]) -> None:
        role = running.get("role")
        line = event.get("line") or running.get("line") or (self.lines[self.roles[role]] if role else None)
        if event["event"] == "stopped":
            self._add(event["code"], event["message"], line, role, "stopped")
        elif event["event"] == "memory":
            text = f"it asked for more than {self.memory_limit / 2**30:.3g} GiB"
            self._add("memory-limit", text, line, role, "stopped")
        elif event["message"].startswith("NotImplementedError: "):
            task = event["message"].removeprefix("NotImplementedError: ")
            self._add("not-done", task, line, role, "unfinished")
        else:
            self._add("raised", event["message"], line, role, "mistake")

    def _ended(self, ended: str, running: dict[str, Any]) -> None:
        role = running.get("role")
        line = running.get("line") or (self.lines[self.roles[role]] if role else None)
        if ended.startswith("time"):
            stack = ended.removeprefix("time").strip()
            text = f"it was still running after {self.time_limit:g} seconds"
            if role is None:
                text += "; put what trains or plots under if __name__ == '__main__':"
            self._add("time-limit", text, int(stack) if stack else line, role, "stopped")
        elif running["event"] == "start":
            text = (
                f"the checking process did not start ({ended}); is the memory limit too low for its imports?"
            )
            self._add("memory-limit", text, None, None, "stopped")
        else:
            self._add("ended-process", f"the process ended with {ended}", line, role, "stopped")

    def _add(self, code: str, message: str, line: int | None, role: str | None, severity: Any) -> None:
        where = self.source.where(line) if line else None
        finding = Finding(code, message, severity, role, where)
        if finding not in self.findings:
            self.findings.append(finding)

    # Mistakes that show only when several functions are compared.

    def _compare(self) -> None:
        styles = {role: verdict["style"] for role, verdict in self.verdicts.items()}
        whole = self.verdicts.get("vae_loss")
        if whole and whole["style"] and not any(f["severity"] == "mistake" for f in whole["findings"]):
            # The loss is right as a whole, so the functions it calls may leave these things to it.
            called = names_in(self.tree, self.roles["vae_loss"])
            parts = [
                r for r in ("kl_loss", "recon_loss") if self.roles.get(r, "").rsplit(".", 1)[-1] in called
            ]
            left = ("mean-for-sum", "batch-reductions-differ", "sign", "weighted")
            self.findings = [f for f in self.findings if not (f.code in left and f.function in parts)]
        elif "vae_loss" not in self.verdicts:
            self._compare_reductions(styles)
        told = {
            f.code for f in self.findings if f.function in ("kl_loss", "recon_loss") and f.severity != "note"
        }
        told -= {"not-done"}
        self.findings = [
            f for f in self.findings if f.function != "vae_loss" or f.code not in told or f.severity == "note"
        ]
        self._compare_spreads(styles)

    def _compare_reductions(self, styles: dict[str, dict[str, Any]]) -> None:
        means = {"mean over the batch": True, "summed over the batch": False}
        kl, recon = (
            means.get(styles.get(role, {}).get("reduction", "")) for role in ("kl_loss", "recon_loss")
        )
        if kl is None or recon is None or kl == recon:
            return
        text = (
            f"recon_loss is {'averaged' if recon else 'summed'} over the batch and kl_loss "
            f"{'averaged' if kl else 'summed'}: added, they are a beta-VAE with beta = {'1/B' if kl else 'B'} "
            "for batches of B examples; reduce both in the same way"
        )
        where = self.source.where(self.lines[self.roles["kl_loss"]])
        self.findings.append(Finding("batch-reductions-differ", text, function="kl_loss", where=where))

    def _compare_spreads(self, styles: dict[str, dict[str, Any]]) -> None:
        sample, kl = (styles.get(role, {}) for role in ("sample_z", "kl_loss"))
        if not sample.get("spread") or not kl.get("spread") or sample["spread"] == kl["spread"]:
            return
        same = sample.get("parameter") == kl.get("parameter")
        known = {f.function for f in self.findings if f.code == "spread-mixed-up"}
        if not same or known:
            return
        text = (
            f"sample_z takes {sample['parameter']} for a {sample['spread']}, kl_loss takes {kl['parameter']} "
            f"for a {kl['spread']}: one encoder output cannot be both"
        )
        where = self.source.where(self.lines[self.roles["kl_loss"]])
        self.findings.append(Finding("spread-mixed-up", text, function="kl_loss", where=where))
