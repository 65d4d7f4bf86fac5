"""Certificates by theorem: mechanisms whose form makes them truthful, with what is left to check done exactly."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np

from walras.envs.auctions.certify.result import (
    CERTIFIED,
    REFUTED,
    UNDECIDED,
    Certificate,
    Counterexample,
    Progress,
)
from walras.envs.auctions.entry_fees import EntryFeeAMA
from walras.envs.auctions.mechanism import Mechanism
from walras.envs.auctions.mixture import CoinMixture
from walras.envs.auctions.truthful import AMA, PostedMenu

THEOREMS = {
    "VCG": "Vickrey 1961, Clarke 1971, Groves 1973: welfare is maximised and everybody pays the harm to the others",
    "SecondPrice": "Vickrey 1961: each item goes to the highest bid above the reserve at the least winning bid",
    "ItemwiseMyerson": "Myerson 1981: each item goes to the largest ironed virtual value at the least winning value",
    "MonotoneAuction": "Myerson 1981: the largest of increasing virtual values wins at the least winning value",
    "BundleMyerson": "Vickrey 1961: the bundle goes to the highest sum above the reserve at the least winning sum",
    "PostedPrice": "take it or leave it: nobody's report moves the prices or what is left when it is served",
}
"""Mechanisms of the package that are truthful, individually rational and feasible by a theorem."""


def certify_classical(mechanism: Mechanism, *, robust: bool = True, progress: Progress | None = None) -> Certificate:
    """A mechanism of `THEOREMS`; its parameters were checked when it was made. `robust` changes nothing here.

    Raises:
        TypeError: the mechanism is not listed.
    """
    name = type(mechanism).__name__
    if name not in THEOREMS or not mechanism.truthful:
        raise TypeError(f"mechanism: no theorem is known here for {name}")
    return Certificate(name, CERTIFIED, f"theorem ({THEOREMS[name]})")


def certify_posted_menu(mechanism: PostedMenu, *, robust: bool = True, progress: Progress | None = None) -> Certificate:
    """A menu for one bidder: options are probabilities and the null option is there. `robust` changes nothing."""
    options = np.array(mechanism.items)
    # The class allows rows of unit demand to sum to 1 up to rounding; a certificate does not.
    over = _excess_of_rows(options) if mechanism.demand == "unit" else Fraction(0)
    method = "theorem (Rochet 1987: one bidder chooses from a fixed menu); options in fractions"
    counts = {"options": len(options)}
    if over > 0:
        reason = f"an option gives a unit-demand bidder {float(over):.3g} too much probability"
        return Certificate("PostedMenu", UNDECIDED, method, reason, undecided=1.0, counts=counts)
    return Certificate("PostedMenu", CERTIFIED, method, counts=counts)


def _excess_of_rows(rows: np.ndarray) -> Fraction:
    return max(sum(map(Fraction, row), Fraction(-1)) for row in rows.tolist())


def certify_ama(mechanism: AMA, *, robust: bool = True, progress: Progress | None = None) -> Certificate:
    """An affine maximiser: truthful and individually rational by Roberts 1979; every listed outcome must be feasible.

    Outcomes that promise too much are looked for at profiles where they would be chosen. `robust` changes nothing: one
    outcome is chosen for all bidders, whatever the rounding.
    """
    shares = mechanism.allocations
    counts = {"outcomes": len(shares)}
    method = "theorem (Roberts 1979: affine maximisers with positive weights); every listed outcome in fractions"

    def over(outcome: tuple[tuple[float, ...], ...]) -> Fraction:
        items = max(sum(map(Fraction, column), Fraction(-1)) for column in zip(*outcome, strict=True))
        rows = max(sum(map(Fraction, row), Fraction(-1)) for row in outcome)
        return max(items, rows) if mechanism.demand == "unit" else items

    bad = [t for t, outcome in enumerate(shares) if over(outcome) > 0]
    if not bad:
        return Certificate("AMA", CERTIFIED, method, counts=counts)
    counts["outcomes that promise too much"] = len(bad)
    for t in bad:
        values = _where_chosen(mechanism, t)
        if values is not None:
            text = f"outcome {t} promises {float(over(shares[t])):.3g} beyond 1"
            example = Counterexample("feasible", values, values, None, over(shares[t]), text)
            return Certificate("AMA", REFUTED, method, "a listed outcome promises too much", example, counts=counts)
    reason = f"{len(bad)} listed outcomes promise too much; no profile was found at which one is chosen"
    return Certificate("AMA", UNDECIDED, method, reason, undecided=1.0, counts=counts)


def certify_entry_fees(mechanism: EntryFeeAMA, *, robust: bool = True, progress: Progress | None = None) -> Certificate:
    """An affine maximiser with entry fees: who leaves makes no room too small, and fees are blind to the own report.

    That fees are nonnegative was checked when the mechanism was made. `robust` changes nothing, as in `certify_ama`.
    """
    base = certify_ama(mechanism.base, robust=robust)
    method = "theorem (fees of the others' reports: every bidder keeps its option or leaves); " + base.method
    counts = {**base.counts, "fees": int(mechanism.fees.size)}
    if base.status == CERTIFIED:
        return Certificate("EntryFeeAMA", CERTIFIED, method, counts=counts)
    reason = f"the affine maximiser itself is {base.status}: {base.reason}"
    return Certificate("EntryFeeAMA", UNDECIDED, method, reason, undecided=1.0, counts=counts)


def _where_chosen(mechanism: AMA, t: int) -> tuple[tuple[Fraction, ...], ...] | None:
    """A profile at which outcome t wins, exactly, or None; found by a linear program over values up to 1."""
    from scipy.optimize import linprog

    shares, weights, boosts = (np.array(part) for part in (mechanism.allocations, mechanism.weights, mechanism.boosts))
    score = (shares * weights[None, :, None]).reshape(len(shares), -1)
    others = np.arange(len(shares)) != t
    # Largest gap by which outcome t beats every other one.
    gaps = np.concatenate((np.ones((others.sum(), 1)), score[others] - score[t]), axis=1)
    found = linprog(
        np.concatenate(([-1.0], np.zeros(score.shape[1]))), A_ub=gaps, b_ub=boosts[t] - boosts[others],
        bounds=[(None, 1.0)] + [(0.0, 1.0)] * score.shape[1],
    )  # fmt: skip
    if not found.success:
        return None
    values = [Fraction(float(x)) for x in found.x[1:]]
    items = shares.shape[2]
    exact = [
        sum(
            (
                Fraction(weight) * Fraction(a) * v
                for i, (weight, row) in enumerate(zip(mechanism.weights, outcome, strict=True))
                for a, v in zip(row, values[i * items : i * items + items], strict=True)
            ),
            Fraction(boost),
        )
        for outcome, boost in zip(mechanism.allocations, mechanism.boosts, strict=True)
    ]
    if exact.index(max(exact)) != t:
        return None
    return tuple(tuple(values[i * items : i * items + items]) for i in range(shares.shape[1]))


def certify_mixture(mechanism: CoinMixture, **settings: object) -> Certificate:
    """A mixture by a public coin holds its promises when every part does; the box of the values is for code alone."""
    from walras.envs.auctions.certify import certify, needs_box

    common = {name: entry for name, entry in settings.items() if name in ("robust", "progress")}
    parts = tuple(certify(part, **(settings if needs_box(part) else common)) for part in mechanism.mechanisms)
    status = next((s for s in (REFUTED, UNDECIDED) if any(part.status == s for part in parts)), CERTIFIED)
    method = "every part: the coin is tossed before the bids"
    reason, example, undecided = "", None, 0.0
    if status == REFUTED:
        worst = next(k for k, part in enumerate(parts) if part.status == REFUTED)
        reason, example = f"part {worst} is refuted", parts[worst].counterexample
    elif status == UNDECIDED:
        undecided = max(part.undecided for part in parts)
        reason = f"{sum(part.status == UNDECIDED for part in parts)} parts are undecided"
    margins = [part.margin for part in parts if part.margin is not None]
    return dataclasses.replace(
        Certificate("CoinMixture", status, method, reason, example, undecided=undecided, parts=parts),
        margin=min(margins) if margins and status == CERTIFIED else None,
    )
