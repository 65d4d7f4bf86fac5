"""Settings of the documentation, built by `make docs`: nothing is fetched from elsewhere, every warning is an error."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from typing import Any


def folder_of(package: str) -> str:
    """Folder of an installed package, found without importing it.

    Raises:
        ModuleNotFoundError: `package` is not installed in the environment that builds the documentation.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} must be installed to document it; `make docs` does so")
    return next(iter(spec.submodule_search_locations))


def keep_signs(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    r"""Escape the signs of mathematics in a docstring, in place.

    Docstrings are written to be read as they are: (B, *shape), |x|, regret_. Outside backticks and examples
    reStructuredText would take the star, the bar and the underscore for markup.
    """
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "..")):
            pieces = re.split(r"(`+[^`]*`+)", line)
            pieces[::2] = [re.sub(r"(?<!\\)(\*+|\||(?<=\w)_(?!\w))", r"\\\1", piece) for piece in pieces[::2]]
            lines[index] = "".join(pieces)


def setup(app: Any) -> None:
    """Tell Sphinx to call `keep_signs` before it reads the sections of a docstring."""
    app.connect("autodoc-process-docstring", keep_signs, priority=400)


project = "walras"
author = "The walras authors"
copyright = author
release = importlib.metadata.version("walras")
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "api/modules.rst"]
default_role = "code"
html_theme = "furo"
html_title = f"walras {release}"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# One page per module, written anew at each build from the package as it is installed.
apidoc_modules = [
    {
        "path": folder_of("walras"),
        "destination": "api",
        "exclude_patterns": ["**/__main__.py", "**/benchmarks/peers/**", "**/benchmarks/templates/**"],
        "follow_links": True,
        "module_first": True,
        "separate_modules": True,
    }
]
apidoc_automodule_options = {"members", "show-inheritance"}
# Each object stands on the page of the module that defines it, not where it is passed on.
autodoc_default_options = {"ignore-module-all": True}
autodoc_inherit_docstrings = False  # a method that overrides says so in its own words or is found at its base class
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of records stay in the text of their class
python_display_short_literal_types = True
