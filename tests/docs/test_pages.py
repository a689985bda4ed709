"""The pages: every public name is in the reference, every command line parses, every link leads somewhere."""

import ast
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = {DOCS / "reference" / "index.md", DOCS / "benchmarks" / "index.md"}

pytest.importorskip("sphinx", reason="the documentation's tools are not installed")


def pages() -> list[Path]:
    """What people wrote: the pages, the README and its neighbours."""
    written = [p for p in DOCS.rglob("*.md") if "_build" not in p.parts]
    written = [p for p in written if p.parent.name not in ("reference", "benchmarks") or p in GENERATED]
    return sorted([*written, *ROOT.glob("*.md")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ------------------------------------------------------------------------------------------ the reference


@pytest.fixture(scope="module")
def inventory(tmp_path_factory) -> dict[str, dict[str, str]]:
    """Page and anchor of every documented thing by kind and name, from a build of the reference alone.

    The build is one long page, which leaves out the pages of source code; it runs none of the pages' code, and takes
    warnings as errors.
    """
    folder = tmp_path_factory.mktemp("reference")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--builder",
        "singlehtml",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
    ]
    settings = ["root_doc=reference/index", "nb_execution_mode=off", "html_use_index=0"]
    settings += [
        "exclude_patterns="
        + ",".join(["_build", "extensions", "*.md", "how-to", "explanation", "benchmarks", "tutorials"])
    ]
    for setting in settings:
        command += ["--define", setting]
    done = subprocess.run(
        [*command, "--doctree-dir", folder / "doctrees", DOCS, folder / "html"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    from sphinx.util.inventory import InventoryFile

    found: dict[str, dict[str, str]] = {}
    for kind, items in InventoryFile.loads(
        (folder / "html" / "objects.inv").read_bytes(), uri=""
    ).data.items():
        found[kind] = {name: item.uri for name, item in items.items()}
    return found


def packages() -> list[str]:
    source = ROOT / "src"
    found = [p.parent.relative_to(source) for p in (source / "vaekit").rglob("__init__.py")]
    return sorted(".".join(path.parts) for path in found)


def test_every_public_name_is_in_the_reference(inventory):
    documented = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    missing = []
    for package in packages():
        loaded = import_module(package)
        for name in getattr(loaded, "__all__", ()):
            thing = getattr(loaded, name)
            room = ".".join((getattr(thing, "__module__", None) or package).split(".")[:2])
            others = [import_module(place) for place in ("vaekit", room) if place.startswith("vaekit")]
            homes = [other.__name__ for other in others if getattr(other, name, None) is thing]
            at = [f"{home}.{name}" for home in (*homes[:1], package)]  # a name is on one page
            if not set(at) & documented and name != "__version__":
                missing.append(f"{package}.{name}")
    assert not missing
    assert "vaekit.__version__" in documented
    assert {"vaekit.VAE.encode", "vaekit.sentence.parse", "vaekit.artifact.read_artifact"} <= documented


def test_every_verb_has_its_help_in_the_reference(inventory):
    from vaekit.cli.parser import verb_names

    assert {"fit", "score", "info"} <= set(verb_names())
    page = (DOCS / "reference" / "command-line.rst").read_text()
    for verb in verb_names():
        assert f"usage: vaekit {verb} " in page


# --------------------------------------------------------------------------------------- the command line


def command_lines() -> list[tuple[str, str]]:
    """Every ``vaekit ...`` that stands alone on a line of a code block, or between back quotes."""
    found = []
    for page in pages():
        text = page.read_text()
        inside = [
            line
            for block in re.findall(r"^ *```.*?\n(.*?)^ *```", text, re.M | re.S)
            for line in block.split("\n")
        ]
        inside += re.findall(r"^    (.*)$", text, re.M)
        candidates = [re.sub(r"\s+(#|\|\|).*", "", line.strip().lstrip("!$ ")) for line in inside]
        candidates += [span.replace("\n", " ") for span in re.findall(r"`(vaekit [^`]+)`", text)]
        found += [(name_of(page), line) for line in candidates if line.startswith("vaekit ")]
    return sorted(set(found))


def completed(line: str) -> list[str]:
    """The arguments; of a mention such as `vaekit evaluate`, only the verb is looked at."""
    return shlex.split(line)[1:]


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_every_command_line_parses(page, line, capsys):
    from vaekit.cli.parser import parse_arguments, verb_names

    arguments = completed(line)
    if arguments in (["--help"], ["--version"]):
        return
    assert arguments[0] in verb_names(), f"{page}: there is no verb {arguments[0]}"
    if len(arguments) == 1:
        return
    try:
        parse_arguments(arguments)
    except SystemExit:
        pytest.fail(f"{page}: {line}\n{capsys.readouterr().err}")


def test_command_lines_are_found():
    pages_with_commands = {page for page, _ in command_lines()}
    assert {"README.md", "docs/tutorial.md", "docs/how-to/csv.md"} <= pages_with_commands
    assert len(command_lines()) > 20


# ------------------------------------------------------------------------------------------- code and links


@pytest.mark.parametrize("page", [p for p in pages() if "{code-cell}" in p.read_text()], ids=name_of)
def test_cells_are_python_or_commands(page):
    """A cell that cannot be parsed would fail the build minutes later."""
    for cell in re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", page.read_text(), re.M | re.S):
        lines = [line for line in cell.split("\n") if not line.startswith((":tags:", "!"))]
        ast.parse("\n".join(lines))


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_between_pages_resolve(page):
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve()
        assert found.exists(), f"{name_of(page)} links to {target}"
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), f"{name_of(page)} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("index.md")), ids=name_of)
def test_every_page_is_in_a_table_of_contents(page):
    if "_build" in page.parts or page in GENERATED:
        return  # those two take in whatever is there
    listed = set(re.findall(r"^([\w/-]+)$", page.read_text().split("```{toctree}")[1], re.M))
    beside = {str(p.relative_to(page.parent).with_suffix("")) for p in page.parent.glob("*.md")}
    assert beside - {"index"} <= listed
