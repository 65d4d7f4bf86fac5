"""Markets of unit-demand buyers and unit-supply sellers: named instances, random ones, and the parts of an argument.

Shapes: `B` markets, `n` buyers, `m` sellers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from walras.envs.arguments import whole
from walras.envs.game import Array


@dataclass(frozen=True, eq=False)
class Market:
    """Who values what, who knows whom, and what goods cost to make.

    Attributes:
        values: (n, m) int64 or float64, nonnegative: what buyer i would give for the good of seller j.
        known: (n, m) bool: i and j can trade without a platform.
        costs: (m,) nonnegative, what seller j pays to make her good when she sells it; `None`: nothing.
    """

    values: Array
    known: Array
    costs: Array | None = None

    def __post_init__(self) -> None:
        """Turn lists into arrays and check them.

        Raises:
            ValueError: naming the field that does not fit.
        """
        values = _numbers("values", self.values, 2)
        known = np.asarray(self.known)
        if known.dtype.kind not in "biu" or known.shape != values.shape or not np.isin(known, (0, 1)).all():
            raise ValueError(f"known: 0, 1 or bool of shape {values.shape} is needed, got {known.dtype}{known.shape}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "known", known.astype(bool))
        if self.costs is not None:
            costs = _numbers("costs", self.costs, 1)
            if costs.shape != values.shape[1:]:
                raise ValueError(f"costs: one for each of {values.shape[1]} sellers is needed, got {costs.shape}")
            object.__setattr__(self, "costs", costs)

    @property
    def buyers(self) -> int:
        """Number of buyers, n."""
        return int(self.values.shape[0])

    @property
    def sellers(self) -> int:
        """Number of sellers, m."""
        return int(self.values.shape[1])

    @property
    def homogeneous(self) -> bool:
        """Every buyer values all goods alike, and they cost nothing."""
        return self.costs is None and bool((self.values == self.values[:, :1]).all())

    def __repr__(self) -> str:
        """The numbers, so that equal markets print alike."""
        costs = "" if self.costs is None else f", costs={self.costs.tolist()}"
        return f"Market(values={self.values.tolist()}, known={self.known.astype(int).tolist()}{costs})"


def as_market(market: Market | str | Mapping[str, Any]) -> Market:
    """A market, one by its name in `INSTANCES`, or one from its fields as JSON has them.

    Raises:
        ValueError: if the name is unknown or the fields do not fit.
        TypeError: for anything else.
    """
    if isinstance(market, Market):
        return market
    if isinstance(market, str):
        if market not in INSTANCES:
            raise ValueError(f"market must be one of {sorted(INSTANCES)}, a Market or its fields, got {market!r}")
        return INSTANCES[market]()
    if isinstance(market, Mapping):
        if not {"values", "known"} <= set(market) <= {"values", "known", "costs"}:
            raise ValueError(f"market: values, known and perhaps costs are needed, got {sorted(market)}")
        return Market(**{**market, "costs": market.get("costs")})
    raise TypeError(f"market: a Market, a name or a mapping is needed, got {market!r}")


def _numbers(name: str, given: Any, ndim: int) -> Array:
    array = np.asarray(given)
    if array.dtype.kind not in "iufb" or array.ndim != ndim or not array.size:
        raise ValueError(f"{name}: numbers of {ndim} dimensions are needed, got {array.dtype}{array.shape}")
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    if not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"{name} must be finite and nonnegative, got {array.tolist()}")
    return array


def homogeneous(values: Sequence[float], known: Sequence[Sequence[int]], sellers: int) -> Market:
    """Goods all alike: one value for each buyer, and the sellers each buyer knows."""
    graph = np.zeros((len(values), sellers), bool)
    for i, sellers_known in enumerate(known):
        graph[i, list(sellers_known)] = True
    return Market(np.repeat(np.asarray(values)[:, None], sellers, axis=1), graph)


def tight(fee: Fraction | float = Fraction(1, 2)) -> Market:
    """Two buyers, two sellers: at `fee` an equilibrium without anybody on the platform attains the welfare bound.

    Args:
        fee: in (0, 1); a Fraction with denominator d gives integers, values times d.
    """
    if not 0 < fee < 1:
        raise ValueError(f"fee must lie strictly between 0 and 1, got {fee!r}")
    scale = fee.denominator if isinstance(fee, Fraction) else 1
    rest = (1 - fee) * scale
    number = int(rest) if isinstance(fee, Fraction) else float(rest)
    return Market(np.array([[number, number], [scale, 0]]), np.array([[1, 0], [0, 0]]))


def harmonic(sellers: int = 3, fine: int = 1) -> Market:
    """Buyers worth 1, 1/2, ..., 1/K whom nobody knows, and one poor buyer for each seller who knows her alone.

    An unregulated platform prefers one seller at a high fee, and welfare falls by a factor that tends to
    1 + 1/2 + ... + 1/K as the poor get poorer.

    Args:
        sellers: K >= 1.
        fine: divides the values of the poor (by multiplying those of the others: all are integers, and with K = 3 and
            `fine=1` hundredths of 60, 30, 20 and of 0.06, 0.24, 0.54).

    Raises:
        ValueError: if a number is no integer of at least 1.
    """
    whole("sellers", sellers)
    scale = int(np.lcm.reduce(np.arange(1, sellers + 1)))
    top = scale * -(-60 // scale) * 100
    rich = [top // k * whole("fine", fine) for k in range(1, sellers + 1)]
    poor = [top * (j + 1) ** 2 // 1000 for j in range(sellers)]
    return homogeneous(rich + poor, [[] for _ in rich] + [[j] for j in range(sellers)], sellers)


INSTANCES: dict[str, Callable[[], Market]] = {
    "general": lambda: Market(
        np.array([[9, 6, 0], [7, 5, 4], [8, 3, 6], [2, 2, 5]]),
        np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 1, 1]]),
    ),
    "chain": lambda: homogeneous([10, 7, 5, 3, 2], [[0], [0, 1], [1, 2], [2], [3]], 4),
    "forest": lambda: homogeneous([10, 7, 5, 3, 2], [[0, 1], [1, 2], [2], [0], []], 4),
    "tight": lambda: Market(np.array([[2, 2], [4, 0]]), np.array([[1, 0], [0, 0]])),
    "no-pure-equilibrium": lambda: Market(
        np.array([[5, 4, 8], [6, 7, 6], [5, 3, 5]]), np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0]])
    ),
    "outsider": lambda: homogeneous([1, 1], [[0, 1], []], 2),
    "harmonic": harmonic,
    "sawtooth": lambda: homogeneous([12, 10, 9, 6, 4, 3, 1], [[], [], [], [3], [0], [1], [2]], 4),
    "general-sweep": lambda: Market(
        np.array([[8, 5, 3], [6, 7, 2], [4, 4, 6], [3, 6, 5]]),
        np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]),
    ),
    "two-equilibria": lambda: homogeneous([12, 9, 6, 4, 2], [[0], [], [1], [2], [2, 3]], 4),
    "general-loss": lambda: Market(
        np.array([[1_000_000, 42_388, 988_328], [433, 0, 10_094], [69_297, 52_250, 29_788]]),
        np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]]),
    ),
    "costs": lambda: Market(
        np.array([[3, 44], [37, 31], [3, 36]]), np.array([[1, 0], [0, 1], [0, 0]]), np.array([11, 9])
    ),
}
"""Worked instances, each computed by hand or by brute force, in the order of the documentation."""


# -- random markets: uniforms in, values out ---------------------------------------------------------------------------

INTEGER_TOP = 20


def _alike(u: Array) -> Array:
    return np.repeat(u[..., :1], u.shape[-1], axis=-1)


LAWS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "uniform": (lambda u: u, 1.0),
    "homogeneous-uniform": (_alike, 1.0),
    "integer": (lambda u: 1 + (u * INTEGER_TOP).astype(np.int64), float(INTEGER_TOP)),
    "homogeneous-integer": (lambda u: 1 + (_alike(u) * INTEGER_TOP).astype(np.int64), float(INTEGER_TOP)),
}
"""What turns uniforms (B, n, m) into values, by the name of the law, with the largest value there can be."""


def draw_markets(rng: np.random.Generator, batch: int, buyers: int, sellers: int, law: str, edge: float) -> Any:
    """Values and acquaintance, (B, n, m) each, of independent random markets: two calls of `rng.random`.

    Args:
        rng: source of uniforms.
        batch: B.
        buyers: n >= 1.
        sellers: m >= 1.
        law: a name in `LAWS`.
        edge: probability that a pair knows each other, in [0, 1].

    Raises:
        ValueError: if the law is unknown or `edge` is no probability.
    """
    values_of, _ = LAWS[known_law(law)]
    if isinstance(edge, bool) or not isinstance(edge, int | float) or not 0 <= edge <= 1:
        raise ValueError(f"edge must be a probability, got {edge!r}")
    shape = (batch, whole("buyers", buyers), whole("sellers", sellers))
    return values_of(rng.random(shape)), rng.random(shape) < edge


def known_law(law: str) -> str:
    """The law, if it is known.

    Raises:
        ValueError: naming the laws otherwise.
    """
    if law not in LAWS:
        raise ValueError(f"law must be one of {sorted(LAWS)}, got {law!r}")
    return law
