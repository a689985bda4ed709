"""The checker from the door: bad files, code that must be stopped, notebooks, and the report."""

import json
from pathlib import Path

import pytest

from vaekit.classroom import CheckReport, check_file, render
from vaekit.errors import DataError, UsageError

KL = "def kl_loss(mu, log_var):\n    return 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var, axis=1)\n"


def check(folder: Path, code: str, **options) -> CheckReport:
    path = folder / "homework.py"
    path.write_text("import numpy as np\n" + code)
    return check_file(path, **options)


def notebook(folder: Path, *cells: str) -> Path:
    path = folder / "homework.ipynb"
    document = {
        "nbformat": 4,
        "cells": [
            {"cell_type": "markdown", "source": ["# VAE"]},
            *({"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells),
        ],
    }
    path.write_text(json.dumps(document))
    return path


def test_a_right_file(tmp_path: Path) -> None:
    report = check(tmp_path, KL)
    assert report.ok
    assert report.functions[0].where == "line 2"
    text = render(report)
    assert "homework.py: no mistakes found" in text
    assert "not in the file: sample_z, recon_loss, vae_loss, kl_gaussians (functions found: kl_loss)" in text
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


def test_a_torch_file_end_to_end(tmp_path: Path) -> None:
    report = check(
        tmp_path,
        "import torch\ndef sample_z(mu, log_var):\n    print('hello')\n"
        "    return mu + torch.exp(log_var / 2) * torch.randn(mu.shape[1])\n",
    )
    assert report.mistakes == ("noise-shared-by-batch",)


# Files that cannot be read.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ipynb", b"def f(): pass", "no JSON"),
        ("a.ipynb", b"[1, 2]", "no list of cells"),
        ("a.ipynb", b'{"cells": 3}', "no list of cells"),
        ("a.txt", b"x", "neither"),
        ("a.py", b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_files_that_are_no_code(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        check_file(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        check_file(tmp_path / "none.py")


def test_a_syntax_error_is_shown(tmp_path: Path) -> None:
    report = check(tmp_path, "def kl_loss(mu, log_var:\n    return 0\n")
    assert report.mistakes == ("syntax-error",)
    assert report.findings[0].where == "line 2"
    assert "def kl_loss(mu, log_var:" in report.findings[0].message


def test_missing_functions_are_listed_with_what_was_found(tmp_path: Path) -> None:
    report = check(tmp_path, "def train(): pass\nclass Net:\n    def forward(self, x): return x\n")
    assert report.mistakes == ("nothing-to-check",)
    assert "functions found: Net.forward, train" in report.findings[0].message
    report = check(tmp_path, KL, mapping={"sample_z": "my_sampler"})
    assert report.mistakes == ("missing-function",)
    assert "my_sampler; functions found: kl_loss" in report.findings[0].message
    assert [f.status for f in report.functions] == ["right"]


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'sampler' is not checked"):
        check(tmp_path, KL, mapping={"sampler": "f"})
    with pytest.raises(UsageError, match="positive"):
        check(tmp_path, KL, time_limit=0)


# Code that must be stopped.


def test_a_function_that_loops_for_ever(tmp_path: Path) -> None:
    code = KL + "def recon_loss(x_hat, x):\n    while True:\n        pass\n"
    report = check(tmp_path, code, time_limit=2)
    assert report.mistakes == ("time-limit",)
    assert report.findings[0].function == "recon_loss"
    assert report.findings[0].where in ("line 5", "line 6")
    assert {f.role: f.status for f in report.functions} == {"kl_loss": "right", "recon_loss": "not checked"}


def test_a_top_level_that_loops_for_ever(tmp_path: Path) -> None:
    report = check(tmp_path, KL + "while True:\n    pass\n", time_limit=2)
    assert report.mistakes == ("time-limit",)
    assert report.findings[0].where in ("line 4", "line 5")
    assert report.functions[0].status == "right"


@pytest.mark.parametrize("where", ["function", "top level"])
@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("open('{outside}', 'w').write('x')", "wrote-file"),
        ("__import__('pathlib').Path('{outside}').mkdir()", "wrote-file"),
        ("__import__('os').remove('{victim}')", "wrote-file"),
        ("np.save('{outside}', np.ones(3))", "wrote-file"),
        ("__import__('socket').gethostbyname('localhost')", "opened-socket"),
        ("__import__('socket').create_connection(('127.0.0.1', 9))", "opened-socket"),
        ("__import__('urllib.request').request.urlopen('http://127.0.0.1:9/')", "opened-socket"),
        ("__import__('os').system('touch {outside}')", "started-process"),
        ("__import__('subprocess').run(['touch', '{outside}'])", "started-process"),
        ("__import__('os').kill(__import__('os').getppid(), 9)", "started-process"),
    ],
)
def test_side_effects_are_stopped_and_said(tmp_path: Path, where: str, action: str, code: str) -> None:
    outside, victim = tmp_path / "outside.npy", tmp_path / "victim"
    victim.write_text("here")
    line = action.format(outside=outside, victim=victim)
    if where == "function":
        report = check(tmp_path, KL.replace("    return", f"    {line}\n    return"))
        assert report.findings[0].function == "kl_loss"
        assert report.functions[0].status == "not checked"
    else:
        report = check(tmp_path, f"{KL}{line}\n")
        assert report.functions[0].status == "right"
    assert report.mistakes == (code,)
    assert report.findings[0].severity == "stopped"
    assert report.findings[0].where in ("line 3", "line 4")
    assert not outside.exists()
    assert victim.read_text() == "here"


def test_torch_saves_are_seen(tmp_path: Path) -> None:
    body = f"    import torch; torch.save([1], '{tmp_path / 'outside'}')\n    return"
    assert check(tmp_path, KL.replace("    return", body)).mistakes == ("wrote-file",)
    assert not (tmp_path / "outside").exists()


def test_a_swallowed_stop_is_still_said(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    body = f"    try:\n        open('{outside}', 'w')\n    except Exception:\n        pass\n    return"
    report = check(tmp_path, KL.replace("    return", body))
    assert "wrote-file" in report.mistakes
    assert not outside.exists()


def test_its_own_folder_may_be_written(tmp_path: Path) -> None:
    code = KL + "open('figure.txt', 'w').write('x')\nopen('/dev/null', 'w').write('x')\n"
    assert check(tmp_path, code).ok
    assert [path.name for path in tmp_path.iterdir()] == ["homework.py"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("x = np.ones(10**10)", "memory-limit"),
        ("import os; os._exit(3)", "ended-process"),
        ("raise SystemExit(0)", "raised"),
        ("return undefined_name", "raised"),
        ("return mu @ log_var", "raised"),
        ("return 'text'", "wrong-shape"),
        ("kl = mu.sum()\n    return None", "wrong-shape"),
    ],
)
def test_functions_that_fail(tmp_path: Path, body: str, code: str) -> None:
    report = check(tmp_path, f"def kl_loss(mu, log_var):\n    {body}\n")
    assert report.mistakes == (code,), report.findings
    assert report.findings[0].function == "kl_loss"


def test_a_top_level_that_fails_leaves_its_definitions(tmp_path: Path) -> None:
    code = "import no_such_module\nfrom no_such_module import Base\nclass A(Base): pass\n" + KL
    report = check(tmp_path, code + "data = no_such_module.load()\n")
    assert report.ok
    assert report.findings[0].code == "definitions-only"
    assert "No module named 'no_such_module'" in report.findings[0].message
    assert report.functions[0].status == "right"


def test_the_main_guard_is_not_run(tmp_path: Path) -> None:
    assert check(tmp_path, KL + "if __name__ == '__main__':\n    raise RuntimeError\n").ok


def test_what_stands_beside_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helper_of_homework.py").write_text("HALF = 0.5\n")
    code = "from helper_of_homework import HALF\n" + KL.replace("0.5", "HALF")
    assert check(tmp_path, code).functions[0].status == "right"


# Notebooks.


def test_a_notebook(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        "%matplotlib inline\n!pip install torch\nimport numpy as np\nnp.random?\n",
        "%%bash\nrm -rf /\n",
        "k = 3\nhalf = 1 / 2\n" + KL.replace("0.5", "half").replace("- 1 ", ""),
        "for epoch in range(10**9):\n    train()\n",
        "losses = fit(model)\nfiles = !ls\nplt.plot(losses)\n",
    )
    report = check_file(path)
    assert report.mistakes == ("missing-k",)
    assert report.findings[0].where == "cell 4, line 3"


def test_a_syntax_error_in_a_notebook(tmp_path: Path) -> None:
    report = check_file(notebook(tmp_path, "import numpy as np", "x = 1\nfor in y:\n    pass"))
    assert report.mistakes == ("syntax-error",)
    assert report.findings[0].where == "cell 3, line 2"


def test_an_old_notebook(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    cell = {"cell_type": "code", "input": ["import numpy as np\n", *KL.splitlines(keepends=True)]}
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [{"cells": [cell]}]}))
    assert check_file(path).ok


# Exercises that are not filled in.


@pytest.mark.parametrize(
    "body",
    [
        "raise NotImplementedError('kl_loss: your turn')",
        "raise NotImplementedError",
        "'''The divergence.'''\n    ...",
        "pass",
        "kl = None  # your code\n    return kl",
        "kl = ...\n    return kl",
        "# TODO\n    return None",
        "return",
    ],
)
def test_a_template_is_not_done_yet_and_not_wrong(tmp_path: Path, body: str) -> None:
    report = check(tmp_path, f"def kl_loss(mu, log_var):\n    {body}\n")
    assert [(f.role, f.status) for f in report.functions] == [("kl_loss", "not done yet")]
    assert report.mistakes == ()
    assert not report.ok
    assert report.findings[0].severity == "unfinished"
    text = render(report)
    assert "homework.py: no mistakes found, 1 function not done yet" in text
    assert "wrong" not in text
    assert "mistake " not in text


def test_what_needs_a_template_is_not_done_either_and_the_rest_is_checked(tmp_path: Path) -> None:
    code = (
        KL.replace("0.5 * ", "") + "def recon_loss(x_hat, x):\n    raise NotImplementedError('your turn')\n"
    )
    code += "def vae_loss(x_hat, x, mu, log_var):\n    return recon_loss(x_hat, x) + kl_loss(mu, log_var)\n"
    report = check(tmp_path, code)
    assert {f.role: f.status for f in report.functions} == {
        "kl_loss": "wrong",
        "recon_loss": "not done yet",
        "vae_loss": "not done yet",
    }
    assert report.mistakes == ("missing-half",)
    assert "homework.py: 1 mistake, 2 functions not done yet" in render(report)
