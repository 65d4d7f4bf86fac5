"""Settings with one bidder whose optimal mechanism is proved: menu, exact revenue, source.

Each is a menu (Rochet 1987: with one bidder every truthful mechanism is one). `menu_revenue` integrates their revenue
exactly, `menu_bound` bounds the revenue of all menus from above; the tests hold them against each other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior, Triangle
from walras.envs.auctions.straight_jacket import straight_jacket_prices, straight_jacket_revenue
from walras.envs.auctions.truthful import PostedMenu


class OneBidder(NamedTuple):
    """A setting with one bidder and its optimum.

    Attributes:
        prior: law of the values, one bidder.
        demand: `"additive"` or `"unit"`.
        menu: an optimal mechanism.
        revenue: of it, in closed form.
        source: where it is proved.
    """

    prior: Prior
    demand: str
    menu: PostedMenu
    revenue: float
    source: str


_EACH = ((1.0, 0.0), (0.0, 1.0))
_ROOT2, _ROOT3, _ROOT22 = math.sqrt(2.0), math.sqrt(3.0), math.sqrt(22.0)
_PAVLOV = "Pavlov 2011, Optimal mechanism for selling two goods"
_LOTTERY = (_ROOT22 - 4.0) / 6.0  # what the lottery costs beyond 2: the root of 6 a^2 + 8 a = 1

ONE_BIDDER: dict[str, OneBidder] = {
    "posted-price": OneBidder(
        Prior.iid(Uniform(), 1), "additive", PostedMenu(((1.0,),), (0.5,)), 0.25, "Myerson 1981, Optimal auction design"
    ),
    "additive-uniform": OneBidder(
        Prior.iid(Uniform(), 1, 2),
        "additive",
        PostedMenu((*_EACH, (1.0, 1.0)), (2.0 / 3.0, 2.0 / 3.0, (4.0 - _ROOT2) / 3.0)),
        (12.0 + 2.0 * _ROOT2) / 27.0,
        "Manelli and Vincent 2006, Bundling as an optimal selling mechanism for a multiple-good monopolist",
    ),
    "additive-4-16-4-7": OneBidder(
        Prior.per_item((Uniform(4.0, 16.0), Uniform(4.0, 7.0)), 1),
        "additive",
        PostedMenu(((0.5, 1.0), (1.0, 1.0)), (8.0, 12.0)),
        88.0 / 9.0,
        "Daskalakis, Deckelbaum and Tzamos 2017, Strong duality for a multiple-good monopolist",
    ),
    "additive-triangle": OneBidder(
        Triangle(),
        "additive",
        PostedMenu(((1.0, 1.0),), (1.0 / _ROOT3,)),
        2.0 / (3.0 * _ROOT3),
        "Haghpanah and Hartline 2021, When is pure bundling optimal?",
    ),
    "unit-uniform": OneBidder(
        Prior.iid(Uniform(), 1, 2),
        "unit",
        PostedMenu(_EACH, (1.0 / _ROOT3, 1.0 / _ROOT3), "unit"),
        2.0 / (3.0 * _ROOT3),
        _PAVLOV,
    ),
    # With the lottery at 2 + a and an item for sure at 2 + a + d, revenue is (2 + a) (1 - 2 a^2) + d (1 - 2 d)^2.
    "unit-uniform-2-3": OneBidder(
        Prior.iid(Uniform(2.0, 3.0), 1, 2),
        "unit",
        PostedMenu(((0.5, 0.5), *_EACH), (2.0 + _LOTTERY, 13.0 / 6.0 + _LOTTERY, 13.0 / 6.0 + _LOTTERY), "unit"),
        (2.0 + _LOTTERY) * (1.0 - 2.0 * _LOTTERY**2) + 2.0 / 27.0,
        _PAVLOV,
    ),
}
"""Settings with one bidder and one or two items, by name."""


def straight_jacket(items: int) -> OneBidder:
    """`items` goods with independent values, uniform on [0, 1], and the Straight-Jacket auction as a menu.

    Proved optimal for up to six goods (`straight_jacket`), conjectured beyond.

    Raises:
        ValueError: if `items` is no integer from 1 to 10: the menu lists all bundles.
    """
    from walras.envs.auctions.node_menus import bundles

    prices = straight_jacket_prices(items)
    if items > 10:
        raise ValueError(f"items: a menu of all bundles is listed for at most 10, got {items}")
    options = bundles(items, "additive")
    return OneBidder(
        Prior.iid(Uniform(), 1, items),
        "additive",
        PostedMenu(tuple(tuple(row) for row in options.tolist()), tuple(prices[int(row.sum()) - 1] for row in options)),
        straight_jacket_revenue(items),
        "Giannakopoulos and Koutsoupias 2018, Duality and optimality of auctions for uniform distributions",
    )
