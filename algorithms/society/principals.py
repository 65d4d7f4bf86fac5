"""Principals that learn from what policies led to: a grid, bandits, a Gaussian process, Saez' formula, a callable.

A principal of this module is a pure function of the record of the past: it keeps nothing, so a run that is resumed
proposes what it would have proposed. The record holds every candidate for the objective, not a payoff, so when a vote
changes the objective, all that was tried before still counts. Long, because all principals stand side by side.

Shapes: `T` trials, `k` numbers of the policy, `K` objectives, `n` citizens.
"""

from __future__ import annotations

import abc
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from walras.envs.arguments import real, switch, whole
from walras.envs.game import Array

Proposer = Callable[[list[dict[str, Any]], list[float]], Sequence[float]]
"""From the history (a dict with `policy` and `payoff` for each trial) and the weights to the next policy."""


@dataclass
class Record:
    """What was tried and what came of it, in order.

    Attributes:
        low: (k,) least policy.
        high: (k,) largest policy.
        policy: (T, k).
        measures: (T, K) the objectives.
        utility: (T, n) utilities of citizens.
        income: (T, n) incomes before tax, where a tax has a base; else as `utility`.
    """

    low: Array
    high: Array
    policy: Array
    measures: Array
    utility: Array
    income: Array

    @classmethod
    def empty(cls, low: Array, high: Array, objectives: int, people: int) -> Record:
        """Nothing tried yet."""
        none = np.zeros((0, people))
        return cls(low, high, np.zeros((0, len(low))), np.zeros((0, objectives)), none, none)

    def add(self, policy: Array, measures: Array, utility: Array | None = None, income: Array | None = None) -> None:
        """One more trial: `policy` (k,), `measures` (K,), and, where known, `utility` and `income` (n,)."""
        people = self.utility.shape[1]
        utility = np.zeros(people) if utility is None else np.asarray(utility, np.float64)
        income = utility if income is None else np.asarray(income, np.float64)
        self.policy = np.vstack([self.policy, np.asarray(policy, np.float64)[None]])
        self.measures = np.vstack([self.measures, np.asarray(measures, np.float64)[None]])
        self.utility, self.income = np.vstack([self.utility, utility[None]]), np.vstack([self.income, income[None]])

    def __len__(self) -> int:
        """T."""
        return len(self.policy)

    def payoff(self, weights: Array) -> Array:
        """(T,) what each trial was worth under an objective."""
        worth: Array = self.measures @ np.asarray(weights, np.float64)
        return worth

    def arms(self, weights: Array) -> tuple[Array, Array, Array]:
        """Distinct policies (A, k) with their mean payoff (A,) and how often each was tried (A,)."""
        arms, which = np.unique(self.policy, axis=0, return_inverse=True)
        which = which.reshape(-1)
        count = np.bincount(which, minlength=len(arms))
        return arms, np.bincount(which, self.payoff(weights), len(arms)) / np.maximum(count, 1), count

    def snapshot(self) -> dict[str, Array]:
        """As plain arrays."""
        return {name: getattr(self, name).copy() for name in ("policy", "measures", "utility", "income")}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go back to a `snapshot`."""
        for name in ("policy", "measures", "utility", "income"):
            setattr(self, name, np.array(arrays[name]))


class Principal(abc.ABC):
    """Somebody who proposes policies, knowing the record and the objective."""

    @abc.abstractmethod
    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """(k,) the policy to try next under the objective `weights` (K,)."""

    def best(self, record: Record, weights: Array) -> Array:
        """(k,) what it would settle on: the policy with the best mean payoff.

        Raises:
            ValueError: if nothing was tried.
        """
        if not len(record):
            raise ValueError("record: nothing was tried yet")
        arms, mean, _ = record.arms(weights)
        chosen: Array = arms[int(np.argmax(mean))]
        return chosen


@dataclass(frozen=True)
class Fixed(Principal):
    """Always the same policy.

    Attributes:
        policy: the numbers; empty: the least ones (no tax).
    """

    policy: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check that they are numbers (ValueError otherwise)."""
        _numbers("policy", self.policy)

    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """The policy.

        Raises:
            ValueError: if it has another length than the levers ask for, or lies outside their bounds.
        """
        chosen = np.asarray(self.policy, np.float64) if len(self.policy) else record.low.copy()
        if chosen.shape != record.low.shape or not ((record.low <= chosen) & (chosen <= record.high)).all():
            raise ValueError(
                f"policy: {len(record.low)} numbers within {record.low.tolist()} and {record.high.tolist()} are "
                f"needed, got {self.policy!r}"
            )
        return chosen

    def best(self, record: Record, weights: Array) -> Array:
        """The policy."""
        return self.propose(record, weights, np.random.default_rng(0))


@dataclass(frozen=True)
class Uniform(Principal):
    """A policy drawn uniformly, every time."""

    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """A draw within the bounds."""
        return np.asarray(record.low + rng.random(len(record.low)) * (record.high - record.low))


@dataclass(frozen=True)
class Bandit(Principal):
    """Chooses among the policies of a grid.

    Attributes:
        points: evenly spaced numbers for each entry of the policy, >= 2; the grid has `points ** k` policies.
        tie: all entries of the policy are equal (uniform rates): the grid has `points` policies.
    """

    points: int = 11
    tie: bool = False

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        whole("points", self.points, 2)
        switch("tie", self.tie)

    def grid(self, record: Record) -> Array:
        """(A, k) all policies, the last entry running fastest.

        Raises:
            ValueError: if there are more than a million.
        """
        k = len(record.low)
        if self.tie:
            share = np.linspace(0.0, 1.0, self.points)[:, None]
            return np.asarray(record.low + share * (record.high - record.low))
        if self.points**k > 1_000_000:
            raise ValueError(f"points: {self.points} ** {k} policies are too many")
        axes = [np.linspace(low, high, self.points) for low, high in zip(record.low, record.high, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, k)

    def tried(self, record: Record, weights: Array) -> tuple[Array, Array, Array]:
        """The grid (A, k), how often each was tried (A,), and payoffs' sums (A,)."""
        grid = self.grid(record)
        count, total = np.zeros(len(grid), np.int64), np.zeros(len(grid))
        if len(record):
            arms, mean, times = record.arms(weights)
            # Trials are grid policies exactly, for the grid is where proposals come from.
            place = {arm.tobytes(): i for i, arm in enumerate(grid)}
            for arm, value, n in zip(arms, mean, times, strict=True):
                i = place.get(arm.tobytes())
                if i is not None:
                    count[i], total[i] = n, value * n
        return grid, count, total

    @abc.abstractmethod
    def pick(self, count: Array, total: Array, record: Record, weights: Array, rng: np.random.Generator) -> int:
        """The number of the next policy."""

    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """A policy of the grid."""
        grid, count, total = self.tried(record, weights)
        chosen: Array = grid[self.pick(count, total, record, weights, rng)]
        return chosen.copy()


@dataclass(frozen=True)
class Grid(Bandit):
    """Every policy of the grid `repeats` times in turn, then the one with the best mean for ever.

    Attributes:
        repeats: >= 1.
    """

    repeats: int = 1

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        super().__post_init__()
        whole("repeats", self.repeats)

    def pick(self, count: Array, total: Array, record: Record, weights: Array, rng: np.random.Generator) -> int:
        """The one tried least, until all have had their turns."""
        if count.min() < self.repeats:
            return int(np.argmin(count))
        return int(np.argmax(total / count))


@dataclass(frozen=True)
class UCB(Bandit):
    """UCB1 (Auer et al. 2002): every policy once, then the best upper bound; payoffs scaled to the range seen.

    Attributes:
        explore: width of the bound, `explore * sqrt(2 log t / count)`, >= 0.
    """

    explore: float = 0.2

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        super().__post_init__()
        real("explore", self.explore, 0.0)

    def pick(self, count: Array, total: Array, record: Record, weights: Array, rng: np.random.Generator) -> int:
        """An untried one, drawn; else the best bound."""
        untried = np.flatnonzero(count == 0)
        if len(untried):
            return int(untried[int(rng.random() * len(untried))])
        mean, payoff = total / count, record.payoff(weights)
        span = max(float(payoff.max() - payoff.min()), 1e-12)
        bound = (mean - payoff.min()) / span + self.explore * np.sqrt(2.0 * np.log(count.sum()) / count)
        return int(np.argmax(bound))


@dataclass(frozen=True)
class EpsilonGreedy(Bandit):
    """The best mean so far; with probability epsilon, and at first, any policy.

    Attributes:
        epsilon: in [0, 1].
    """

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        super().__post_init__()
        real("epsilon", self.epsilon, 0.0, 1.0)

    def pick(self, count: Array, total: Array, record: Record, weights: Array, rng: np.random.Generator) -> int:
        """A draw, or the best."""
        coin, u = rng.random(), rng.random()
        if not count.any() or coin < self.epsilon:
            return int(u * len(count))
        return int(np.argmax(np.where(count > 0, total / np.maximum(count, 1), -np.inf)))


@dataclass(frozen=True)
class Thompson(Bandit):
    """Thompson sampling with normal payoffs of unknown mean and variance (normal-inverse-gamma prior).

    Attributes:
        mean: prior mean.
        count: weight of the prior mean in trials, > 0.
        shape: of the variance's inverse-gamma law, > 0.
        scale: of it, > 0.
    """

    mean: float = 0.0
    count: float = 0.05
    shape: float = 1.0
    scale: float = 25.0

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        super().__post_init__()
        real("mean", self.mean)
        for name in ("count", "shape", "scale"):
            real(name, getattr(self, name), 0.0, above=True)

    def pick(self, count: Array, total: Array, record: Record, weights: Array, rng: np.random.Generator) -> int:
        """The best of one draw from each policy's posterior."""
        arms = len(count)
        square = np.zeros(arms)
        if len(record):
            grid = self.grid(record)
            place = {arm.tobytes(): i for i, arm in enumerate(grid)}
            for policy, payoff in zip(record.policy, record.payoff(weights), strict=True):
                i = place.get(policy.tobytes())
                if i is not None:
                    square[i] += payoff**2
        mean = np.where(count > 0, total / np.maximum(count, 1), 0.0)
        spread = np.maximum(square - count * mean**2, 0.0)
        weight = self.count + count
        centre = (self.count * self.mean + total) / weight
        shape = self.shape + count / 2.0
        scale = self.scale + spread / 2.0 + self.count * count * (mean - self.mean) ** 2 / (2.0 * weight)
        variance = scale / rng.gamma(shape)
        return int(np.argmax(rng.normal(centre, np.sqrt(variance / weight))))


@dataclass(frozen=True)
class GaussianProcess(Principal):
    """Gaussian-process regression with expected improvement (Jones, Schonlau and Welch 1998); scikit-learn fits it.

    Attributes:
        first: policies spread over the bounds before the process is asked, >= 2.
        candidates: policies among which the improvement is compared, >= 1.
        noise: whether payoffs are noisy (a white-noise term is fitted).
        window: only so many latest trials are fitted, >= 2 (the cost grows with the cube).
    """

    first: int = 10
    candidates: int = 1024
    noise: bool = True
    window: int = 400

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        for name, least in (("first", 2), ("candidates", 1), ("window", 2)):
            whole(name, getattr(self, name), least)
        switch("noise", self.noise)

    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """The largest expected improvement among random policies and small steps from the best ones."""
        from scipy.stats import norm, qmc

        k = len(record.low)
        span = record.high - record.low
        if len(record) < self.first:
            share: Array = qmc.Sobol(k, scramble=False).random_base2(max(self.first - 1, 1).bit_length())[len(record)]
            return np.asarray(record.low + share * span)
        x, y = self._data(record, weights)
        model = self._fitted(x, y)
        near = x[np.argsort(-y)[:5]][rng.integers(min(5, len(x)), size=self.candidates // 2)]
        near = np.clip(near + rng.normal(0.0, 0.03, near.shape), 0.0, 1.0)
        points = np.concatenate([rng.random((self.candidates - len(near), k)), near])
        mean, deviation = model.predict(points, return_std=True)
        top = float(model.predict(x).max()) if self.noise else float(y.max())
        gain = mean - top
        z = gain / np.maximum(deviation, 1e-12)
        improvement = gain * norm.cdf(z) + deviation * norm.pdf(z)
        return np.asarray(record.low + points[int(np.argmax(improvement))] * span)

    def best(self, record: Record, weights: Array) -> Array:
        """The maximum of the fitted mean, climbed from the best trials."""
        from scipy.optimize import minimize

        if len(record) < self.first:
            return super().best(record, weights)
        x, y = self._data(record, weights)
        model = self._fitted(x, y)
        mean = model.predict(x)
        best, value = x[int(np.argmax(mean))], float(mean.max())
        for start in x[np.argsort(-mean)[:5]]:
            found = minimize(
                lambda point: -float(model.predict(point[None])[0]), start, bounds=[(0.0, 1.0)] * x.shape[1],
                method="L-BFGS-B",
            )  # fmt: skip
            if -found.fun > value:
                best, value = found.x, float(-found.fun)
        return np.asarray(record.low + best * (record.high - record.low))

    def _data(self, record: Record, weights: Array) -> tuple[Array, Array]:
        x = ((record.policy - record.low) / (record.high - record.low))[-self.window :]
        y = record.payoff(weights)[-self.window :]
        scale = float(y.std()) or 1.0
        return x, (y - y.mean()) / scale

    def _fitted(self, x: Array, y: Array) -> Any:
        import warnings

        try:
            from sklearn.exceptions import ConvergenceWarning
            from sklearn.gaussian_process import GaussianProcessRegressor
            from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
        except ImportError as error:
            raise ImportError("a Gaussian process needs scikit-learn: pip install 'walras[society]'") from error
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(x.shape[1], 0.5), (5e-2, 1e1), nu=2.5)
        kernel = kernel + WhiteKernel(1e-3 if self.noise else 1e-8, (1e-9, 1e1) if self.noise else "fixed")
        model = GaussianProcessRegressor(kernel, normalize_y=False, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is an answer too
            return model.fit(x, y)


@dataclass(frozen=True)
class Saez(Principal):
    """Saez' formula for the best linear rate, with the elasticity estimated from the record.

    The best flat rate with a lump sum is `tau = (1 - g) / (1 - g + e)`: e is the elasticity of mean income to the share
    kept, 1 - tau, and g the mean of income weighted by what a unit is worth to the objective in each one's hands,
    relative to the means (Saez 2001; Saez and Stantcheva 2016). e is the slope of log mean income over
    log(1 - tau); g follows from the objective's gradient at the utilities that the last rate led to. For a policy of
    one number in [0, 1].

    Attributes:
        elasticity: used until two different rates were tried, > 0.
        first: rates in [0, 1] tried at first, one or more.
        worth: gradient of the objective: a callable from utilities (n,) and weights (K,) to (n,); set by the rounds.
    """

    elasticity: float = 1.0
    first: tuple[float, ...] = (0.2, 0.5)
    worth: Callable[[Array, Array], Array] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the numbers (ValueError otherwise)."""
        real("elasticity", self.elasticity, 0.0, above=True)
        if not _numbers("first", self.first) or not all(0 <= rate <= 1 for rate in self.first):
            raise ValueError(f"first: one rate in [0, 1] or more is needed, got {self.first!r}")

    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """The formula at the latest incomes."""
        if len(record.low) != 1:
            raise ValueError(f"saez: a policy of one rate is needed, this one has {len(record.low)} numbers")
        if len(record) < len(self.first):
            return np.array([self.first[len(record)]])
        keep, income = 1.0 - record.policy[:, 0], record.income.mean(axis=1)
        sound = (keep > 1e-3) & (income > 1e-12)
        slope = self.elasticity
        if len(np.unique(keep[sound])) > 1:
            x, y = np.log(keep[sound]), np.log(income[sound])
            slope = max(float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()), 1e-3)
        last = record.income[-1]
        g = self._worth(record.utility[-1], weights)
        g = g / max(float(g.mean()), 1e-12)
        share = float((g * last).mean() / max(last.mean(), 1e-12))
        rate = (1.0 - share) / (1.0 - share + slope)
        return np.asarray(np.clip(np.array([rate]), record.low, record.high))

    def best(self, record: Record, weights: Array) -> Array:
        """The formula once more."""
        return self.propose(record, weights, np.random.default_rng(0))

    def _worth(self, utility: Array, weights: Array) -> Array:
        if self.worth is None:
            raise ValueError("saez: the gradient of the objective is missing")
        return np.asarray(self.worth(utility, weights), np.float64)


@dataclass(frozen=True)
class Proposals(Principal):
    """A callable proposes, a language model for example; all it is told and answers can be kept and played back.

    Attributes:
        propose_next: `f(history, weights) -> numbers`; `None`: only the transcript speaks.
        transcript: file of JSON lines, one a proposal: `{"trial": t, "weights": [...], "policy": [...]}`. What it holds
            is not asked again, so a run with a whole transcript needs no callable and repeats itself.
    """

    propose_next: Proposer | None = None
    transcript: str | None = None

    def propose(self, record: Record, weights: Array, rng: np.random.Generator) -> Array:
        """The transcript's answer for this trial, or the callable's, which is written down.

        Raises:
            ValueError: if neither has one, or the answer is no policy within the bounds.
        """
        trial = len(record)
        asked = [float(x) for x in weights]
        for line in self._lines():
            if line.get("trial") == trial and line.get("weights") == asked:
                return self._checked(line.get("policy"), record)
        if self.propose_next is None:
            raise ValueError(f"transcript: {self.transcript!r} has no proposal for trial {trial} and weights {asked}")
        history = [
            {"policy": policy.tolist(), "payoff": float(payoff)}
            for policy, payoff in zip(record.policy, record.payoff(weights), strict=True)
        ]
        answer = self._checked(self.propose_next(history, asked), record)
        if self.transcript is not None:
            with open(self.transcript, "a", encoding="utf-8") as file:
                file.write(json.dumps({"trial": trial, "weights": asked, "policy": answer.tolist()}) + "\n")
        return answer

    def _lines(self) -> list[dict[str, Any]]:
        if self.transcript is None or not Path(self.transcript).exists():
            return []
        text = Path(self.transcript).read_text(encoding="utf-8")
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise ValueError(f"transcript: {self.transcript!r} is not a file of JSON lines: {error}") from error

    def _checked(self, answer: Any, record: Record) -> Array:
        try:
            policy = np.asarray(answer, np.float64)
        except (TypeError, ValueError):
            policy = np.zeros(0)
        if policy.shape != record.low.shape or not ((record.low <= policy) & (policy <= record.high)).all():
            raise ValueError(
                f"proposal: {len(record.low)} numbers within {record.low.tolist()} and {record.high.tolist()} are "
                f"needed, got {answer!r}"
            )
        return policy


def _numbers(name: str, given: Any) -> tuple[float, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ValueError(f"{name} must be a list of numbers, got {given!r}")
    return tuple(real(name, number) for number in given)


PRINCIPALS: dict[str, type[Principal]] = {
    "fixed": Fixed,
    "uniform": Uniform,
    "grid": Grid,
    "ucb": UCB,
    "epsilon-greedy": EpsilonGreedy,
    "thompson": Thompson,
    "gaussian-process": GaussianProcess,
    "saez": Saez,
    "transcript": Proposals,
}
"""Principals by the name that scenarios use (`ppo` and `dual-rl` are networks, in `neural`)."""


def as_principal(given: Principal | str | Mapping[str, Any]) -> Principal:
    """A principal from its name, or from `{"method": name, ...}` with its settings.

    Raises:
        ValueError: if the name or a setting is unknown, or a number is out of range.
    """
    if isinstance(given, Principal):
        return given
    settings = {"method": given} if isinstance(given, str) else dict(given)
    name = settings.pop("method", None)
    if name not in PRINCIPALS:
        raise ValueError(f"principal: method must be one of {[*PRINCIPALS, 'ppo', 'dual-rl']}, got {name!r}")
    kind: Any = PRINCIPALS[name]
    known = {entry.name for entry in dataclasses.fields(kind)} - {"worth", "propose_next"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"principal {name!r}: unknown settings {unknown}; known are {sorted(known)}")
    made: Principal = kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()})
    return made
