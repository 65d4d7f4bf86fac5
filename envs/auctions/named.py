"""Priors and mechanisms from what a user can write in a call, a registry entry or a file: objects, names, dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from walras.envs.auctions.bundles import bundle_reserve
from walras.envs.auctions.mechanisms import (
    VCG,
    AllPay,
    BundleMyerson,
    BundleSale,
    FirstPrice,
    ItemwiseMyerson,
    Mechanism,
    SecondPrice,
    mechanism_from_dict,
)
from walras.envs.auctions.priors import PRESETS, Prior, prior_from_dict
from walras.envs.auctions.priors import prior as preset

MECHANISMS: dict[str, Callable[[Prior, str], Mechanism]] = {
    "first-price": lambda prior, demand: FirstPrice(),
    "second-price": lambda prior, demand: SecondPrice(),
    "all-pay": lambda prior, demand: AllPay(),
    "bundle-first-price": lambda prior, demand: BundleSale("first"),
    "bundle-second-price": lambda prior, demand: BundleSale("second"),
    "vcg": lambda prior, demand: VCG(demand=demand),
    "myerson": lambda prior, demand: ItemwiseMyerson(prior),
    "bundle-myerson": lambda prior, demand: BundleMyerson(bundle_reserve(prior)),
}
"""Mechanisms that need no number from the user: name -> (prior, demand) -> mechanism."""


def as_prior(given: Prior | str | Mapping[str, Any], bidders: int, items: int) -> Prior:
    """The prior of an auction of this size.

    Args:
        given: a `Prior`, the name of a preset (`walras.envs.auctions.priors.PRESETS`), or a prior's dict.
        bidders: n.
        items: m.

    Raises:
        ValueError: if the name is unknown or the prior has another size.
        TypeError: if `given` is something else.
    """
    if isinstance(given, str):
        if given not in PRESETS:
            raise ValueError(f"prior: {given!r} is not one of {sorted(PRESETS)}")
        found = preset(given, bidders, items)
    elif isinstance(given, Prior):
        found = given
    elif isinstance(given, Mapping):
        found = prior_from_dict(given)
    else:
        raise TypeError(f"prior: a Prior, a preset's name or a dict is needed, got {type(given).__name__}")
    if (found.bidders, found.items) != (bidders, items):
        raise ValueError(
            f"prior: made for {found.bidders} bidders and {found.items} items, the auction has {bidders} and {items}"
        )
    return found


def as_mechanism(given: Mechanism | str | Mapping[str, Any], prior: Prior, demand: str) -> Mechanism:
    """The mechanism of an auction with this prior and demand.

    Args:
        given: any object with `outcome(bids)`, a name in `MECHANISMS`, or a mechanism's dict.
        prior: what the optimal mechanisms are computed from.
        demand: `"additive"` or `"unit"`.

    Raises:
        ValueError: if the name is unknown.
        TypeError: if `given` cannot decide an outcome.
    """
    if isinstance(given, str):
        if given not in MECHANISMS:
            raise ValueError(f"mechanism: {given!r} is not one of {list(MECHANISMS)}")
        return MECHANISMS[given](prior, demand)
    if isinstance(given, Mapping):
        return mechanism_from_dict(given)
    if not callable(getattr(given, "outcome", None)):
        raise TypeError(
            f"mechanism: an object with outcome(bids), a name or a dict is needed, got {type(given).__name__}"
        )
    return given
