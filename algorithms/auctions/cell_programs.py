"""The programs of the cell transform one by one, for solvers: HiGHS, CP-SAT, and the fixed point they must agree with.

For one menu of one bidder, with price changes delta_k >= 0 and delta_0 = 0::

    minimise    sum_k w_k delta_k
    subject to  for each own cell s and each option l that does not fit there: one fitting option k is chosen (a
                binary) with   delta_l - delta_k >= lead[s, k, l],

where lead is how far l may be ahead of k anywhere in the cell, plus the margin. Each option that does not fit is then
beaten all over the cell, possibly by different ones, so none of them is ever a best choice. With `joint` one fitting
option has to beat all of them in a cell; that is sound too, and dearer wherever no single option does it.

After a solver the chosen options are kept and the price changes recomputed as longest paths, so that its tolerances do
not blur the objective.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from walras.algorithms.auctions.cell_transform import SWEEPS, as_order, residual, treat
from walras.envs.auctions.cell_menus import CellMenus
from walras.envs.auctions.mechanism import Array


class Solved(NamedTuple):
    """What a method found.

    Attributes:
        delta: price changes (K,).
        objective: their weighted sum.
        seconds: processor time, without the building of the program.
        binaries: of the program; 0 for the fixed point.
        sweeps: of the fixed point, see `Transformed`; 0 for a solver.
    """

    delta: Array
    objective: float
    seconds: float
    binaries: int = 0
    sweeps: int = 0


@dataclass(frozen=True, eq=False)
class Program:
    """One program.

    Attributes:
        utility: (C, K) at the centres of the own cells, before the change.
        half: (C, m) half-widths.
        options: (K, m); option 0 null.
        fits: (C, K) bool: which options fit beside what earlier bidders may be promised; option 0 always.
        margin: strict advantage that the winner needs.
        bidder: whose menu it is.
        key: row of its table.
    """

    utility: Array
    half: Array
    options: Array
    fits: Array
    margin: float
    bidder: int = 0
    key: int = 0

    @property
    def lead(self) -> Array:
        """(C, K, K): entry [s, k, l] is the most by which l is ahead of k in cell s, plus the margin."""
        apart = np.abs(self.options[:, None] - self.options[None])
        reach = np.einsum("sj,klj->skl", self.half, apart)
        return self.utility[:, None, :] - self.utility[:, :, None] + reach + self.margin

    def busy(self) -> Array:
        """Cells (C,) in which some option that does not fit could win against the null option."""
        return np.asarray((~self.fits & (self.lead[:, 0] > 0.0)).any(axis=1))

    def satisfied(self, delta: Array, slack: float = 0.0, *, joint: bool = False) -> bool:
        """Whether price changes (K,) solve the program, up to `slack`."""
        gap = delta[None, None, :] - delta[None, :, None] - self.lead  # [s, k, l]
        beats = (gap >= -slack) & self.fits[:, :, None]
        if joint:
            won = (beats | self.fits[:, None, :]).all(axis=2) & self.fits
            beaten = won.any(axis=1).all()
        else:
            beaten = (beats.any(axis=1) | self.fits).all()
        return bool(beaten and np.all(delta >= 0.0) and delta[0] == 0.0)

    def fixed_point(self, weights: Sequence[float] | None = None, *, unit: float = 0.0) -> Solved:
        """The least price changes, by iteration from below; `unit`: rounded up to its multiples."""
        from walras.algorithms.auctions.cell_kernels import distances, least_fixed_point

        apart = np.empty((len(self.options), *self.options.shape))
        distances(self.options, apart)
        delta = np.zeros(len(self.options))
        start = time.process_time()
        sweeps = least_fixed_point(self.utility, self.half, apart, self.fits, self.margin, unit, SWEEPS, delta)
        return Solved(delta, self._cost(delta, weights), time.process_time() - start, sweeps=int(sweeps))

    def highs(self, weights: Sequence[float] | None = None, *, joint: bool = False) -> Solved:
        """The optimum by HiGHS as a mixed-integer program.

        Args:
            weights: (K,) of the price changes; default: all 1.
            joint: one option beats all that do not fit in a cell.

        Raises:
            RuntimeError: the solver does not reach an optimum.
        """
        import highspy
        from scipy.sparse import csr_matrix

        lead, count, duties = self.lead, len(self.options), self._duties(joint)
        caps = self._caps(lead)
        cost = np.ones(count) if weights is None else np.asarray(weights, np.float64)
        rows: list[int] = []
        columns: list[int] = []
        entries: list[float] = []
        low: list[float] = []
        high: list[float] = []
        picks: list[tuple[int, int, list[int]]] = []
        for s, losers in duties:
            winners = np.flatnonzero(self.fits[s]).tolist()
            first = count + len(picks)
            rows += [len(low)] * len(winners)
            columns += range(first, first + len(winners))
            entries += [1.0] * len(winners)
            low.append(1.0)
            high.append(1.0)
            for z, k in enumerate(winners, start=first):
                for loser in losers:
                    slack = max(0.0, lead[s, k, loser] + caps[k])  # delta_l - delta_k >= -caps[k] in any case
                    rows += [len(low)] * 3
                    columns += [loser, k, z]
                    entries += [1.0, -1.0, -slack]
                    low.append(lead[s, k, loser] - slack)
                    high.append(highspy.kHighsInf)
                picks.append((s, k, losers))
        size = count + len(picks)
        matrix = csr_matrix((entries, (rows, columns)), shape=(len(low), size))
        matrix.sum_duplicates()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = size, len(low)
        lp.col_cost_ = np.concatenate((cost, np.zeros(len(picks))))
        lp.col_lower_, lp.col_upper_ = np.zeros(size), np.concatenate((caps, np.ones(len(picks))))
        lp.row_lower_, lp.row_upper_ = np.array(low), np.array(high)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        lp.integrality_ = [highspy.HighsVarType.kContinuous] * count + [highspy.HighsVarType.kInteger] * len(picks)
        solver = cast(Any, highspy.Highs)()
        for name, value in (
            ("output_flag", False), ("threads", 1), ("mip_feasibility_tolerance", 1e-9), ("mip_rel_gap", 0.0),
            ("mip_abs_gap", 1e-10), ("primal_feasibility_tolerance", 1e-9),
        ):  # fmt: skip
            solver.setOptionValue(name, value)
        if solver.passModel(lp) == highspy.HighsStatus.kError:
            raise RuntimeError("highs: the program was refused")
        start = time.process_time()
        solver.run()
        seconds = time.process_time() - start
        status = solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"highs: stopped with {solver.modelStatusToString(status)}")
        chosen = np.asarray(solver.getSolution().col_value)[count:] > 0.5
        delta = self._paths(lead, [pick for pick, taken in zip(picks, chosen, strict=True) if taken])
        return Solved(delta, self._cost(delta, weights), seconds, len(picks))

    def cp_sat(self, weights: Sequence[int] | None = None, *, unit: float, joint: bool = False) -> Solved:
        """The optimum by OR-Tools CP-SAT in multiples of `unit`, every lead rounded up; all arithmetic is exact.

        Args:
            weights: (K,) whole numbers; default: all 1.
            unit: of the price changes.
            joint: see `highs`.

        Raises:
            ModuleNotFoundError: OR-Tools is not installed (`pip install walras[programs]`).
            RuntimeError: the solver does not reach an optimum.
        """
        from ortools.sat.python import cp_model

        lead = np.ceil(self.lead / unit - 1e-9).astype(np.int64)
        cost = [1] * len(self.options) if weights is None else [int(w) for w in weights]
        model = cast(Any, cp_model.CpModel)()
        change = [model.new_int_var(0, int(cap), f"delta{k}") for k, cap in enumerate(self._caps(lead))]
        binaries = 0
        for s, losers in self._duties(joint):
            group = []
            for k in np.flatnonzero(self.fits[s]).tolist():
                z = model.new_bool_var(f"z{binaries}")
                binaries += 1
                group.append(z)
                for loser in losers:
                    model.add(change[loser] - change[k] >= int(lead[s, k, loser])).only_enforce_if(z)
            model.add_exactly_one(group)
        model.minimize(sum(w * variable for w, variable in zip(cost, change, strict=True)))
        solver = cast(Any, cp_model.CpSolver)()
        solver.parameters.num_workers = 1
        start = time.process_time()
        status = solver.solve(model)
        seconds = time.process_time() - start
        if status != cp_model.OPTIMAL:
            raise RuntimeError(f"cp_sat: stopped with {solver.status_name(status)}")
        delta = np.array([solver.value(variable) for variable in change]) * unit
        return Solved(delta, self._cost(delta, weights), seconds, binaries)

    def _duties(self, joint: bool) -> list[tuple[int, list[int]]]:
        """Cells with the options that one fitting option has to beat there."""
        losing = ~self.fits & (self.lead[:, 0] > 0.0)  # the others lose against the null option as it is
        if joint:
            return [(int(s), np.flatnonzero(~self.fits[s]).tolist()) for s in np.flatnonzero(losing.any(axis=1))]
        return [(int(s), [int(loser)]) for s, loser in np.argwhere(losing)]

    def _caps(self, lead: Array) -> Array:
        """What each option's price need never exceed: the change at which the null option wins everywhere."""
        return np.maximum(0, np.where(self.fits, 0, lead[:, 0]).max(axis=0, initial=0))

    def _paths(self, lead: Array, picks: Sequence[tuple[int, int, list[int]]]) -> Array:
        """Least price changes (K,) under which, for each (s, k, losers), option k beats the losers in cell s."""
        delta = np.zeros(len(self.options))
        for _ in range(len(delta) + 1):
            before = delta.copy()
            for s, k, losers in picks:
                delta[losers] = np.maximum(delta[losers], lead[s, k, losers] + delta[k])
            if np.array_equal(before, delta):
                return delta
        raise RuntimeError("highs: the options chosen push each other up without end")

    def _cost(self, delta: Array, weights: Sequence[float] | None) -> float:
        return float(delta.sum() if weights is None else delta @ np.asarray(weights, np.float64))


def programs(
    mechanism: CellMenus, order: Sequence[int] | None = None, *, margin: float | None = None
) -> Iterator[Program]:
    """The programs that have something to decide, in the order in which the transform meets them.

    What earlier bidders may be promised is that of their transformed menus, so each program is the one that
    `transform` solves.

    Args:
        mechanism: menus before the transform.
        order: see `transform`.
        margin: see `transform`.

    Raises:
        ValueError: see `transform`.
    """
    order = as_order(mechanism, order)
    margin = 2.0**-mechanism.bits if margin is None else float(margin)
    used = np.zeros((*mechanism.cells, mechanism.items))
    for rank, i in enumerate(order):
        if rank:
            room = residual(used, i)
            low, high = mechanism.boxes(i)
            centre, half = 0.5 * (low + high), 0.5 * (high - low)
            for t, (options, prices) in enumerate(zip(mechanism.options[i], mechanism.prices[i], strict=True)):
                fits = (options[None] <= room[t][:, None]).all(axis=2)
                program = Program(centre @ options.T - prices, half, options, fits, margin, i, t)
                if program.busy().any():
                    yield program
        used = treat(mechanism, i, used, margin if rank else -1.0, 2.0**-mechanism.bits)[2]
