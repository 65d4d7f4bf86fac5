"""The classical games on every door, with other parameters than the registered ones, and with bad ones."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pettingzoo
import pytest

import walras
from walras.envs.check import CHECKS
from walras.envs.classical.bargaining import Bargaining, DiscreteBargaining
from walras.envs.classical.bertrand import Bertrand
from walras.envs.classical.cournot import Cournot
from walras.envs.classical.differentiated_bertrand import DifferentiatedBertrand
from walras.envs.classical.prisoners_dilemma import PrisonersDilemma
from walras.envs.classical.public_goods import PublicGoods
from walras.envs.classical.stage import Deterministic, StageState

IDS = (
    "walras/FirstPriceAuction-v0",
    "walras/SecondPriceAuction-v0",
    "walras/Bertrand-v0",
    "walras/DifferentiatedBertrand-v0",
    "walras/Cournot-v0",
    "walras/PublicGoods-v0",
    "walras/PrisonersDilemma-v0",
    "walras/Bargaining-v0",
    "walras/DiscreteBargaining-v0",
)


class FiniteCournot(Cournot, Deterministic[StageState]):
    """Cournot on a grid, as a finite game."""


@pytest.mark.parametrize(
    ("game", "value"),
    [
        (FiniteCournot(2, grid=7), 900.0),
        (Bertrand(2, cost=1.0, grid=6), 0.5),
        (PrisonersDilemma(3), 3.0),
        (DiscreteBargaining(), 0.75),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equilibria_are_those_of_the_exported_tree(game: walras.Game[Any], value: float) -> None:
    pytest.importorskip("pyspiel")
    from walras.envs.doors.openspiel import to_openspiel

    policies = game.equilibrium()
    assert policies is not None
    (role,) = game.roles
    tree = to_openspiel(game)

    def search(state: Any, deviator: int) -> float:
        """The deviator's best payoff when the other follows the equilibrium, over all states of the tree."""
        if state.is_terminal():
            return float(state.returns()[deviator])
        seen = game.observe(state.node.state, role.name).astype(np.float32)
        obey = [int(policies[role.name](seen[:, i])[0]) for i in range(2)]
        values = []
        if state.is_simultaneous_node():
            for action in state.legal_actions(deviator):
                joint = list(obey)
                joint[deviator] = action
                child = state.clone()
                child.apply_actions(joint)
                values.append(search(child, deviator))
        else:
            mover = state.current_player()
            for action in state.legal_actions() if mover == deviator else [obey[mover]]:
                values.append(search(state.child(action), deviator))
        return max(values)

    obeying = walras.play(game, "equilibrium", batch=1, seed=0).returns[0]
    assert obeying[0] == pytest.approx(value)
    for player in range(2):
        assert search(tree.new_initial_state(), player) == pytest.approx(obeying[player])


VARIANTS = (
    Bertrand(3, grid=5, rounds=2),
    DifferentiatedBertrand(3, cross_slope=0.7, rounds=4),
    DifferentiatedBertrand(grid=9),
    Cournot(1),
    Cournot(2, rounds=3, grid=5),
    PublicGoods(2, marginal_return=0.7, rounds=3),
    PrisonersDilemma(1),
    Bargaining(1),
    Bargaining(3, grid=6),
    DiscreteBargaining(2, grid=3),
)


@pytest.mark.parametrize("game", VARIANTS, ids=repr)
def test_other_parameters_keep_the_contract_too(game: walras.Game[Any]) -> None:
    for check in CHECKS:
        check(game)


@pytest.mark.parametrize("id", IDS)
def test_every_door_opens(id: str) -> None:
    single = gymnasium.make(id)
    single.reset(seed=0)
    _, reward, *_ = single.step(single.action_space.sample())
    assert np.isfinite(reward)
    vector = gymnasium.make_vec(id, num_envs=5)
    vector.reset(seed=0)
    assert vector.step(vector.action_space.sample())[1].shape == (5,)
    table = pettingzoo.make("parallel", id)
    table.reset(seed=0)
    rewards = table.step({agent: table.action_space(agent).sample() for agent in table.agents})[1]
    assert all(np.isfinite(list(rewards.values())))
    turns = pettingzoo.make("aec", id)
    turns.reset(seed=0)
    turns.step(turns.action_space(turns.agent_selection).sample())
    assert walras.spec(id).status == "verified" and walras.spec(id).title and walras.spec(id).source


# -- bad parameters -------------------------------------------------------------------------------------------------

NAN = float("nan")
BAD = [
    (Bertrand, {"firms": 1}, "firms"),
    (Bertrand, {"cost": 10.0}, "cost"),
    (Bertrand, {"cost": -1.0}, "cost"),
    (Bertrand, {"low": -0.5}, "low"),
    (Bertrand, {"low": 11.0}, "low"),
    (Bertrand, {"high": NAN}, "high"),
    (Bertrand, {"grid": 1}, "grid"),
    (Bertrand, {"grid": None}, "grid"),
    (Bertrand, {"rounds": 0}, "rounds"),
    (DifferentiatedBertrand, {"firms": True}, "firms"),
    (DifferentiatedBertrand, {"intercept": 0.0}, "intercept"),
    (DifferentiatedBertrand, {"own_slope": -2.0}, "own_slope"),
    (DifferentiatedBertrand, {"cross_slope": 2.0}, "cross_slope"),
    (DifferentiatedBertrand, {"cross_slope": 0.0}, "cross_slope"),
    (DifferentiatedBertrand, {"firms": 3}, "cross_slope"),
    (DifferentiatedBertrand, {"cost": 10.0}, "cost"),
    (DifferentiatedBertrand, {"cost": NAN}, "cost"),
    (Cournot, {"firms": 0}, "firms"),
    (Cournot, {"firms": 2.0}, "firms"),
    (Cournot, {"intercept": float("inf")}, "intercept"),
    (Cournot, {"slope": 0.0}, "slope"),
    (Cournot, {"cost": 100.0}, "cost"),
    (Cournot, {"cost": "10"}, "cost"),
    (Cournot, {"rounds": 1.5}, "rounds"),
    (Cournot, {"grid": 0}, "grid"),
    (PublicGoods, {"players": 1}, "players"),
    (PublicGoods, {"endowment": 0.0}, "endowment"),
    (PublicGoods, {"marginal_return": 0.25}, "marginal_return"),
    (PublicGoods, {"marginal_return": 1.0}, "marginal_return"),
    (PrisonersDilemma, {"rounds": -1}, "rounds"),
    (PrisonersDilemma, {"temptation": 3.0}, "temptation"),
    (PrisonersDilemma, {"punishment": NAN}, "punishment"),
    (PrisonersDilemma, {"temptation": 6.5}, "reward"),
    (Bargaining, {"rounds": 0}, "rounds"),
    (Bargaining, {"discount": 1.0}, "discount"),
    (Bargaining, {"discount": -0.1}, "discount"),
    (Bargaining, {"discount": NAN}, "discount"),
    (Bargaining, {"grid": 1}, "grid"),
    (Bargaining, {"grid": 10**6}, "grid"),
    (DiscreteBargaining, {"grid": None}, "grid"),
]


@pytest.mark.parametrize(("game", "parameters", "name"), BAD)
def test_bad_parameters_raise_and_name_the_argument(game: Any, parameters: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        game(**parameters)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        walras.make("walras/Cournot-v0", colour="blue")
