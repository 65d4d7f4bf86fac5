"""A one-step economy of work and a flat tax whose best policies are closed forms: it certifies the policy layer.

Person i with wage w_i works l_i, earns w_i l_i, keeps the share 1 - tau, receives an equal part of the proceeds, and
minds work by l_i^2 / 2:

    u_i = (1 - tau) w_i l_i + tau mean_j(w_j l_j) - l_i^2 / 2

With the lump sum taken as given, l_i = w_i (1 - tau); with m = mean(w^2),

    u_i(tau) = w_i^2 (1 - tau)^2 / 2 + tau (1 - tau) m
    mean welfare m (1 - tau^2) / 2, revenue a head tau (1 - tau) m (largest at 1/2)
    best for i: max(0, (m - w_i^2) / (2 m - w_i^2)), single-peaked in tau

Derived here; the setting is the textbook one of Mirrlees (1971) and Meltzer and Richard (1981) in its simplest form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Observation, Policy, Role, Truth
from walras.envs.society.layer import Society
from walras.envs.society.levers import PeriodTax
from walras.envs.society.welfare import as_welfare

_SOURCE = "derived here; Meltzer and Richard (1981), Journal of Political Economy 89"


class LabourState(NamedTuple):
    """State of the labour economy.

    Attributes:
        effort: (B, n) of the year last worked (zeros before).
        year: (B,) years worked.
    """

    effort: Array
    year: Array


class LabourEconomy(Game[LabourState]):
    """People with different wages choose how much to work; untaxed by itself.

    ## Description
    Every year person i works l_i, earns `w_i l_i` and minds it by `l_i^2 / 2`. People do not touch each other; a tax
    with a lump sum, put over it by `Society`, makes them.

    ## Action space
    Effort, `Box(0, max(w), (1,))`; with `grid=g` `Discrete(g)`, evenly spaced efforts from 0 to max(w).

    ## Observation space
    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 | own wage | 0 | max(w) |
    | 1 | share of the years worked (several years only) | 0 | 1 |

    ## Rewards
    `w_i l_i - l_i^2 / 2`.

    ## Episode end
    After `years` years, by the rules.

    ## Info
    `income` and `effort` of the year last worked.

    Source: the simplest economy of Mirrlees (1971) and Meltzer and Richard (1981); closed forms derived here.
    """

    def __init__(self, wages: Sequence[float] = (1.0, 2.0, 3.0), *, years: int = 1, grid: int | None = None) -> None:
        """Set the parameters.

        Args:
            wages: one a person, nonnegative, not all zero.
            years: >= 1.
            grid: number of efforts, >= 2; `None`: any.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.wages = np.asarray(wages, np.float64)
        if self.wages.ndim != 1 or not self.wages.size or not np.isfinite(self.wages).all():
            raise ValueError(f"wages: finite numbers are needed, got {wages!r}")
        if (self.wages < 0).any() or not self.wages.any():
            raise ValueError(f"wages must be nonnegative and not all zero, got {wages!r}")
        self.years = whole("years", years)
        self.grid = None if grid is None else whole("grid", grid, 2)
        top = float(self.wages.max())
        self.levels = None if grid is None else np.linspace(0.0, top, grid)
        """(g,): the efforts of the grid."""
        high = np.array([top] + [1.0] * (years > 1), np.float32)
        high = np.where(high < [top] + [1.0] * (years > 1), np.nextafter(high, np.float32(np.inf)), high)
        work: spaces.Space[Any] = spaces.Box(np.float32(0), high[0], (1,))
        self.roles = (
            Role(
                "worker", len(self.wages), spaces.Box(np.zeros_like(high), high),
                work if grid is None else spaces.Discrete(grid),
            ),
        )  # fmt: skip

    def __repr__(self) -> str:
        """Parameters that tell this economy from others."""
        return f"LabourEconomy(wages={self.wages.tolist()}, years={self.years}, grid={self.grid})"

    def initial(self, batch: int, rng: np.random.Generator) -> LabourState:
        """Nobody has worked."""
        return LabourState(np.zeros((batch, len(self.wages))), np.zeros(batch, np.int64))

    def observe(self, state: LabourState, role: str) -> Array:
        """(B, n, 1 or 2)."""
        batch, n = state.effort.shape
        parts = [np.broadcast_to(self.wages[:, None], (batch, n, 1))]
        if self.years > 1:
            parts.append(np.broadcast_to((state.year / self.years)[:, None, None], (batch, n, 1)))
        return np.concatenate(parts, axis=2)

    def step(
        self, state: LabourState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[LabourState, Array]:
        """A year of work; nothing is random."""
        given = actions["worker"]
        effort = given[..., 0].astype(np.float64) if self.levels is None else self.levels[given]
        effort = np.clip(effort, 0.0, self.wages.max())
        return LabourState(effort, state.year + 1), self.wages * effort - effort**2 / 2

    def terminal(self, state: LabourState) -> Array:
        """After the last year."""
        over: Array = state.year >= self.years
        return over

    def info(self, state: LabourState, role: str) -> dict[str, Array]:
        """Last year's incomes and efforts."""
        return {"income": self.wages * state.effort, "effort": state.effort}

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Untaxed, everybody works as much as the wage says."""
        if self.grid is not None:
            return None
        return {"worker": Worker(0)}


class Worker:
    """Works as is best at the rate it sees (no rate seen: none).

    Args:
        share: 0: the lump sum is taken as given; 1 / n: the own part in it is counted.
    """

    def __init__(self, share: float = 0.0) -> None:
        self.share = share

    def __repr__(self) -> str:
        """For checkpoints."""
        return f"Worker({self.share})"

    def __call__(self, observation: Observation) -> Array:
        """Efforts (B, 1): `w (1 - tau + tau share)`."""
        if isinstance(observation, dict):
            rate = np.asarray(observation["policy"], np.float64)[:, :1]
            wage = np.asarray(observation["game"], np.float64)[:, :1]
        else:
            wage = np.asarray(observation, np.float64)[:, :1]
            rate = np.zeros_like(wage)
        effort: Array = wage * (1.0 - rate + rate * self.share)
        return effort.astype(np.float32)


def efforts(wages: Array, rate: Array | float, share: float = 0.0) -> Array:
    """(..., n) best efforts at rates (...)."""
    tau = np.asarray(rate, np.float64)[..., None]
    return np.asarray(np.asarray(wages, np.float64) * (1.0 - tau + tau * share))


def utilities(wages: Array, rate: Array | float, share: float = 0.0) -> Array:
    """(..., n) utilities at rates (...) when everybody works as is best."""
    tau = np.asarray(rate, np.float64)[..., None]
    work = efforts(wages, rate, share)
    income = np.asarray(wages, np.float64) * work
    return np.asarray((1.0 - tau) * income + tau * income.mean(axis=-1, keepdims=True) - work**2 / 2)


def favourite(wages: Array) -> Array:
    """(n,) the rate that each person likes best (lump sum taken as given)."""
    square = np.asarray(wages, np.float64) ** 2
    m = square.mean()
    best: Array = np.maximum(0.0, (m - square) / (2.0 * m - square))
    return np.where(square >= m, 0.0, best)


def best_rate(wages: Array, objective: str | Mapping[str, Any], share: float = 0.0) -> float:
    """The rate in [0, 1] that is best for an objective: in closed form for utilitarian, egalitarian, else by search.

    Args:
        wages: (n,).
        objective: a welfare function, `"revenue-per-head"`, or `"median-voter"`.
        share: as in `efforts`.
    """
    wages = np.asarray(wages, np.float64)
    square = wages**2
    m = float(square.mean())
    if share == 0:
        if objective == "utilitarian":
            return 0.0
        if objective == "egalitarian":
            least = float(square.min())
            return (m - least) / (2 * m - least)
        if objective == "revenue-per-head":
            return 0.5
    if objective == "median-voter":
        return float(np.sort(favourite(wages))[(len(wages) - 1) // 2])

    def negative(rate: float) -> float:
        u = utilities(wages, rate, share)
        if objective == "revenue-per-head":
            return -float(rate * (wages * efforts(wages, rate, share)).mean())
        return -float(as_welfare(objective, cut=True)(u))

    from scipy.optimize import minimize_scalar

    grid = np.linspace(0.0, 1.0, 2001)
    best = int(np.argmin([negative(float(rate)) for rate in grid]))
    found = minimize_scalar(
        negative, bounds=(grid[max(best - 1, 0)], grid[min(best + 1, 2000)]), method="bounded", options={"xatol": 1e-10}
    )
    return float(found.x if found.fun < negative(float(grid[best])) else grid[best])


class LabourTax(Society):
    """The labour economy under a flat tax with a lump sum, one principal or a vote: the certified society.

    ## Description
    `Society` over `LabourEconomy` with one lever, a rate in [0, 1] on income, its proceeds given back in equal parts.
    Workers who see the rate answer it at once, and the best rate of every objective is known.

    ## Action space
    Principal: the rate, `Box(0, 1, (1,))`, or `MultiDiscrete([g + 1])`. Workers: effort. Voters, with a vote: a ballot.

    ## Observation space
    As in `Society`; workers see their wage and the rate.

    ## Rewards
    As in `Society`; the principal's is the objective of the workers' utilities.

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    As in `Society`.

    Source: closed forms derived here; Meltzer and Richard (1981) for the median voter.
    """

    def __init__(
        self,
        wages: Sequence[float] = (1.0, 2.0, 3.0),
        *,
        objective: str = "utilitarian",
        vote: Mapping[str, Any] | str | None = None,
        rounds: int = 1,
        own_share: bool = False,
        effort_grid: int | None = None,
        grid: int | None = None,
        objectives: Sequence[str | Mapping[str, Any]] = ("utilitarian", "egalitarian", {"welfare": "nash", "eps": 0.0}),
    ) -> None:
        """Set the parameters.

        Args:
            wages: one a person.
            objective: of the principal, one of the objectives.
            vote: as in `Society`.
            rounds: of an episode.
            own_share: whether workers of the known equilibrium count their own part in the lump sum.
            effort_grid: number of efforts; `None`: any.
            grid: number of rates; `None`: any.
            objectives: candidates.

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.wages = np.asarray(wages, np.float64)
        self.own_share = bool(own_share)
        self.objective = objective
        super().__init__(
            LabourEconomy(wages, grid=effort_grid), levers=(PeriodTax((), 1, True, "income"),), objective=objective,
            objectives=objectives, vote=vote, rounds=rounds, grid=grid, steps=1,
        )  # fmt: skip
        self._given = dict(zip(self.objectives, objectives, strict=True))

    @property
    def counted_share(self) -> float:
        """What part of the lump sum workers count as their own doing."""
        return 1.0 / len(self.wages) if self.own_share else 0.0

    def equilibrium(self) -> Mapping[str, Policy] | None:
        """Workers answer the rate they see; the principal sets the best one; voters over the rate want their favourite.

        Nothing is known about ballots for objectives, of a principal who answers to them, and on grids.
        """
        known: dict[str, Policy] = dict(self.answers())
        if self.over == "policy":
            known |= {f"voter_{i}": Rate(float(rate)) for i, rate in enumerate(favourite(self.wages))}
        elif self.rule is None and self.grid is None:
            known["principal"] = Rate(best_rate(self.wages, self._given[self.objective], self.counted_share))
        return known or None

    def answers(self) -> Mapping[str, Policy]:
        """Workers answer the rate they see."""
        return {} if self.game.grid is not None else {"worker": Worker(self.counted_share)}  # type: ignore[attr-defined]

    def truths(self) -> tuple[Truth, ...]:
        """Best rates and what they bring, per round."""
        known = []
        for name, given in self._given.items():
            rate = best_rate(self.wages, given, self.counted_share)
            value = float(as_welfare(given, cut=True)(utilities(self.wages, rate, self.counted_share)))
            known.append(Truth(f"best rate, {name}", rate, "optimum", _SOURCE))
            known.append(Truth(f"largest {name} welfare per round", value, "optimum", _SOURCE))
        if not self.own_share:
            known.append(
                Truth("the median voter's rate", best_rate(self.wages, "median-voter"), "equilibrium", _SOURCE)
            )
            known.append(Truth("rate of the largest revenue", 0.5, "optimum", _SOURCE))
        return tuple(known)


class Rate:
    """The policy that always sets, or votes for, one number."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __repr__(self) -> str:
        """For checkpoints."""
        return f"Rate({self.rate})"

    def __call__(self, observation: Observation) -> Array:
        """(B, 1) float32."""
        return np.full((len(np.asarray(observation)), 1), self.rate, np.float32)
