"""Cells of shell commands: run by the kernel, shown as they are typed in a terminal.

In a page, a cell whose lines begin with ``!`` holds commands. Its output is what a terminal would show of a
process that is not asked to draw progress bars; a command that fails, fails the page. On the built page each
``!`` is a ``$``.
"""

import os
from pathlib import Path

from docutils import nodes

STARTUP = '''
import contextlib, io, shlex, subprocess, sys

shell = get_ipython()


class CommandFailed(Exception):
    """Has said all there is to say on standard error."""


def in_process(arguments):
    """What the command does, without importing everything once more."""
    from vaekit.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code or 0
    return printed.getvalue(), status


def in_shell(command):
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout, done.returncode


def system(command):
    program, *arguments = shlex.split(command)
    alone = program == "vaekit" and "||" not in arguments
    text, status = in_process(arguments) if alone else in_shell(command)
    print(text, end="")
    if status:
        raise CommandFailed(f"`{command}` ended with status {status}: {text}")


shell.system = system
shell.set_custom_exc((CommandFailed,), lambda *_, **__: None)
shell.InteractiveTB.set_mode("Minimal")


def as_png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, bbox_inches="tight")
    return buffer.getvalue()


shell.display_formatter.formatters["image/png"].for_type_by_name("matplotlib.figure", "Figure", as_png)
'''
CONFIGURATION = "c.IPKernelApp.log_level = 50\n"


def setup(app):
    app.connect("builder-inited", write_startup)
    app.connect("doctree-read", as_typed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_startup(app):
    folder = Path(os.environ["IPYTHONDIR"], "profile_default", "startup")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "00-system.py").write_text(STARTUP)
    (folder.parent / "ipython_kernel_config.py").write_text(CONFIGURATION)


def as_typed(app, doctree):
    for block in doctree.findall(nodes.literal_block):
        text = block.astext()
        if text.startswith("!"):
            lines = ["$ " + line[1:] if line.startswith("!") else line for line in text.splitlines()]
            typed = nodes.literal_block("\n".join(lines), "\n".join(lines), language="console")
            typed["classes"] = block["classes"]
            block.replace_self(typed)
