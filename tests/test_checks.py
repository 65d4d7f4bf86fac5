"""The checks themselves: a game that keeps the contract passes, and one that breaks it is caught and told why."""

from typing import NamedTuple

import numpy as np
import pytest
from gymnasium import spaces

import walras
from walras.envs.check import CORE_CHECKS, check_game

UNIT = spaces.Box(0, 1, (1,), np.float32)


class State(NamedTuple):
    x: np.ndarray  # (B, 2, 1)
    t: np.ndarray  # (B,)


class Guess(walras.Game[State]):
    """Two players name numbers three times, are paid how far they lie above a drawn one, and see the drawn one."""

    def __init__(self):
        self.roles = (walras.Role("player", 2, UNIT, UNIT),)

    def initial(self, batch, rng):
        return State(rng.random((batch, 2, 1)), np.zeros(batch, np.int64))

    def observe(self, state, role):
        return state.x

    def step(self, state, actions, rng):
        rewards = actions["player"][..., 0].astype(np.float64) - state.x[..., 0]
        return State(rng.random((len(state.t), 2, 1)), state.t + 1), rewards

    def terminal(self, state):
        return state.t >= 3


class WritesIntoActions(Guess):
    def step(self, state, actions, rng):
        actions["player"][:] = 0
        return super().step(state, actions, rng)


class WritesLater(Guess):
    def step(self, state, actions, rng):
        after = super().step(state, actions, rng)
        if (state.t > 0).any():
            state.x[:] = 0.5
        return after


class WritesWhenItEnds(Guess):
    def terminal(self, state):
        if (state.t >= 3).any():
            state.x[:] = 0
        return super().terminal(state)


class WritesWhenItIsSeen(Guess):
    def observe(self, state, role):
        state.x[:] *= 0.5
        return state.x


class WritesWhenItIsDrawn(Guess):
    def render_text(self, state, lane=0):
        state.x[:] *= 0.5
        return "drawn"


class WritesWhenAskedForFacts(Guess):
    def info(self, state, role):
        state.x[:] *= 0.5
        return {}


class WritesIntoEarlierStates(Guess):
    clock = np.zeros(0, np.int64)

    def initial(self, batch, rng):
        if len(self.clock) != batch:
            self.clock = np.ones(batch, np.int64)
        self.clock[:] -= 1
        return super().initial(batch, rng)._replace(t=self.clock)


class WritesBehindTheBack(Guess):
    """Read-only flags do not stop it."""

    def info(self, state, role):
        state.x.flags.writeable = True
        state.x[:] *= 0.5
        return {}


class NeverEnds(Guess):
    def terminal(self, state):
        return np.zeros(len(state.t), bool)


class MasksNowAndThen(Guess):
    def __init__(self):
        self.roles = (walras.Role("player", 2, UNIT, spaces.Discrete(3)),)

    def step(self, state, actions, rng):
        return State(rng.random((len(state.t), 2, 1)), state.t + 1), actions["player"].astype(np.float64)

    def legal(self, state, role):
        return None if (state.t == 0).all() else np.ones((len(state.t), 2, 3), bool)


class FactsWithoutNumbers(Guess):
    def info(self, state, role):
        return {"share": np.where(state.t[:, None] == 2, np.nan, np.ones((1, 2)))}


class EquilibriumOfNobody(Guess):
    def equilibrium(self):
        return {"plaeyr": lambda seen: seen}


class DealsFromOneArray(Guess):
    """All lanes share one number; nobody writes into it, so that is fine."""

    def initial(self, batch, rng):
        zeros = np.zeros(batch, np.int64)
        return super().initial(batch, rng)._replace(t=np.broadcast_to(zeros[:1], (batch,)))


@pytest.mark.parametrize("game", [Guess, DealsFromOneArray])
def test_a_game_that_keeps_the_contract_passes(game):
    assert all("needs" in missing for missing in check_game(game()))


@pytest.mark.parametrize(
    ("game", "check", "words"),
    [
        (WritesIntoActions, "nothing_is_changed_in_place", "step: writes into a state or actions"),
        (WritesLater, "nothing_is_changed_in_place", "step: writes into a state or actions"),
        (WritesWhenItEnds, "nothing_is_changed_in_place", "terminal: writes into"),
        (WritesWhenItIsSeen, "nothing_is_changed_in_place", "observe: writes into"),
        (WritesWhenItIsDrawn, "nothing_is_changed_in_place", "render_text: writes into"),
        (WritesWhenAskedForFacts, "nothing_is_changed_in_place", "info: writes into"),
        (WritesIntoEarlierStates, "nothing_is_changed_in_place", "initial: writes into .* handed out earlier"),
        (WritesBehindTheBack, "nothing_is_changed_in_place", "info: the state it was given was changed"),
        (NeverEnds, "episodes_come_to_an_end", "still runs after 10000 steps, and the game has no horizon"),
        (MasksNowAndThen, "rules_have_the_stated_shapes", "legal: for 'player' an array in some states and None"),
        (FactsWithoutNumbers, "rules_have_the_stated_shapes", r"info\['share'\]: NaN"),
        (EquilibriumOfNobody, "equilibria_play_inside_the_spaces", r"equilibrium: \['plaeyr'\] are neither roles"),
    ],
)
def test_a_game_that_breaks_the_contract_is_caught_and_told_why(game, check, words):
    named = {each.__name__: each for each in CORE_CHECKS}
    with pytest.raises(AssertionError, match=words):
        named[check](game())


def test_a_check_leaves_the_game_it_is_given_as_it_was():
    game = WritesIntoEarlierStates()
    game.initial(4, np.random.default_rng(0))
    with pytest.raises(AssertionError):
        {each.__name__: each for each in CORE_CHECKS}["nothing_is_changed_in_place"](game)
    game.initial(4, np.random.default_rng(0))
    assert (game.clock == -1).all()
