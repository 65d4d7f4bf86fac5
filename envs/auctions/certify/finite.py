"""Certificates of outcome tables: every promise for every profile of types, in whole numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from walras.envs.auctions.certify.result import CERTIFIED, REFUTED, Certificate, Counterexample, Progress
from walras.envs.auctions.mechanism import Array
from walras.envs.auctions.outcome_table import OutcomeTable


class Incentives(NamedTuple):
    """The worst that can happen to a truthful bidder of a listed type, in units of 2^-(2 bits).

    `truth` and `lie` are profile numbers: where the gap is least, and what the bidder's better report makes of it.
    """

    least_gap: int
    bidder: int
    truth: int
    lie: int
    least_utility: int
    loser: int
    loss_at: int


def check_incentives(mechanism: OutcomeTable) -> Incentives:
    """Least utility, and least utility of the truth over every other report, over all profiles and bidders."""
    shape = [len(own) for own in mechanism.types]
    bits = mechanism.bits
    # Products of two numbers of 2^-bits; Python integers where they would not fit in 63 bits.
    largest = max(int(np.max(np.ldexp(own, bits))) for own in mechanism.types) << bits
    bound = 2 * (largest * mechanism.items + (int(np.max(np.abs(np.ldexp(mechanism.payment, bits)))) << bits))
    kind = np.int64 if bound < 2**62 else object
    allocation, payment = _whole(mechanism.allocation, bits, kind), _whole(mechanism.payment, bits, kind)
    profiles = np.arange(len(payment)).reshape(shape)
    worst = Incentives(bound, 0, 0, 0, bound, 0, 0)
    for i, own in enumerate(mechanism.types):
        rows = np.moveaxis(profiles, i, -1).reshape(-1, len(own))  # (others, reports)
        won, paid = allocation[rows, i], payment[rows, i] * (1 << bits)
        types = _whole(own, bits, kind)
        utility = (won[:, None, :, :] * types[None, :, None, :]).sum(axis=-1) - paid[
            :, None, :
        ]  # (others, type, report)
        honest = utility[:, np.arange(len(own)), np.arange(len(own))]
        gap = honest[:, :, None] - utility
        gap[:, np.arange(len(own)), np.arange(len(own))] = bound
        at = np.unravel_index(int(np.argmin(gap)), gap.shape)
        if gap[at] < worst.least_gap:
            truth, lie = rows[at[0], at[1]], rows[at[0], at[2]]
            worst = worst._replace(least_gap=int(gap[at]), bidder=i, truth=int(truth), lie=int(lie))
        at = np.unravel_index(int(np.argmin(honest)), honest.shape)
        if honest[at] < worst.least_utility:
            worst = worst._replace(least_utility=int(honest[at]), loser=i, loss_at=int(rows[at]))
    return worst


def certify_outcome_table(
    mechanism: OutcomeTable, *, robust: bool = True, progress: Progress | None = None
) -> Certificate:
    """Feasibility, truthfulness and individual rationality for every profile of types, exactly.

    `robust` changes nothing: nothing is chosen at run time.
    """
    bits, shape = mechanism.bits, [len(own) for own in mechanism.types]
    method = "every profile and every report of every bidder, in whole numbers"
    whole = _whole(mechanism.allocation, bits, np.int64)
    totals = whole.sum(axis=1)
    found = check_incentives(mechanism)
    counts = {
        "profiles": len(totals),
        "reports compared": len(totals) * sum(count - 1 for count in shape),
    }

    def profile(row: int) -> tuple[tuple[Fraction, ...], ...]:
        places = np.unravel_index(row, shape)
        return tuple(
            tuple(map(Fraction, own[int(place)].tolist())) for own, place in zip(mechanism.types, places, strict=True)
        )

    def refuted(reason: str, example: Counterexample) -> Certificate:
        return Certificate("OutcomeTable", REFUTED, method, reason, example, counts=counts)

    if np.any(totals > 1 << bits):
        row, item = (int(k) for k in np.unravel_index(int(np.argmax(totals)), totals.shape))
        over = Fraction(int(totals[row, item]), 1 << bits) - 1
        text = f"item {item} is promised with total probability {float(1 + over):.10g}"
        values = profile(row)
        return refuted(
            "an item is promised more than once", Counterexample("feasible", values, values, None, over, text)
        )
    if found.least_utility < 0:
        loss = Fraction(-found.least_utility, 1 << 2 * bits)
        text = f"bidder {found.loser} loses {float(loss):.6g} by the truth"
        values = profile(found.loss_at)
        example = Counterexample("individually rational", values, values, found.loser, loss, text)
        return refuted("a truthful bidder loses", example)
    if math.prod(shape) > 1 and found.least_gap < 0:
        gain = Fraction(-found.least_gap, 1 << 2 * bits)
        text = f"bidder {found.bidder} gains {float(gain):.6g} by a false report"
        example = Counterexample("truthful", profile(found.truth), profile(found.lie), found.bidder, gain, text)
        return refuted("a bidder gains by a false report", example)
    margin = math.ldexp(found.least_gap, -2 * bits) if max(shape) > 1 else None
    return Certificate("OutcomeTable", CERTIFIED, method, margin=margin, counts=counts)


def _whole(numbers: Array, bits: int, kind: type) -> Array:
    scaled = np.ldexp(numbers, bits).astype(np.int64)
    return scaled if kind is np.int64 else scaled.astype(object)
