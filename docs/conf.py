"""Sphinx's settings. `make docs` builds the pages with warnings as errors, and needs no network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
SOURCE = ROOT / "src"

sys.path[:0] = [str(SOURCE), str(HERE / "extensions")]
# The pages' code runs in processes of its own: it is to find this tree's vaekit, and its command, first.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["IPYTHONDIR"] = str(HERE / "_build" / "ipython")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import vaekit  # noqa: E402

project = "vaekit"
author = "The vaekit developers"
copyright = "The vaekit developers; Apache License 2.0"
version = release = vaekit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    # docs/extensions
    "generated_pages",
    "docstrings",
    "mathml",
    "navigation",
    "terminal_cells",
]
exclude_patterns = ["_build", "extensions", "images/README*"]
# Two rooms may offer a name each, such as Estimate: a link to the bare name is then to the first.
suppress_warnings = ["ref.python"]
default_role = "literal"  # a single pair of back quotes is code, as in Markdown

# Docstrings: numpydoc's sections, with the types where Python has them.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 120
python_display_short_literal_types = True
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_preprocess_types = False
napoleon_custom_sections = [("Returns", "params_style")]

# Pages: all code is run at every build, each page in an empty folder of its own; a failure is an error.
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_show_tb = True  # with the warning that a failed cell is
nb_merge_streams = True

html_theme = "furo"
html_title = f"vaekit {release}"
html_static_path = ["static"]
html_css_files = ["vaekit.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5fa8", "color-brand-content": "#1f5fa8"},
    "dark_css_variables": {"color-brand-primary": "#7db4f0", "color-brand-content": "#7db4f0"},
}
