"""Certificates of simplex menus for three and more bidders: on the Kuhn simplices of the cube of all values."""

from __future__ import annotations

from walras.envs.auctions.certify.result import Certificate, Progress
from walras.envs.auctions.simplex_menus import SimplexMenus


def certify_many(mechanism: SimplexMenus, robust: bool, progress: Progress | None) -> Certificate:
    """Decide about any number of bidders."""
    raise NotImplementedError("three bidders and more")
