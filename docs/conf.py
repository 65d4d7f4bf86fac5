"""Settings of the documentation, built by `make docs`: nothing is fetched from elsewhere, every warning is an error."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import pathlib
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


def write_games(app: Any) -> None:
    """Write `games.md`, the page of all registered games, from the registry and the docstrings of their classes."""
    import walras

    rows = ["| id | what it is | source | status |", "| --- | --- | --- | --- |"]
    pages: dict[type, list[str]] = {}
    for spec in walras.specs():
        rows.append(f"| `{spec.id}` | {spec.title} | {spec.source} | {spec.status} |")
        pages.setdefault(type(spec.make()), []).append(spec.id)
    parts = [
        "# Games",
        "",
        "*verified*: the tests check it against theory or published figures; *runs*: it keeps the contract.",
        "",
    ]
    parts += rows
    for game, ids in pages.items():
        text = re.sub(r"^## (.+)$", r"**\1**", inspect.cleandoc(game.__doc__ or ""), flags=re.MULTILINE)
        start = inspect.cleandoc(game.__init__.__doc__ or "")
        parts += [
            "",
            f"## {game.__name__}",
            "",
            ", ".join(f"`{id}`" for id in ids),
            "",
            text,
            "",
            "**Parameters**",
            "",
            "```text",
            start,
            "```",
        ]
    (pathlib.Path(app.srcdir) / "games.md").write_text("\n".join(parts) + "\n", encoding="utf-8")


def setup(app: Any) -> None:
    """Tell Sphinx to call `keep_signs` before it reads the sections of a docstring, and to write the page of games."""
    app.connect("autodoc-process-docstring", keep_signs, priority=400)
    app.connect("builder-inited", write_games, priority=100)


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
