"""Every mechanism of the package under one name, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from walras.envs.auctions.cell_menus import CellMenus
from walras.envs.auctions.entry_fees import EntryFeeAMA
from walras.envs.auctions.mechanism import (
    DEMANDS,
    Array,
    Mechanism,
    Menu,
    MenuMechanism,
    Outcome,
    check_bids,
    choose,
    value,
)
from walras.envs.auctions.mixture import CoinMixture
from walras.envs.auctions.monotone import MonotoneAuction
from walras.envs.auctions.outcome_table import OutcomeTable
from walras.envs.auctions.sales import (
    AllPay,
    BundleSale,
    FirstPrice,
    PostedPrice,
    SecondPrice,
    all_pay,
    bundle_sale,
    first_price,
    posted_price,
    second_price,
)
from walras.envs.auctions.simplex_menus import SimplexMenus
from walras.envs.auctions.tables import Tables
from walras.envs.auctions.truthful import AMA, VCG, BundleMyerson, ItemwiseMyerson, PostedMenu, affine_maximizer
from walras.envs.auctions.utility_table import UtilityTable

__all__ = [
    "AMA",
    "DEMANDS",
    "MECHANISMS",
    "VCG",
    "AllPay",
    "Array",
    "BundleMyerson",
    "BundleSale",
    "CellMenus",
    "CoinMixture",
    "EntryFeeAMA",
    "FirstPrice",
    "ItemwiseMyerson",
    "Mechanism",
    "Menu",
    "MenuMechanism",
    "MonotoneAuction",
    "Outcome",
    "OutcomeTable",
    "PostedMenu",
    "PostedPrice",
    "SecondPrice",
    "SimplexMenus",
    "UtilityTable",
    "affine_maximizer",
    "all_pay",
    "bundle_sale",
    "check_bids",
    "choose",
    "first_price",
    "mechanism_from_dict",
    "posted_price",
    "second_price",
    "value",
]

MECHANISMS: dict[str, type[Mechanism]] = {
    kind.__name__: kind
    for kind in (
        FirstPrice,
        SecondPrice,
        AllPay,
        BundleSale,
        PostedPrice,
        PostedMenu,
        VCG,
        ItemwiseMyerson,
        BundleMyerson,
        AMA,
        EntryFeeAMA,
        MonotoneAuction,
        CellMenus,
        SimplexMenus,
        OutcomeTable,
        UtilityTable,
        CoinMixture,
    )
}


def mechanism_from_dict(record: Mapping[str, Any]) -> Mechanism:
    """Rebuild a mechanism from `Mechanism.to_dict`.

    Raises:
        KeyError: `record` lacks `"mechanism"`, or names an unknown one.
        TypeError: a parameter is missing or unknown.
        ValueError: a parameter is out of range.
    """
    if not isinstance(record, Mapping) or "mechanism" not in record:
        raise KeyError(f"record: needs the key 'mechanism', one of {sorted(MECHANISMS)}")
    name = record["mechanism"]
    if not isinstance(name, str) or name not in MECHANISMS:
        raise KeyError(f"mechanism: {name!r} is unknown; known are {sorted(MECHANISMS)}")
    kind = MECHANISMS[name]
    if issubclass(kind, Tables):
        return kind.from_dict(record)
    if kind is CoinMixture:
        return CoinMixture(tuple(map(mechanism_from_dict, record["mechanisms"])), tuple(record["weights"]))
    return kind(**{key: entry for key, entry in record.items() if key != "mechanism"})
