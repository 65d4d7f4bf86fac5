"""Priors and mechanisms from what a user can write in a call, a registry entry or a file: objects, names, dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

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

Built = TypeVar("Built")

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
        ValueError: if the name is unknown, the dict is malformed, or the prior has another size.
        TypeError: if `given` is something else.
    """
    if isinstance(given, str):
        if given not in PRESETS:
            raise ValueError(f"prior: {given!r} is not one of {sorted(PRESETS)}")
        found = preset(given, bidders, items)
    elif isinstance(given, Prior):
        found = given
    elif isinstance(given, Mapping):
        found = _rebuilt("prior", prior_from_dict, given)
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
        ValueError: if the name is unknown, the dict is malformed, or the mechanism cannot serve a prior of this size.
        TypeError: if `given` cannot decide an outcome.
    """
    if isinstance(given, str):
        if given not in MECHANISMS:
            raise ValueError(f"mechanism: {given!r} is not one of {list(MECHANISMS)}")
        return MECHANISMS[given](prior, demand)
    found = _rebuilt("mechanism", mechanism_from_dict, given) if isinstance(given, Mapping) else given
    if not callable(getattr(found, "outcome", None)):
        raise TypeError(
            f"mechanism: an object with outcome(bids), a name or a dict is needed, got {type(given).__name__}"
        )
    check_size = getattr(found, "check_size", None)
    if check_size is not None:
        try:
            check_size(prior.bidders, prior.items)
        except ValueError as error:
            raise ValueError(
                f"mechanism: does not fit {prior.bidders} bidders and {prior.items} items: {error}"
            ) from None
    return found


def _rebuilt(name: str, build: Callable[[Mapping[str, Any]], Built], record: Mapping[str, Any]) -> Built:
    """An object from its dict; whatever the dict lacks is said of the argument `name` that held it."""
    try:
        return build(record)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error.args[0] if error.args else error}; the dict was {record!r}") from error
