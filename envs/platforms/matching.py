"""Platform matching: a platform chooses which buyers and sellers to introduce, then the market clears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import whole
from walras.envs.game import Array, Game, Role, Truth, put
from walras.envs.platforms.introductions import (
    LISTED,
    TIES,
    as_graph,
    best_introductions,
    harmonic,
    trade,
    world_and_ideal,
)
from walras.envs.platforms.market import LAWS, Market, as_market, known_law
from walras.envs.platforms.matching_instances import WORKED

FORMS = ("one-shot", "sequential")
_DERIVED = "arXiv 2406.07385 for the model; computed by listing all introductions"


class MatchingState(NamedTuple):
    """State of the introductions (`K` = min(n, m)).

    Attributes:
        values: (B, n, m) int64 or float64.
        world: (B, n, m) bool, who knows whom in this round.
        introduced: (B, n, m) bool, introductions made in this round.
        matching: (B, n) int64, who trades with whom as things stand, -1 for nobody.
        along: (B, n) bool, the buyer's trade runs along an introduced pair.
        welfare: (B,) value of all trades.
        revenue: (B,) prices paid in trades along introduced pairs.
        price_max: (B, m) largest competitive prices, those paid.
        price_min: (B, m) smallest competitive prices.
        world_welfare: (B,) W0 of this round.
        ideal_welfare: (B,) W* of this round.
        score: (B,) float64, what this round's introductions are worth to the designer so far.
        moves: (B,) moves made in this round.
        round: (B,) rounds finished.
        earned: (B,) float64, revenue of all finished rounds.
        optimum: (B,) float64, the largest revenue of the first round where it is asked for, else 0.
    """

    values: Array
    world: Array
    introduced: Array
    matching: Array
    along: Array
    welfare: Array
    revenue: Array
    price_max: Array
    price_min: Array
    world_welfare: Array
    ideal_welfare: Array
    score: Array
    moves: Array
    round: Array
    earned: Array
    optimum: Array


class PlatformMatching(Game[MatchingState]):
    """A platform introduces buyers and sellers to each other, and is paid where they trade.

    ## Description
    Unit-demand buyers and unit-supply sellers; some pairs know each other (the world). The designer introduces further
    pairs. The market of world and introduced pairs clears at its largest competitive prices, and the platform receives
    (a constant share, here all, of) the prices of trades along introduced pairs. Where several allocations are
    optimal, `ties` chooses. With several `rounds`, introduced pairs know each other afterwards (`acquaint`) and
    newcomers may arrive (`arrivals`): an introduction earns once and competes with the platform from then on.

    ## Action space
    `form="one-shot"`: `MultiDiscrete([m + 1] * n)`, the seller introduced to each buyer, m for nobody. Sellers may be
    named several times; pairs that know each other and pairs of value zero are ignored.

    `form="sequential"`: `Discrete(n m + 1)`: action i m + j introduces buyer i to seller j, or takes that introduction
    back; n m ends the round. Introductions form a matching; pairs of the world, pairs of value zero and pairs of which
    one is introduced already are masked.

    ## Observation space
    `Box`:

    | Num | Observation | Min | Max |
    | --- | --- | --- | --- |
    | 0 .. nm - 1 | values, buyer after buyer (0 for who has not arrived) | 0 | largest value |
    | nm .. 2nm - 1 | world pairs | 0 | 1 |
    | 2nm .. 3nm - 1 | introduced pairs | 0 | 1 |
    | then m | prices as things stand | 0 | largest value |
    | then 2 | welfare, revenue | 0 | K times the largest value |
    | then 2 | share of the round's moves made, share of the rounds finished | 0 | 1 |

    ## Rewards
    What the move adds to the round's score: with objective `"revenue"` the revenue, with `"welfare"` the welfare added
    to the world's, with a number w in [0, 1] the mix (1 - w) revenue + w welfare added.

    ## Episode end
    After `rounds` rounds, by the rules. A round is one move, or up to `moves` of them in the sequential form.

    ## Info
    As things stand: `matching`, `introduced_trades` (buyers), `price_max`, `price_min`, `welfare`, `revenue`,
    `world_welfare` W0, `ideal_welfare` W*, `gain` DeltaW = W* - W0, `guarantee` DeltaW / H_K, `earned` in finished
    rounds; with `optimum=True` the largest revenue of the first round.

    Source: arXiv 2406.07385 (the model; forms, laws, rounds and the tie rule are ours).
    """

    def __init__(
        self,
        buyers: int = 4,
        sellers: int = 4,
        *,
        market: Market | str | Mapping[str, Any] | None = None,
        law: str = "integer",
        edge: float = 0.2,
        known: int | None = None,
        form: str = "one-shot",
        objective: str | float = "revenue",
        ties: str = "platform",
        moves: int | None = None,
        rounds: int = 1,
        acquaint: bool = True,
        arrivals: Sequence[Sequence[int]] | None = None,
        optimum: bool = False,
    ) -> None:
        """Set the parameters.

        Args:
            buyers: n >= 1, of a random market.
            sellers: m >= 1.
            market: a fixed market: an object, its fields, or a name in `matching_instances.WORKED`; `None`: a random
                market in each episode.
            law: of its values, a name in `market.LAWS`.
            edge: probability with which a pair knows each other.
            known: in place of `edge`, the number of sellers each buyer knows, drawn without replacement; 0 to m.
            form: `"one-shot"` or `"sequential"`.
            objective: `"revenue"`, `"welfare"`, or the weight of welfare in a mix, in [0, 1].
            ties: `"platform"`, `"adversarial"` or `"any"`, as for `trade`.
            moves: most moves of a round in the sequential form, >= 1; `None`: 2 K.
            rounds: T >= 1.
            acquaint: introduced pairs know each other in later rounds.
            arrivals: rounds in which each buyer and each seller arrives; `None`: all are there from the start.
            optimum: compute the largest revenue of each market (n and m at most 5).

        Raises:
            ValueError: if a parameter is out of range.
        """
        self.market = None if market is None else _market(market)
        if self.market is None:
            self.buyers, self.sellers = whole("buyers", buyers), whole("sellers", sellers)
            self.law, high = known_law(law), LAWS[known_law(law)][1]
        else:
            if self.market.costs is not None:
                raise ValueError("market: goods without costs are needed")
            self.buyers, self.sellers = self.market.buyers, self.market.sellers
            self.law, high = "fixed", float(self.market.values.max())
        self.edge, self.known = _probability("edge", edge), known
        if known is not None and whole("known", known, 0) > self.sellers:
            raise ValueError(f"known must be at most {self.sellers}, the number of sellers, got {known!r}")
        if form not in FORMS:
            raise ValueError(f"form must be one of {FORMS}, got {form!r}")
        if ties not in TIES:
            raise ValueError(f"ties must be one of {TIES}, got {ties!r}")
        weights = {"revenue": 0.0, "welfare": 1.0}
        if isinstance(objective, str) and objective not in weights:
            raise ValueError(f"objective must be 'revenue', 'welfare' or a weight in [0, 1], got {objective!r}")
        self.weight = weights[objective] if isinstance(objective, str) else _probability("objective", objective)
        for name, flag in (("acquaint", acquaint), ("optimum", optimum)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, got {flag!r}")
        n, m = self.buyers, self.sellers
        if optimum and max(n, m) > LISTED:
            raise ValueError(f"optimum: at most {LISTED} buyers and sellers can be listed, got {n} and {m}")
        self.most = min(n, m)
        self.moves = 1 if form == "one-shot" else whole("moves", 2 * self.most if moves is None else moves)
        self.form, self.ties, self.rounds = form, ties, whole("rounds", rounds)
        self.acquaint, self.optimum = acquaint, optimum
        self.arrivals = None if arrivals is None else _arrivals(arrivals, (n, m))
        top = max(high, 1e-9)
        wide = [np.full(n * m, top), np.ones(2 * n * m), np.full(m, top), np.full(2, self.most * top), np.ones(2)]
        ceiling = np.nextafter(np.concatenate(wide).astype(np.float32), np.float32(np.inf))
        action: spaces.Space[Any] = (
            spaces.MultiDiscrete([m + 1] * n) if form == "one-shot" else spaces.Discrete(n * m + 1)
        )
        self.roles = (Role("designer", None, spaces.Box(np.zeros_like(ceiling), ceiling, dtype=np.float32), action),)

    def __repr__(self) -> str:
        """Parameters that tell this setting from others."""
        drawn = f"{self.buyers} x {self.sellers} {self.law}, edge={self.edge}, known={self.known}"
        return (
            f"PlatformMatching({drawn if self.market is None else repr(self.market)}, form={self.form!r}, "
            f"welfare_weight={self.weight}, ties={self.ties!r}, moves={self.moves}, rounds={self.rounds}, "
            f"acquaint={self.acquaint}, arrivals={self.arrivals and [a.tolist() for a in self.arrivals]}, "
            f"optimum={self.optimum})"
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def initial(self, batch: int, rng: np.random.Generator) -> MatchingState:
        """Markets without introductions."""
        shape = (batch, self.buyers, self.sellers)
        if self.market is not None:
            values, world = (np.broadcast_to(a, shape).copy() for a in (self.market.values, self.market.known))
        else:
            values = LAWS[self.law][0](rng.random(shape))
            u = rng.random(shape)
            world = u < self.edge if self.known is None else u.argsort(axis=2).argsort(axis=2) < self.known
        return self.start(values, world)

    def start(self, values: Array, world: Array) -> MatchingState:
        """The first round in these markets, (B, n, m) both, before any introduction."""
        batch = len(values)
        none = np.zeros(batch, np.int64)
        best = np.zeros(batch)
        if self.optimum:
            best = best_introductions(self._present(values, none), world).revenue.astype(np.float64)
        return self._opened(values, world, none, np.zeros(batch), best)

    def _opened(self, values: Array, world: Array, at: Array, earned: Array, optimum: Array) -> MatchingState:
        """A round before any introduction."""
        here = self._present(values, at)
        introduced = np.zeros_like(world)
        now = trade(here, world, introduced, ties=self.ties)
        ends = world_and_ideal(here, world)
        zero = np.zeros(len(values))
        return MatchingState(
            values, world, introduced, *now, *ends, zero, np.zeros(len(values), np.int64), at, earned, optimum
        )

    def step(
        self, state: MatchingState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[MatchingState, Array]:
        """Introductions are made or taken back and the market clears; nothing is random."""
        action = actions["designer"][:, 0]
        n, m = self.buyers, self.sellers
        here = self._present(state.values, state.round)
        if self.form == "one-shot":
            introduced = as_graph(np.where(action == m, -1, action), m) & ~state.world & (here > 0)
            stops = np.ones(len(action), bool)
        else:
            stops = action == n * m
            introduced = state.introduced.copy()
            lane = np.flatnonzero(~stops)
            i, j = np.divmod(action[lane], m)
            introduced[lane, i, j] = ~introduced[lane, i, j] & ~state.world[lane, i, j]
        now = trade(here, state.world, introduced, ties=self.ties)
        score = (1.0 - self.weight) * now.revenue + self.weight * (now.welfare - state.world_welfare)
        moves = state.moves + 1
        ends = stops | (moves >= self.moves)
        after = state._replace(
            introduced=introduced,
            matching=now.matching,
            along=now.introduced,
            welfare=now.welfare,
            revenue=now.revenue,
            price_max=now.price_max,
            price_min=now.price_min,
            score=score,
            moves=moves,
            round=state.round + ends,
            earned=state.earned + np.where(ends, now.revenue, 0.0),
        )
        onward = np.flatnonzero(ends & (after.round < self.rounds))
        if len(onward):
            world = (state.world | introduced if self.acquaint else state.world)[onward]
            fresh = self._opened(
                state.values[onward], world, after.round[onward], after.earned[onward], state.optimum[onward]
            )
            after = put(after, onward, fresh)
        return after, (score - state.score)[:, None]

    def terminal(self, state: MatchingState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    def legal(self, state: MatchingState, role: str) -> Array | None:
        """(B, 1, n m + 1) in the sequential form: pairs that can be introduced or taken back, and the end."""
        if self.form == "one-shot":
            return None
        made = state.introduced
        free = ~made.any(axis=2, keepdims=True) & ~made.any(axis=1, keepdims=True) & ~state.world
        free &= self._present(state.values, state.round) > 0
        pairs = (made | free).reshape(len(made), 1, -1)
        return np.concatenate([pairs, np.ones((len(made), 1, 1), bool)], axis=2)

    def observe(self, state: MatchingState, role: str) -> Array:
        """(B, 1, 3 n m + m + 4), see the class."""
        batch = len(state.values)
        graphs = (self._present(state.values, state.round), state.world, state.introduced)
        shares = (state.welfare, state.revenue, state.moves / self.moves, state.round / self.rounds)
        parts = [*(graph.reshape(batch, -1) for graph in graphs), state.price_max, np.stack(shares, axis=1)]
        return np.concatenate(parts, axis=1)[:, None]

    def info(self, state: MatchingState, role: str) -> dict[str, Array]:
        """The market as it stands."""
        gain = state.ideal_welfare - state.world_welfare
        facts = {
            "matching": state.matching,
            "introduced_trades": state.along,
            "price_max": state.price_max,
            "price_min": state.price_min,
            "welfare": state.welfare,
            "revenue": state.revenue,
            "world_welfare": state.world_welfare,
            "ideal_welfare": state.ideal_welfare,
            "gain": gain,
            "guarantee": gain / harmonic(self.most),
            "earned": state.earned,
        }
        if self.optimum:
            facts["optimum"] = state.optimum
        return {name: fact[:, None] for name, fact in facts.items()}

    def truths(self) -> tuple[Truth, ...]:
        """Of one round of a fixed market in which all are there: largest revenue (small markets), and its bounds."""
        if self.market is None or self.rounds > 1 or self.arrivals is not None:
            return ()
        v, e = self.market.values, self.market.known
        lowest, highest = (float(end[0]) for end in world_and_ideal(v, e))
        gain = highest - lowest
        truths = [
            Truth("welfare without introductions", lowest, "identity", "maximum-weight matching"),
            Truth("ideal welfare, which revenue never exceeds", highest, "bound", "arXiv 2406.07385, derived"),
        ]
        if self.weight == 1.0:
            truths.append(Truth("largest return", gain, "optimum", "an efficient matching, introduced where unknown"))
        if self.weight == 0.0 and self.ties == "platform":
            truths.append(
                Truth(
                    "revenue that penalised matching reaches at least",
                    gain / harmonic(self.most),
                    "bound",
                    "arXiv 2406.07385, abstract (order); the constant H_K is derived",
                )
            )
            if max(v.shape) <= LISTED:
                best = float(best_introductions(v, e).revenue[0])
                truths.append(Truth("largest return", best, "optimum", _DERIVED))
        return tuple(truths)

    def render_text(self, state: MatchingState, lane: int = 0) -> str:
        """The market as it stands, a buyer a row: values, * for world pairs, + for introduced ones, [] for trades."""
        here = self._present(state.values, state.round)[lane]
        lines = [
            f"round {int(state.round[lane])} of {self.rounds}: revenue {state.revenue[lane]:g}, welfare "
            f"{state.welfare[lane]:g} (world {state.world_welfare[lane]:g}, ideal {state.ideal_welfare[lane]:g})",
            "price  " + "".join(f"{price:10.4g}  " for price in state.price_max[lane]),
        ]
        for i, row in enumerate(here):
            cells = []
            for j, value in enumerate(row):
                mark = "*" if state.world[lane, i, j] else "+" if state.introduced[lane, i, j] else " "
                cell = f"[{value:.4g}]" if state.matching[lane, i] == j else f"{value:.4g} "
                cells.append(f"{cell:>11}{mark}")
            lines.append(f"{i:>5}  " + "".join(cells))
        return "\n".join(lines)

    def _present(self, values: Array, at: Array) -> Array:
        """The values, zero for pairs of which one has not arrived by round `at`."""
        if self.arrivals is None:
            return values
        buyers, sellers = (part <= at[:, None] for part in self.arrivals)
        return np.where(buyers[:, :, None] & sellers[:, None, :], values, 0)


def _market(market: Market | str | Mapping[str, Any]) -> Market:
    if not isinstance(market, str):
        return as_market(market)
    if market not in WORKED:
        raise ValueError(f"market must be one of {sorted(WORKED)}, a Market or its fields, got {market!r}")
    return WORKED[market].market


def _probability(name: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {given!r}")
    return float(given)


def _arrivals(given: Sequence[Sequence[int]], shape: tuple[int, int]) -> tuple[Array, Array]:
    parts = [np.asarray(part) for part in given]
    sizes = [part.shape for part in parts]
    if sizes != [(shape[0],), (shape[1],)] or any(part.dtype.kind not in "iu" or part.min() < 0 for part in parts):
        raise ValueError(f"arrivals: {shape[0]} and {shape[1]} rounds from 0 on are needed, got {given!r}")
    return parts[0].astype(np.int64), parts[1].astype(np.int64)
