"""Alternating offers: subgame perfection in every round, closed forms, the finite form against its tree, econgym."""

from __future__ import annotations

import functools
from typing import Any

import econgym
import numpy as np
import pytest
from econgym.solvers import closed_form
from hypothesis import given, settings
from hypothesis import strategies as st

import walras
from walras.envs.classical.bargaining import Bargaining, BargainingState, DiscreteBargaining

NO_GRID = st.none()
GRIDS = NO_GRID | st.integers(2, 30)


def truths(game: walras.Game[Any]) -> dict[str, float]:
    """Name -> value."""
    return {truth.name: truth.value for truth in game.truths()}


@st.composite
def bargainings(draw: st.DrawFn, grids: Any = NO_GRID) -> Bargaining:
    return Bargaining(draw(st.integers(1, 12)), discount=draw(st.floats(0.0, 0.99)), grid=draw(grids))


def standing(game: Bargaining, now: int, claim: np.ndarray | float = -1.0) -> BargainingState:
    """States in round `now` with these standing claims."""
    claim = np.atleast_1d(np.asarray(claim, float))
    return BargainingState(np.full(len(claim), now), claim, np.zeros((len(claim), 2)))


def follow(game: Bargaining, state: BargainingState, first: np.ndarray | None = None) -> np.ndarray:
    """Payoffs (B, 2) when the mover of `state` acts as told once and both then play the equilibrium."""
    policy = game.equilibrium()["bargainer"]
    total, live = np.zeros((len(state.round), 2)), ~game.terminal(state)
    while live.any():
        seen = game.observe(state, "bargainer").astype(np.float32)
        act = np.stack([policy(seen[:, i]) for i in range(2)], axis=1)
        if first is not None:
            act = np.stack([first, first], axis=1).astype(act.dtype)
            act = act if game.grid else act[..., None]
        after, rewards = game.apply(state, {"bargainer": act})
        total += np.where(live[:, None], rewards, 0.0)
        state, first = after, None
        live &= ~game.terminal(state)
    return total


@given(bargainings())
@settings(max_examples=60, deadline=None)
def test_no_single_deviation_gains_in_any_round_of_bargaining(game: Bargaining) -> None:
    options = np.linspace(0, 1, 401)
    for now in range(game.rounds):
        proposer = now % 2
        obey = follow(game, standing(game, now))[0, proposer]
        leave = follow(game, standing(game, now, np.full(401, -1.0)), options)[:, proposer]
        assert leave.max() <= obey + 1e-5
        claims = np.linspace(0, 1, 41)
        obey_all = follow(game, standing(game, now, claims))[:, 1 - proposer]
        for answer in (0.0, 0.3, 1.0):
            leave = follow(game, standing(game, now, claims), np.full(41, answer))[:, 1 - proposer]
            assert (leave <= obey_all + 1e-5).all()


@given(bargainings())
@settings(max_examples=60, deadline=None)
def test_bargainers_agree_at_once_on_the_stated_shares(game: Bargaining) -> None:
    episodes = walras.play(game, "equilibrium", batch=3, seed=0)
    known = truths(game)
    assert (episodes.lengths == 2).all()
    shares = [known["first proposer's share"], known["first responder's share"]]
    assert episodes.returns == pytest.approx(np.tile(shares, (3, 1)), abs=1e-6)


@pytest.mark.parametrize("discount", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_many_rounds_lead_to_rubinsteins_shares(discount: float) -> None:
    known = truths(Bargaining(2001, discount=discount))
    limit = closed_form.rubinstein_split(discount)
    assert known["first proposer's share without end"] == pytest.approx(limit["proposer_share"], abs=1e-12)
    assert known["first proposer's share"] == pytest.approx(limit["proposer_share"], abs=1e-8)
    assert known["first responder's share"] == pytest.approx(limit["responder_share"], abs=1e-8)


@given(st.integers(1, 6), st.floats(0.01, 0.97), st.integers(2, 14))
@settings(max_examples=60, deadline=None)
def test_discrete_bargaining_agrees_with_a_search_of_the_tree_from_every_round(
    rounds: int, discount: float, grid: int
) -> None:
    game = DiscreteBargaining(rounds, discount=discount, grid=grid)
    claims = np.arange(grid)

    @functools.cache
    def solve(now: int, claim: float) -> tuple[float, float]:
        """Payoffs under optimal play, found through the rules; a tie goes to the lowest claim, which is agreement."""
        state = standing(game, now, claim)
        if game.terminal(state)[0]:
            return 0.0, 0.0
        mover = int(game.movers(state)[0].argmax())
        lanes = standing(game, now, np.full(grid, claim))
        after, rewards = game.apply(lanes, {"bargainer": np.stack([claims, claims], axis=1)})
        over = game.terminal(after)
        values = [
            rewards[k] if over[k] else rewards[k] + solve(int(after.round[k]), float(after.claim[k])) for k in claims
        ]
        best = max(value[mover] for value in values)
        chosen = next(value for value in values if value[mover] >= best - 1e-9 * discount**now)
        return float(chosen[0]), float(chosen[1])

    for now in range(rounds):
        assert follow(game, standing(game, now))[0] == pytest.approx(solve(now, -1.0), abs=1e-8 * discount**now)


@given(bargainings(GRIDS), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_shares_of_the_pie_never_exceed_it_and_payoffs_are_discounted_shares(game: Bargaining, seed: int) -> None:
    episodes = walras.play(game, "random", batch=50, seed=seed)
    facts = episodes.info("bargainer")
    share, delay = facts["share"], facts["rejections"]
    assert (share >= 0).all() and (share.sum(axis=1) <= 1 + 1e-12).all()
    assert share.sum(axis=1) == pytest.approx(facts["agreed"][:, 0], abs=1e-12)
    assert episodes.returns == pytest.approx(share * game.discount**delay, abs=1e-12)
    for agent, (role, _, _) in game.seat.items():
        assert all(role.observation_space.contains(row) for row in episodes.observe(agent))
    texts = {game.render_text(episodes.state, lane).split(":")[0].rstrip("0123456789 ") for lane in range(50)}
    assert texts <= {"agreed in round", f"no agreement in {game.rounds} rounds"}


def test_a_bargain_pays_what_econgyms_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        game, env = Bargaining(4, discount=0.8), econgym.make("Rubinstein-v0", delta=0.8, max_rounds=4)
        env.reset(seed=0)
        state, over = game.initial(1, rng), False
        while not over:
            claim, accepts = float(np.float32(rng.uniform(0.01, 1))), bool(rng.random() < 0.4)
            _, theirs, terminated, truncated, _ = env.step([[claim, float(accepts)]] * 2)
            over = terminated or truncated
            state, none = game.step(state, {"bargainer": np.full((1, 2, 1), claim)}, rng)
            answer = 0.0 if accepts else 1.0
            state, ours = game.step(state, {"bargainer": np.full((1, 2, 1), answer)}, rng)
            assert not none.any() and ours[0] == pytest.approx(theirs) and bool(game.terminal(state)[0]) == over
