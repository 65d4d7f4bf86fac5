"""The policy layer: vote, design, play, carry over, over any game of the suite; itself a game.

Long, because it is one game: all phases of a round write the same state, and every role sees a part of it.

Shapes: `B` lanes, `n` citizens, `k` numbers of the policy, `K` objectives, `F` facts that objectives read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from gymnasium import spaces

from walras.envs.arguments import switch, whole
from walras.envs.game import Array, Game, Observation, Policy, Role, put, take
from walras.envs.lanes import part
from walras.envs.registry import as_game
from walras.envs.seats import as_policy
from walras.envs.society.levers import Fee, Flow, Lever, PeriodTax, StepTax, Subsidy, as_lever
from walras.envs.society.types import check_types, draw_types, mixed_reward
from walras.envs.society.voting import find_rule
from walras.envs.society.welfare import WELFARE, Welfare, as_welfare

VOTE, DESIGN, PLAY = 0, 1, 2
"""Phases of a round."""

POLICY_RULES = ("median", "mean", "random-dictator")
"""Rules for votes over the policy itself."""


class SocietyState(NamedTuple):
    """State of a society.

    Attributes:
        inner: state of the game below.
        phase: (B,) `VOTE`, `DESIGN` or `PLAY`: who moves next.
        round: (B,) rounds finished.
        step: (B,) steps of the game below in this round.
        policy: (B, k) what holds.
        weights: (B, K) the objective: weights of the welfare functions.
        types: (B, n, 3) ballot, selfishness, trust.
        utility: (B, n) citizens' rewards of this round after the policy's payments.
        income: (B, n) their incomes of this round: what the first tax is due on; without one, rewards before payments.
        earned: (B, n) incomes of this tax period.
        revenue: (B,) what the treasury has kept in this round.
        facts: (B, F) facts of finished episodes of the game below, added up.
        episodes: (B,) how many those are.
        memory: (B, M) what the levers remember.
        score: (B,) the objective at the principal's last move.
        last_utility: (B, n) `utility` at the end of the round before.
        last_income: (B, n) likewise.
        last_measures: (B, K) the objectives at the end of the round before.
        last_revenue: (B,) likewise.
        last_told: (B, T) numbers of the facts the principal is told, likewise: before any new deal.
    """

    inner: Any
    phase: Array
    round: Array
    step: Array
    policy: Array
    weights: Array
    types: Array
    utility: Array
    income: Array
    earned: Array
    revenue: Array
    facts: Array
    episodes: Array
    memory: Array
    score: Array
    last_utility: Array
    last_income: Array
    last_measures: Array
    last_revenue: Array
    last_told: Array


class Society(Game[SocietyState]):
    """A game under a policy: citizens vote on what the policy shall serve, a principal sets it, everybody plays.

    ## Description
    A round has up to four parts. *Vote*: every citizen's voter casts a ballot, and a voting rule turns the ballots
    into the objective, one welfare function or a mixture (or straight into the policy, `vote.over = "policy"`).
    *Design*: the principal sets the levers. *Play*: `steps` steps of the game below (or one episode); levers change
    its rules, actions, observations and payments; the principal moves again every `design_every` steps. *Carry over*:
    the state at the end is where the next round begins, or the game is dealt anew.

    ## Action space
    Voters: `Box(0, 1, (K,))`, scores of the objectives, or the policy they want. Principal: the levers' numbers, a
    `Box`; with `grid=g` `MultiDiscrete([g + 1] * k)`: g evenly spaced numbers each, and g keeps the number that holds.
    Everybody else: as in the game below.

    ## Observation space
    Voters: own type (3), own utility of the last round, the K objectives then, shares of the n citizens' utilities
    below one's own, rounds played over all. Principal: policy (k), weights (K), utilities (n) and incomes (n) of the
    round so far (at its start: of the round before), treasury, share of the round and of all rounds, facts it is
    told. Others: as in the game below; with `informed=True` a Dict, the game's own entries (`game` for an array) and
    `policy` (k), `income` of the tax period (1), `phase` (1), its share that is over, and `type` (3).

    ## Rewards
    Citizens: `v (raw - net) + (1 - v) (s raw + (1 - s) sum of the raw rewards of those they see)`, with selfishness s
    and trust v. Voters: what their citizens get. Principal: the growth of the objective of the citizens' utilities
    since its last move; over a round these add up to the objective at its end less that of nothing
    (`reward_mode="instant"`: differences of the objective of single steps' rewards, the authors' published code).

    ## Episode end
    After `rounds` rounds, by the rules.

    ## Info
    Principal: `utility`, `income`, `policy`, `weights`, `revenue`, `measures`, `welfare.<name>` for every welfare
    function (utilities below zero count as zero where a function needs that), of the round so far, at its start of the
    one before. Others: as below, and for citizens `utility`.

    Source: arXiv 2402.14090; symbols, phases and reward of the principal are ours where the paper is open.
    """

    def __init__(
        self,
        game: Game[Any] | str = "walras/LabourEconomy-v0",
        parameters: Mapping[str, Any] | None = None,
        *,
        levers: Sequence[Lever | str | Mapping[str, Any]] = ("flat-tax",),
        citizens: Sequence[str] | str | None = None,
        objectives: Sequence[str | Mapping[str, Any]] = ("utilitarian", "egalitarian"),
        objective: str | Mapping[str, float] | Sequence[float] | None = None,
        vote: Mapping[str, Any] | str | None = None,
        rounds: int = 1,
        steps: int | None = None,
        design_every: int | None = None,
        carry_over: bool = False,
        types: str | Sequence[Sequence[float]] = "selfish",
        nearby: bool = True,
        informed: bool = True,
        told: Sequence[str] = (),
        grid: int | None = None,
        start: Sequence[float] | None = None,
        reward_mode: str = "change",
    ) -> None:
        """Set the parameters.

        Args:
            game: the game below: an id, or the game.
            parameters: of it, where an id is given.
            levers: what the policy sets: names or dicts (`walras.envs.society.levers.LEVERS`).
            citizens: roles of the game below whom the policy is for and who vote; default: all.
            objectives: candidates for the objective, K of them: welfare functions of citizens' utilities (names or
                dicts), `"revenue"` of the treasury, `"surplus"` (utilities and treasury, added up), `"mean:<fact>"` or
                `"sum:<fact>"` over citizens, of a fact of the game below at the end of its episodes.
            objective: what the principal serves without a vote (and before the first): one of the objectives, or a
                weight for each; default: the first.
            vote: `None`, a rule's name, or `{"rule": ..., "over": "objective" | "policy"}`.
            rounds: rounds of an episode, >= 1.
            steps: steps of the game below in a round; `None`: one episode of it. If an episode of it ends before, the
                next is dealt.
            design_every: steps after which the principal moves again within the round; `None`: once a round.
            carry_over: begin a round where the last one ended; else the game below is dealt anew.
            types: a preset (`walras.envs.society.types.PRESETS`), or (ballot, selfishness, trust) for each citizen.
            nearby: whether others' rewards count for the unselfish: of those the game says are near (its method
                `nearby(state)`), else of all.
            informed: whether players see the policy.
            told: facts (`"mean:<fact>"`, `"sum:<fact>"`) that the principal sees.
            grid: numbers to choose from, >= 2; `None`: any.
            start: policy before the first design (k,); default: every lever's least.
            reward_mode: `"change"` or `"instant"`, see the class docstring.

        Raises:
            ValueError: if a parameter is out of range, or a lever or fact does not fit the game.
        """
        self.game = as_game(game, dict(parameters or {}))
        if isinstance(levers, str | Mapping) or not isinstance(levers, Sequence):
            raise ValueError(f"levers: a list of levers is needed, got {levers!r}")
        self.levers = tuple(as_lever(lever) for lever in levers)
        roles = [role.name for role in self.game.roles]
        chosen = tuple(roles) if citizens is None else (citizens,) if isinstance(citizens, str) else tuple(citizens)
        for name in chosen:
            if name not in roles:
                raise ValueError(f"citizens: {name!r} is not one of the roles {roles}")
        if not chosen:
            raise ValueError(f"citizens: at least one of the roles {roles} is needed")
        self.citizens = tuple(a for role in self.game.roles if role.name in chosen for a in role.agents)
        """(n,) names of the citizens, in the order of the game below."""
        self._citizen_roles = tuple(role for role in self.game.roles if role.name in chosen)
        self._who = np.array([self.game.seat[name][2] for name in self.citizens])
        for lever in self.levers:
            lever.fits(self.game, self.citizens)
        if not self.levers:
            raise ValueError("levers: a policy needs at least one")
        spans = [lever.bounds() for lever in self.levers]
        low, high = (np.concatenate(side) for side in zip(*spans, strict=True))
        self.low, self.high = low, high
        """(k,) least and largest numbers of a policy."""
        self.labels = tuple(label for lever in self.levers for label in lever.labels())
        n = len(self.citizens)
        self._slices = _slices([len(side) for side, _ in spans])
        self._cells = _slices([lever.cells(n) for lever in self.levers])
        self._memory = self._cells[-1].stop
        self.rounds = whole("rounds", rounds)
        self.steps = None if steps is None else whole("steps", steps)
        self.design_every = None if design_every is None else whole("design_every", design_every)
        self.carry_over, self.informed = switch("carry_over", carry_over), switch("informed", informed)
        self.near = switch("nearby", nearby)
        # Within a round the game below is dealt anew at its horizon, unless its state is to carry over.
        self._resets = self.game.horizon is not None and not self.carry_over
        self.types = check_types(types, n)
        if reward_mode not in ("change", "instant"):
            raise ValueError(f"reward_mode must be 'change' or 'instant', got {reward_mode!r}")
        self.reward_mode = reward_mode
        self.objectives = tuple(_name(objective) for objective in objectives)
        """(K,) names of the objectives."""
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives: each one once is needed, got {list(self.objectives)}")
        self._objectives = _Objectives(self, objectives)
        if isinstance(told, str):
            raise ValueError(f"told: a list of facts is needed, got {told!r}")
        self.told = tuple(told)
        sample = self._sample
        sizes = [self.reading(sample, fact).shape[1] for fact in self.told]
        self.told_at = dict(zip(self.told, _slices(sizes), strict=True))
        """Fact the principal is told -> where its numbers stand in `last_told`."""
        self._told_size = sum(sizes)
        self._check_bases(sample)
        self.weights = self._weights(objective)
        """(K,) the objective before any vote."""
        self._vote = _vote(vote)
        self.rule = None if self._vote is None else self._vote[0]
        self.over = None if self._vote is None else self._vote[1]
        if self.rule is not None and self.over == "objective":
            self._rule = find_rule(self.rule, len(self.objectives))
        self.start = self.low if start is None else np.asarray(start, np.float64)
        if self.start.shape != low.shape or not ((self.start >= low) & (self.start <= high)).all():
            raise ValueError(
                f"start: {len(low)} numbers within {low.tolist()} and {high.tolist()} needed, got {start!r}"
            )
        self.grid = None if grid is None else whole("grid", grid, 2)
        self.levels = None if grid is None else np.linspace(low, high, grid)
        """(g, k): the numbers that the principal's actions stand for."""
        taxes = [lever.period for lever in self.levers if isinstance(lever, PeriodTax)]
        self._period = taxes[0] if taxes else None
        bases = [lever.base for lever in self.levers if isinstance(lever, PeriodTax | StepTax | Fee)]
        self._base = bases[0] if bases else "reward"
        self.roles = self._roles()
        self._first = len(self.roles) - len(self.game.roles)
        self._offset = sum(role.size for role in self.roles[: self._first])

    def __repr__(self) -> str:
        """Parameters that tell this society from others."""
        return (
            f"Society({self.game!r}, levers={self.levers!r}, citizens={self.citizens!r}, "
            f"objectives={self.objectives!r}, objective={self.weights.tolist()}, vote={self._vote!r}, "
            f"rounds={self.rounds}, steps={self.steps}, design_every={self.design_every}, "
            f"carry_over={self.carry_over}, types={self.types!r}, nearby={self.near}, informed={self.informed}, "
            f"told={self.told!r}, grid={self.grid}, start={self.start.tolist()}, reward_mode={self.reward_mode!r})"
        )

    # -- rules ---------------------------------------------------------------------------------------------------------

    def initial(self, batch: int, rng: np.random.Generator) -> SocietyState:
        """A first round is due: its vote, or its design."""
        n, count = len(self.citizens), len(self.objectives)
        types = draw_types(self.types, rng.random((batch, n, 3)))
        memory = self._draw(np.zeros((batch, self._memory)), rng)
        inner = self.game.initial(batch, part(rng, fork=0))
        people, none = np.zeros((batch, n)), np.zeros(batch)
        zero = np.zeros(batch, np.int64)
        state = SocietyState(
            inner=inner,
            phase=np.full(batch, self._opening, np.int64),
            round=zero,
            step=zero,
            policy=np.broadcast_to(self.start, (batch, len(self.start))).copy(),
            weights=np.broadcast_to(self.weights, (batch, count)).copy(),
            types=types,
            utility=people,
            income=people,
            earned=people,
            revenue=none,
            facts=np.zeros((batch, len(self._objectives.facts))),
            episodes=zero,
            memory=memory,
            score=none,
            last_utility=people,
            last_income=people,
            last_measures=np.zeros((batch, count)),
            last_revenue=none,
            last_told=np.zeros((batch, self._told_size)),
        )
        return self._scored(state)

    def under(self, state: SocietyState, policy: Array) -> SocietyState:
        """The same state under other policies (B, k) or (k,), with play due next."""
        batch = len(state.phase)
        chosen = np.broadcast_to(np.asarray(policy, np.float64), (batch, len(self.low))).copy()
        return self._scored(state._replace(policy=chosen, phase=np.full(batch, PLAY, np.int64)))

    def movers(self, state: SocietyState) -> Array:
        """(B, N) bool: the voters, the principal, or whoever is to move in the game below."""
        moves = np.zeros((len(state.phase), self.n_agents), bool)
        at = 0
        for role in self.roles[: self._first]:
            moves[:, at : at + role.size] = (state.phase == (VOTE if role.name == "voter" else DESIGN))[:, None]
            at += role.size
        moves[:, at:] = self.game.movers(state.inner) & (state.phase == PLAY)[:, None]
        return moves

    def legal(self, state: SocietyState, role: str) -> Array | None:
        """As in the game below."""
        return None if role in ("voter", "principal") else self.game.legal(state.inner, role)

    def terminal(self, state: SocietyState) -> Array:
        """After the last round."""
        over: Array = state.round >= self.rounds
        return over

    def step(
        self, state: SocietyState, actions: Mapping[str, Array], rng: np.random.Generator
    ) -> tuple[SocietyState, Array]:
        """A vote, a design, or a step of the game below."""
        u = rng.random((len(state.phase), 1 + sum(lever.draws(len(self.citizens)) for lever in self.levers)))
        phase = state.phase
        rewards = np.zeros((len(phase), self.n_agents))
        playing = np.flatnonzero(phase == PLAY)
        before = state
        # All three look at the phase before: a lane that has just voted is not to design at once.
        if self.rule is not None and (phase == VOTE).any():
            state = self._voted(state, phase == VOTE, actions["voter"].astype(np.float64), u[:, 0])
        if self.over != "policy" and (phase == DESIGN).any():
            state = self._designed(state, phase == DESIGN, actions["principal"][:, 0])
        if len(playing) == len(phase):
            state, rewards = self._played(state, actions, u[:, 1:], rng, None)
        elif len(playing):
            some = {name: given[playing] for name, given in actions.items()}
            played, gained = self._played(take(before, playing), some, u[playing, 1:], rng, playing)
            state = put(state, playing, played)
            rewards[playing] = gained
        return state, rewards

    def _voted(self, state: SocietyState, voting: Array, ballots: Array, u: Array) -> SocietyState:
        now = voting[:, None]
        if self.over == "policy":
            chosen = policy_vote(cast(str, self.rule), ballots, u)
            state = state._replace(
                policy=np.where(now, np.clip(chosen, self.low, self.high), state.policy),
                phase=np.where(voting, PLAY, state.phase),
            )
        else:
            weights = self._rule(ballots, u)
            state = state._replace(
                weights=np.where(now, weights, state.weights), phase=np.where(voting, DESIGN, state.phase)
            )
        return self._scored(state, voting)

    def _designed(self, state: SocietyState, now: Array, given: Array) -> SocietyState:
        if self.levels is None:
            chosen = np.clip(given.astype(np.float64), self.low, self.high)
        else:
            number = np.minimum(given, len(self.levels) - 1)
            chosen = np.where(given == len(self.levels), state.policy, self.levels[number, np.arange(len(self.low))])
        return state._replace(
            policy=np.where(now[:, None], chosen, state.policy), phase=np.where(now, PLAY, state.phase)
        )

    def _played(
        self, state: SocietyState, actions: Mapping[str, Array], u: Array, rng: np.random.Generator, index: Array | None
    ) -> tuple[SocietyState, Array]:
        """A step of the game below in lanes that are all at play."""
        rules: Game[Any] = self.game
        moves = {role.name: actions[role.name] for role in self.game.roles}
        for lever, own in zip(self.levers, self._slices, strict=True):
            moves = lever.act(self.game, moves, state.policy[:, own])
            rules = lever.rules(rules, state.policy[:, own])
        inner, everybody = rules.step(state.inner, moves, part(rng, index, fork=1))
        raw = everybody[:, self._who]
        step = state.step + 1
        ended = self.game.terminal(inner)
        length = self.steps if self.steps is not None else self.game.horizon
        last = np.zeros(len(step), bool) if length is None else step >= length
        if self.steps is None:
            last = last | ended
        if self._resets:
            ended = ended | ((step % self.game.horizon == 0) & ~last)
        net, revenue, memory = self._settle(state, inner, raw, step, last)
        extrinsic = raw - net
        income = raw if self._base == "reward" else self.fact(inner, self._base)
        after = state._replace(
            inner=inner, step=step, utility=state.utility + extrinsic, income=state.income + income,
            earned=state.earned + income, revenue=state.revenue + revenue, memory=memory,
        )  # fmt: skip
        done = ended | last
        if len(self._objectives.facts) and done.any():
            found = self._objectives.read(inner)
            after = after._replace(
                facts=np.where(done[:, None], after.facts + found, after.facts), episodes=after.episodes + done
            )
        felt = self._felt(raw, extrinsic, state.types, inner)
        rewards = np.zeros((len(step), self.n_agents))
        rewards[:, self._offset :] = everybody
        rewards[:, self._offset + self._who] = felt
        at = 0
        if self.rule is not None:
            rewards[:, : len(self._who)] = felt
            at = len(self._who)
        again = np.zeros(len(step), bool)
        if self.design_every is not None and self.over != "policy":
            again = (step % self.design_every == 0) & ~last
        if self.over != "policy":
            if self.reward_mode == "instant":
                score = (self._objectives.of(extrinsic, revenue, after) * state.weights).sum(axis=1)
                rewards[:, at] = score - state.score
                after = after._replace(score=score)
            elif (again | last).any():
                score = (self.measured(after) * state.weights).sum(axis=1)
                rewards[:, at] = np.where(again | last, score - state.score, 0.0)
                after = after._replace(score=np.where(again, score, state.score))
        after = after._replace(phase=np.where(again, DESIGN, state.phase))
        if self._period is not None:
            due = (step % self._period == 0) | last
            after = after._replace(earned=np.where(due[:, None], 0.0, after.earned))
        if last.any():
            after = self._closed(after, last)
        fresh = ended if self.carry_over else done
        fresh = np.flatnonzero(fresh & (after.round < self.rounds))
        if len(fresh):
            where = fresh if index is None else index[fresh]
            dealt = self.game.initial(len(fresh), part(rng, where, fork=2))
            after = after._replace(inner=dealt if len(fresh) == len(step) else put(after.inner, fresh, dealt))
        return after._replace(memory=self._draw(after.memory, u)), rewards

    def _settle(
        self, state: SocietyState, inner: Any, raw: Array, step: Array, last: Array
    ) -> tuple[Array, Array, Array]:
        """What citizens pay on balance (B, n), what the treasury keeps (B,), and the levers' memory."""
        net, revenue, memory = np.zeros_like(raw), np.zeros(len(raw)), state.memory.copy()
        for lever, own, cells in zip(self.levers, self._slices, self._cells, strict=True):
            if type(lever).pay is Lever.pay:
                continue
            amount = raw if lever.base == "reward" else self.fact(inner, lever.base)
            paid = lever.pay(Flow(amount, step, last, state.round), state.policy[:, own], memory[:, cells])
            if paid is not None:
                net, revenue = net + paid.net, revenue + paid.revenue
                memory[:, cells] = paid.memory
        return net, revenue, memory

    def _closed(self, state: SocietyState, last: Array) -> SocietyState:
        """The round is over in the lanes `last`: what it came to is kept, and the next one opens."""
        rows = last[:, None]
        finished = state.round + last
        opened = last & (finished < self.rounds)
        closed = state._replace(
            last_utility=np.where(rows, state.utility, state.last_utility),
            last_income=np.where(rows, state.income, state.last_income),
            last_measures=np.where(rows, self.measured(state), state.last_measures),
            last_revenue=np.where(last, state.revenue, state.last_revenue),
            last_told=np.where(rows, self._facts_told(state.inner, len(last)), state.last_told),
            round=finished,
        )
        fresh = closed._replace(
            phase=np.where(opened, self._opening, closed.phase),
            step=np.where(opened, 0, closed.step),
            utility=np.where(opened[:, None], 0.0, closed.utility),
            income=np.where(opened[:, None], 0.0, closed.income),
            earned=np.where(opened[:, None], 0.0, closed.earned),
            revenue=np.where(opened, 0.0, closed.revenue),
            facts=np.where(opened[:, None], 0.0, closed.facts),
            episodes=np.where(opened, 0, closed.episodes),
            memory=np.where(opened[:, None], 0.0, closed.memory),
        )
        return self._scored(fresh, opened)

    def _scored(self, state: SocietyState, where: Array | None = None) -> SocietyState:
        """The objective as it stands becomes what the principal's next reward is counted from."""
        if self.reward_mode == "instant":
            score = np.zeros(len(state.phase))
        else:
            score = (self.measured(state) * state.weights).sum(axis=1)
        return state._replace(score=score if where is None else np.where(where, score, state.score))

    def _draw(self, memory: Array, source: np.random.Generator | Array) -> Array:
        """The levers' coins of the coming step, in their first cells."""
        n, at = len(self.citizens), 0
        if not any(lever.draws(n) for lever in self.levers):
            return memory
        memory = memory.copy()
        for lever, cells in zip(self.levers, self._cells, strict=True):
            count = lever.draws(n)
            if count:
                if isinstance(source, np.ndarray):
                    coins = source[:, at : at + count]
                else:
                    coins = source.random((len(memory), count))
                memory[:, cells.start : cells.start + count] = coins
                at += count
        return memory

    def _felt(self, raw: Array, extrinsic: Array, types: Array, inner: Any) -> Array:
        """(B, n) what citizens feel; who is near whom is only asked where somebody got something."""
        felt = mixed_reward(raw, extrinsic, types)
        if not self.near or self.types in ("selfish", "tax-blind"):
            return felt  # nobody cares for others
        rows = np.flatnonzero(raw.any(axis=1))
        if len(rows):
            found = getattr(self.game, "nearby", None)
            n = len(self.citizens)
            seen = np.ones((1, n, n), bool) if found is None else found(take(inner, rows))
            felt[rows] = mixed_reward(raw[rows], extrinsic[rows], types[rows], seen)
        return felt

    # -- what is seen and known ----------------------------------------------------------------------------------------

    def observe(self, state: SocietyState, role: str) -> Observation:
        """(B, c, ...) or a dict of such arrays, see the class docstring."""
        if role == "voter":
            return self._seen_by_voters(state)
        if role == "principal":
            return self._seen_by_principal(state)
        seen = self.game.observe(state.inner, role)
        for lever, own, cells in zip(self.levers, self._slices, self._cells, strict=True):
            if isinstance(seen, np.ndarray):
                seen = lever.see(self.game, role, seen, state.policy[:, own], state.memory[:, cells])
        if not self.informed:
            return seen
        parts = dict(seen) if isinstance(seen, dict) else {"game": seen}
        batch, size = len(state.phase), self.game.role(role).size
        parts["policy"] = np.broadcast_to(state.policy[:, None], (batch, size, len(self.low)))
        members = [k for k, name in enumerate(self.citizens) if self.game.seat[name][0].name == role]
        period = self._period or self.steps or self.game.horizon or 1
        share = np.where(state.step > 0, ((state.step - 1) % period + 1) / period, 0.0) % 1.0
        parts["phase"] = np.broadcast_to(share[:, None, None], (batch, size, 1))
        parts["income"] = state.earned[:, members, None] if members else np.zeros((batch, size, 1))
        parts["type"] = state.types[:, members] if members else np.ones((batch, size, 3))
        return parts

    def _seen_by_voters(self, state: SocietyState) -> Array:
        batch, n = state.utility.shape
        own = state.last_utility
        below = (own[:, None, :] < own[:, :, None]).mean(axis=2)
        share = np.broadcast_to((state.round / self.rounds)[:, None, None], (batch, n, 1))
        known = np.broadcast_to(state.last_measures[:, None], (batch, n, len(self.objectives)))
        return np.concatenate([state.types, own[..., None], known, below[..., None], share], axis=2)

    def _seen_by_principal(self, state: SocietyState) -> Array:
        fresh = ((state.step == 0) & (state.round > 0))[:, None]
        utility = np.where(fresh, state.last_utility, state.utility)
        income = np.where(fresh, state.last_income, state.income)
        treasury = np.where(fresh[:, 0], state.last_revenue, state.revenue)
        length = self.steps or self.game.horizon or 1
        shares = [treasury, np.minimum(state.step / length, 1.0), state.round / self.rounds]
        parts = [state.policy, state.weights, utility, income, np.stack(shares, axis=1)]
        parts.append(self._facts_told(state.inner, len(state.phase)))
        return np.concatenate(parts, axis=1)[:, None]

    def _facts_told(self, inner: Any, batch: int) -> Array:
        """(B, T) what the principal is told of a state of the game below."""
        return np.concatenate([np.zeros((batch, 0)), *(self.reading(inner, fact) for fact in self.told)], axis=1)

    def reading(self, inner: Any, fact: str) -> Array:
        """(B, numbers) of a fact of the game below, `"mean:<fact>"` or `"sum:<fact>"` over citizens."""
        how, _, name = fact.partition(":") if isinstance(fact, str) else ("", "", "")
        if how not in ("mean", "sum") or not name:
            raise ValueError(f"fact: 'mean:<name>' or 'sum:<name>' is needed, got {fact!r}")
        found = np.asarray(self.fact(inner, name), np.float64)
        total: Array = found.mean(axis=1) if how == "mean" else found.sum(axis=1)
        return total.reshape(len(total), -1)

    def fact(self, inner: Any, name: str) -> Array:
        """(B, n, ...) a fact of the game below about its citizens; roles without it have zeros.

        Raises:
            ValueError: if no role of citizens has it.
        """
        found = [(role, self.game.info(inner, role.name).get(name)) for role in self._citizen_roles]
        shapes = [np.shape(fact)[2:] for _, fact in found if fact is not None]
        if not shapes:
            known = sorted({key for role in self._citizen_roles for key in self.game.info(inner, role.name)})
            raise ValueError(f"fact {name!r}: the game below has none of that name; known are {known}")
        batch = next(len(fact) for _, fact in found if fact is not None)
        rows = [np.zeros((batch, role.size, *shapes[0])) if fact is None else fact for role, fact in found]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)

    def measured(self, state: SocietyState, utility: Array | None = None) -> Array:
        """(B, K) all objectives of the round as it stands, or as it would stand with other utilities (B, n)."""
        return self._objectives.of(state.utility if utility is None else utility, state.revenue, state)

    @property
    def welfare_functions(self) -> Mapping[str, Welfare]:
        """Every welfare function that is defined for so many citizens, made to be defined everywhere."""
        return self._objectives.every

    def info(self, state: SocietyState, role: str) -> dict[str, Array]:
        """See the class docstring."""
        fresh = ((state.step == 0) & (state.round > 0))[:, None]
        utility = np.where(fresh, state.last_utility, state.utility)
        if role == "voter":
            return {"utility": utility}
        if role != "principal":
            facts = self.game.info(state.inner, role)
            members = [k for k, name in enumerate(self.citizens) if self.game.seat[name][0].name == role]
            return {**facts, "utility": utility[:, members]} if members else facts
        facts = {
            "utility": utility,
            "income": np.where(fresh, state.last_income, state.income),
            "policy": state.policy.copy(),  # the state keeps its own from step to step
            "weights": state.weights.copy(),
            "revenue": np.where(fresh[:, 0], state.last_revenue, state.revenue),
            "measures": np.where(fresh, state.last_measures, self.measured(state)),
        }
        facts |= {f"welfare.{name}": welfare(utility) for name, welfare in self.welfare_functions.items()}
        return {name: fact[:, None] for name, fact in facts.items()}

    def answers(self) -> Mapping[str, Policy]:
        """How those below answer a policy they see, by role or agent, where that is known; else nothing."""
        return {}

    def adapt(self, who: Any, agent: str) -> Policy:
        """A policy of the game below, by name or as it is, so that it can sit in the seat of `agent` here."""
        policy = as_policy(who, self.game, agent)
        return _Below(policy, self) if self.informed else policy

    def render_text(self, state: SocietyState, lane: int = 0) -> str:
        """The policy, the objective and the utilities, then the game below."""
        what = ("vote", "design", "play")[int(state.phase[lane])]
        policy = ", ".join(f"{label} {x:.3g}" for label, x in zip(self.labels, state.policy[lane], strict=True))
        goal = ", ".join(f"{name} {x:.3g}" for name, x in zip(self.objectives, state.weights[lane], strict=True))
        utility = " ".join(f"{x:.3f}" for x in state.utility[lane])
        head = f"round {int(state.round[lane])} of {self.rounds}, step {int(state.step[lane])}, next: {what}"
        lines = [head, f"policy: {policy}", f"objective: {goal}", f"utilities: {utility}"]
        return "\n".join([*lines, self.game.render_text(state.inner, lane)])

    def render_rgb(self, state: SocietyState, lane: int = 0) -> Any:
        """The game below; where it has no picture of its own, the text."""
        if type(self.game).render_rgb is Game.render_rgb:
            return super().render_rgb(state, lane)
        return self.game.render_rgb(state.inner, lane)

    # -- set-up --------------------------------------------------------------------------------------------------------

    @property
    def _opening(self) -> int:
        return VOTE if self.rule is not None else DESIGN

    def _check_bases(self, sample: Any) -> None:
        """Every lever that moves money finds in the game below what it is due on."""
        for lever in self.levers:
            if type(lever).pay is Lever.pay:
                continue
            shape = () if lever.base == "reward" else self.fact(sample, lever.base).shape[2:]
            kinds = lever.kinds if isinstance(lever, Subsidy) else 1
            if int(np.prod(shape)) != kinds or (shape and not isinstance(lever, Subsidy)):
                raise ValueError(
                    f"levers: {lever!r} needs {kinds} number(s) a citizen, {lever.base!r} has the shape {shape}"
                )

    def _weights(self, objective: str | Mapping[str, float] | Sequence[float] | None) -> Array:
        count = len(self.objectives)
        if objective is None:
            objective = self.objectives[0]
        if isinstance(objective, str):
            objective = {objective: 1.0}
        if isinstance(objective, Mapping):
            unknown = sorted(set(objective) - set(self.objectives))
            if unknown:
                raise ValueError(f"objective: {unknown} are none of the objectives {list(self.objectives)}")
            return np.array([float(objective.get(name, 0.0)) for name in self.objectives])
        weights = np.asarray(objective, np.float64)
        if weights.shape != (count,) or not np.isfinite(weights).all():
            raise ValueError(f"objective: {count} finite weights are needed, got {objective!r}")
        return weights

    def _roles(self) -> tuple[Role, ...]:
        n, k, count = len(self.citizens), len(self.low), len(self.objectives)
        anything = np.inf
        own: list[Role] = []
        low32, high32 = self.low.astype(np.float32), self.high.astype(np.float32)
        if self.rule is not None:
            bottom = np.concatenate([np.zeros(3), np.full(1 + count, -anything), np.zeros(2)])
            top = np.concatenate([np.ones(3), np.full(1 + count, anything), np.ones(2)])
            ballot = spaces.Box(0.0, 1.0, (count,), np.float32)
            if self.over == "policy":
                ballot = spaces.Box(low32, high32, dtype=np.float32)
            own.append(Role("voter", n, spaces.Box(bottom.astype(np.float32), top.astype(np.float32)), ballot))
        if self.over != "policy":
            facts = self._told_size
            free = 2 * n + 1
            bottom = np.concatenate(
                [self.low, np.full(count + free, -anything), np.zeros(2), np.full(facts, -anything)]
            )
            top = np.concatenate([self.high, np.full(count + free, anything), np.ones(2), np.full(facts, anything)])
            seen = spaces.Box(_down(bottom), _up(top))
            action: spaces.Space[Any] = spaces.Box(low32, high32, dtype=np.float32)
            if self.grid is not None:
                action = spaces.MultiDiscrete([self.grid + 1] * k)
            own.append(Role("principal", None, seen, action))
        taken = {role.name for role in own} & {role.name for role in self.game.roles}
        if taken:
            raise ValueError(f"game: its roles {sorted(taken)} have names that the layer needs")
        return (*own, *(self._below(role) for role in self.game.roles))

    def _below(self, role: Role) -> Role:
        """A role of the game below as it is here."""
        seen = role.observation_space
        if not self.informed:
            return role
        parts: dict[str, Any] = dict(seen.spaces) if isinstance(seen, spaces.Dict) else {"game": seen}
        more = {
            "policy": spaces.Box(_down(self.low), _up(self.high)),
            "income": spaces.Box(-np.inf, np.inf, (1,), np.float32),
            "phase": spaces.Box(0.0, 1.0, (1,), np.float32),
            "type": spaces.Box(0.0, 1.0, (3,), np.float32),
        }
        shared = sorted(set(parts) & set(more))
        if shared:
            raise ValueError(f"game: observations of {role.name!r} already have entries {shared}")
        return Role(role.name, role.count, spaces.Dict({**parts, **more}), role.action_space)

    @property
    def _sample(self) -> Any:
        """Some state of the game below, to learn shapes from."""
        return self.game.initial(1, np.random.default_rng(0))


class _Objectives:
    """The candidates for the objective, as functions of a round."""

    def __init__(self, society: Society, given: Sequence[str | Mapping[str, Any]]) -> None:
        if not given:
            raise ValueError("objectives: at least one is needed")
        self.society = society
        self.facts: list[str] = []
        self.parts: list[Any] = []
        for objective in given:
            name = objective if isinstance(objective, str) else ""
            if name in ("revenue", "surplus"):
                self.parts.append(name)
            elif name.startswith(("mean:", "sum:")):
                shape = society.reading(society._sample, name).shape
                if shape[1] != 1:
                    raise ValueError(f"objectives: {name!r} has {shape[1]} numbers, one is needed")
                self.parts.append(len(self.facts))
                self.facts.append(name)
            else:
                self.parts.append(as_welfare(objective, cut=True))
        single = len(society.citizens) < 2
        self.every: dict[str, Welfare] = {
            name: as_welfare(name, cut=True) for name in WELFARE if not (single and name.startswith("equality"))
        }

    def read(self, inner: Any) -> Array:
        """(B, F) the facts in a state of the game below."""
        return np.concatenate([self.society.reading(inner, fact) for fact in self.facts], axis=1)

    def of(self, utility: Array, revenue: Array, state: SocietyState) -> Array:
        """(B, K) for utilities (B, n), a treasury (B,), and the facts of a state."""
        columns = []
        for piece in self.parts:
            if piece == "revenue":
                columns.append(revenue)
            elif piece == "surplus":
                columns.append(utility.sum(axis=1) + revenue)
            elif isinstance(piece, int):
                columns.append(state.facts[:, piece] / np.maximum(state.episodes, 1))
            else:
                columns.append(piece(utility))
        return np.stack(columns, axis=1)


class _Below:
    """A policy of the game below in an informed seat: it sees what it would see there."""

    def __init__(self, policy: Policy, society: Society) -> None:
        self.policy = policy

    def __call__(self, observation: Observation, *, mask: Array | None = None, rng: Any = None) -> Any:
        assert isinstance(observation, dict)
        seen: Observation = {
            key: value for key, value in observation.items() if key not in ("policy", "income", "phase", "type")
        }
        if isinstance(seen, dict) and seen.keys() == {"game"}:
            seen = seen["game"]
        return self.policy(seen, mask=mask, rng=rng)


def policy_vote(rule: str, ballots: Array, u: Array) -> Array:
    """(B, k) the policy that ballots (B, n, k) over the policy itself lead to, number by number.

    Args:
        rule: `"median"` (of an even number of voters the lower middle one), `"mean"` or `"random-dictator"`.
        ballots: what every voter wants.
        u: (B,) uniforms for the rule that draws.
    """
    n = ballots.shape[1]
    if rule == "median":
        return np.asarray(np.sort(ballots, axis=1)[:, (n - 1) // 2])
    if rule == "mean":
        return np.asarray(ballots.mean(axis=1))
    dictator = np.minimum((u * n).astype(np.int64), n - 1)
    return np.asarray(ballots[np.arange(len(ballots)), dictator])


def _vote(vote: Mapping[str, Any] | str | None) -> tuple[str, str] | None:
    if vote is None:
        return None
    if not isinstance(vote, str | Mapping):
        raise ValueError(f"vote: a rule's name or a table with the entry 'rule' is needed, got {vote!r}")
    settings = {"rule": vote} if isinstance(vote, str) else dict(vote)
    unknown = sorted(set(settings) - {"rule", "over"})
    if unknown or "rule" not in settings:
        raise ValueError(f"vote: a rule, and 'over' if need be, are what it takes, got {vote!r}")
    rule, over = settings["rule"], settings.get("over", "objective")
    if over not in ("objective", "policy"):
        raise ValueError(f"vote: over must be 'objective' or 'policy', got {over!r}")
    if over == "policy" and rule not in POLICY_RULES:
        raise ValueError(f"vote: over the policy the rule must be one of {POLICY_RULES}, got {rule!r}")
    return str(rule), str(over)


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Where parts of these sizes lie when they stand one after the other."""
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _name(objective: str | Mapping[str, Any]) -> str:
    if isinstance(objective, str):
        return objective
    if not isinstance(objective, Mapping):
        raise ValueError(f"objectives: names or tables with the entry 'welfare' are needed, got {objective!r}")
    settings = {key: value for key, value in objective.items() if key != "welfare"}
    inside = ",".join(f"{key}={value}" for key, value in sorted(settings.items()))
    return f"{objective.get('welfare')}({inside})" if inside else str(objective.get("welfare"))


def _down(x: Array) -> Array:
    y = x.astype(np.float32)
    return np.where(y > x, np.nextafter(y, np.float32(-np.inf)), y)


def _up(x: Array) -> Array:
    y = x.astype(np.float32)
    return np.where(y < x, np.nextafter(y, np.float32(np.inf)), y)
