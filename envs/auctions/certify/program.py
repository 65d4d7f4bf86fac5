"""Mechanisms known only as code: a search for counterexamples. It can refute, never certify.

Looked for, in doubles: menus that move with the bidder's own report, items promised more than once, truthful bidders
who lose, and reports that beat the truth. A profile found is what the code itself does there, so a gain above the
tolerance is decisive.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from walras.envs.arguments import whole as whole_number
from walras.envs.auctions.certify.result import REFUTED, UNDECIDED, Certificate, Counterexample, Progress
from walras.envs.auctions.mechanism import DEMANDS, Array, MenuMechanism, Outcome, value

_SCALES = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4)  # steps of the local search, in widths of the box


def certify_program(
    mechanism: Any,
    *,
    low: Array,
    high: Array,
    demand: str | None = None,
    seed: int = 0,
    profiles: int = 1024,
    tolerance: float = 1e-6,
    robust: bool = True,
    progress: Progress | None = None,
) -> Certificate:
    """Search a mechanism for broken promises.

    Args:
        mechanism: a `Mechanism`, or a function from bids (B, n, m) to an allocation (B, n, m) and payments (B, n).
        low: (n, m) lower ends of the values.
        high: (n, m) upper ends.
        demand: "additive" or "unit"; that of the mechanism by default.
        seed: of the profiles.
        profiles: value profiles from which the searches start.
        tolerance: what counts as broken, in units of value and probability.
        robust: not used; nothing is certified.
        progress: told the share of the work done.

    Raises:
        ValueError: a box, the demand, `profiles` or `tolerance` is out of range.
    """
    low, high = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    if low.ndim != 2 or low.shape != high.shape or np.any(low < 0.0) or not np.all(high > low):
        raise ValueError(f"low, high: must be (n, m) with 0 <= low < high, got shapes {low.shape}, {high.shape}")
    demand = getattr(mechanism, "demand", "additive") if demand is None else demand
    if demand not in DEMANDS:
        raise ValueError(f"demand: must be one of {DEMANDS}, got {demand!r}")
    if not tolerance > 0.0:
        raise ValueError(f"tolerance: must be positive, got {tolerance!r}")
    count = whole_number("profiles", profiles, 1)
    search = _Search(mechanism, low, high, demand, np.random.default_rng(seed), count, tolerance)
    steps: tuple[Callable[[], Counterexample | None], ...] = (
        search.own_reports, search.over_allocation, search.losses, search.misreports
    )  # fmt: skip
    found = None
    for k, step in enumerate(steps):
        found = step()
        if found is not None:
            break
        if progress is not None:
            progress((k + 1) / len(steps))
    kind = type(mechanism).__name__
    method = "search in doubles over profiles and reports; what is known only as code cannot be certified"
    if found is None:
        reason = f"no promise was seen broken; the largest gain by a false report was {search.best_gain:.3g}"
        return Certificate(kind, UNDECIDED, method, reason, undecided=1.0, counts=search.counts)
    reason = {
        "own report": "a menu moves with the bidder's own report",
        "feasible": "an item is promised more than once",
        "individually rational": "a truthful bidder loses",
        "truthful": "a bidder gains by a false report",
    }[found.promise]
    return Certificate(kind, REFUTED, method, reason, found, counts=search.counts)


class _Search:
    def __init__(
        self,
        mechanism: Any,
        low: Array,
        high: Array,
        demand: str,
        rng: np.random.Generator,
        count: int,
        tolerance: float,
    ) -> None:
        self.mechanism, self.low, self.high, self.demand = mechanism, low, high, demand
        self.rng, self.tolerance, self.width = rng, tolerance, high - low
        self.shape = low.shape
        self.best_gain = 0.0
        self.counts = {"profiles": 0, "reports": 0}
        unit = rng.random((count, *low.shape))
        # A third of the profiles on a coarse grid, where ties and kinks are.
        unit[::3] = np.round(unit[::3] * 8) / 8
        self.values = low + self.width * unit

    def run(self, bids: Array) -> Outcome:
        """What the mechanism does, as arrays of doubles."""
        play = getattr(self.mechanism, "outcome", self.mechanism)
        allocation, payment = play(bids)
        self.counts["profiles"] += len(bids)
        return Outcome(np.asarray(allocation, dtype=np.float64), np.asarray(payment, dtype=np.float64))

    def example(
        self, promise: str, values: Array, reports: Array, bidder: int | None, amount: float, text: str
    ) -> Counterexample:
        """A counterexample in the exact value of the doubles."""

        def exact(rows: Array) -> tuple[tuple[Fraction, ...], ...]:
            return tuple(tuple(map(Fraction, row)) for row in np.asarray(rows).tolist())

        return Counterexample(promise, exact(values), exact(reports), bidder, Fraction(float(amount)), text)

    def own_reports(self) -> Counterexample | None:
        """A menu that changes when only the bidder's own report does."""
        if not isinstance(self.mechanism, MenuMechanism):
            return None
        menu = self.mechanism.menus(self.values)
        for i in range(self.shape[0]):
            for _ in range(4):
                reports = self.values.copy()
                reports[:, i] = self.low[i] + self.width[i] * self.rng.random((len(reports), self.shape[1]))
                other = self.mechanism.menus(reports)
                self.counts["reports"] += len(reports)
                moved = np.maximum(
                    np.abs(np.asarray(menu.items[:, i] - other.items[:, i])).max(axis=(1, 2)),
                    np.abs(np.asarray(menu.prices[:, i] - other.prices[:, i])).max(axis=1),
                )
                lane = int(np.argmax(moved))
                if not moved[lane] <= self.tolerance:
                    text = f"the menu of bidder {i} moves by {moved[lane]:.6g} when only its own report changes"
                    return self.example("own report", self.values[lane], reports[lane], i, moved[lane], text)
        return None

    def over_allocation(self) -> Counterexample | None:
        """An item promised more than once, climbed to from the fullest profiles."""

        def excess(bids: Array) -> Array:
            return self.run(bids).allocation.sum(axis=1).max(axis=1) - 1.0

        bids = self.values
        amount = excess(bids)
        for scale in _SCALES:
            if float(amount.max()) > self.tolerance:
                break
            near = self._near(bids, scale)
            other = excess(near)
            better = other > amount
            bids, amount = np.where(better[:, None, None], near, bids), np.where(better, other, amount)
        lane = int(np.argmax(amount))
        if not amount[lane] > self.tolerance:
            return None
        item = int(np.argmax(self.run(bids[lane : lane + 1]).allocation[0].sum(axis=0)))
        text = f"item {item} is promised with total probability {1.0 + amount[lane]:.10g}"
        return self.example("feasible", bids[lane], bids[lane], None, float(amount[lane]), text)

    def losses(self) -> Counterexample | None:
        """A truthful bidder who pays more than it values what it gets."""
        utility = self._utility(self.values, self.values)
        lane, i = (int(k) for k in np.unravel_index(int(np.argmin(utility)), utility.shape))
        if not utility[lane, i] < -self.tolerance:
            return None
        text = f"bidder {i} loses {-utility[lane, i]:.6g} by the truth"
        values = self.values[lane]
        return self.example("individually rational", values, values, i, -float(utility[lane, i]), text)

    def misreports(self) -> Counterexample | None:
        """A report that beats the truth: the best of many, then both profile and report are moved to gain more."""
        best: tuple[float, int, Array, Array] | None = None
        for i in range(self.shape[0]):
            values = self.values.copy()
            honest = self._utility(values, values)[:, i]
            report, gain = values[:, i].copy(), np.zeros(len(values))
            for candidate in self._candidates(values, i):
                report, gain = self._keep(values, honest, i, report, gain, candidate)
            for scale in _SCALES:
                for _ in range(4):
                    step = scale * self.width[i] * self.rng.uniform(-1.0, 1.0, report.shape)
                    candidate = np.clip(report + step, self.low[i], self.high[i])
                    report, gain = self._keep(values, honest, i, report, gain, candidate)
            for scale in _SCALES[1:]:  # move the values too
                moved = self._near(values, scale)
                step = scale * self.width[i] * self.rng.uniform(-1.0, 1.0, report.shape)
                candidate = np.clip(report + step, self.low[i], self.high[i])
                other = self._gain(moved, self._utility(moved, moved)[:, i], i, candidate)
                better = other > gain
                values = np.where(better[:, None, None], moved, values)
                report, gain = np.where(better[:, None], candidate, report), np.where(better, other, gain)
            lane = int(np.argmax(gain))
            if best is None or gain[lane] > best[0]:
                reports = values[lane].copy()
                reports[i] = report[lane]
                best = float(gain[lane]), i, values[lane], reports
        assert best is not None
        self.best_gain = best[0]
        if not self.best_gain > self.tolerance:
            return None
        gain_, i, truth, reports = best
        return self.example("truthful", truth, reports, i, gain_, f"bidder {i} gains {gain_:.6g} by a false report")

    def _candidates(self, values: Array, i: int) -> list[Array]:
        """Reports worth a try: scaled truths, single items, bounds, the others' values from both sides, random ones."""
        own, m = values[:, i], self.shape[1]
        found = [
            np.clip(own * share, self.low[i], self.high[i]) for share in (0.0, 0.25, 0.5, 0.75, 0.9, 1.1, 1.5, 4.0)
        ]
        for j in range(m):
            for end in (self.low[i, j], self.high[i, j]):
                report = own.copy()
                report[:, j] = end
                found.append(report)
        for k in range(self.shape[0]):
            if k != i:
                for nudge in (-1e-3, 1e-3):
                    found.append(np.clip(values[:, k] + nudge * self.width[i], self.low[i], self.high[i]))
        for _ in range(16):
            found.append(self.low[i] + self.width[i] * self.rng.random(own.shape))
        return found

    def _keep(
        self, values: Array, honest: Array, i: int, report: Array, gain: Array, candidate: Array
    ) -> tuple[Array, Array]:
        other = self._gain(values, honest, i, candidate)
        better = other > gain
        return np.where(better[:, None], candidate, report), np.where(better, other, gain)

    def _gain(self, values: Array, honest: Array, i: int, report: Array) -> Array:
        bids = values.copy()
        bids[:, i] = report
        self.counts["reports"] += len(bids)
        return self._utility(values, bids)[:, i] - honest

    def _utility(self, values: Array, bids: Array) -> Array:
        allocation, payment = self.run(bids)
        result: Array = value(values, allocation, self.demand) - payment
        return result

    def _near(self, bids: Array, scale: float) -> Array:
        step = scale * self.width * self.rng.uniform(-1.0, 1.0, bids.shape)
        return np.clip(bids + step, self.low, self.high)
