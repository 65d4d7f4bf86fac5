"""Trees of OpenSpiel games: through OpenSpiel's Python states, one after another."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from walras.envs.tabular.flat import FlatGame
from walras.envs.tabular.growth import Growth
from walras.envs.tabular.sizes import DIVES, Size, descent, summarise


class SpielSource:
    """An OpenSpiel game, through its Python states, one after another."""

    def __init__(self, game: Any) -> None:
        import pyspiel

        kind = game.get_type()
        modes, dynamics = pyspiel.GameType.ChanceMode, pyspiel.GameType.Dynamics
        if kind.chance_mode == modes.SAMPLED_STOCHASTIC or kind.dynamics == dynamics.MEAN_FIELD:
            raise TypeError(f"game: {game} does not list its chance moves (sampled chance or a mean field)")
        self.name = str(game)
        if kind.dynamics == dynamics.SIMULTANEOUS:
            game = pyspiel.convert_to_turn_based(game)
            kind = game.get_type()
        if not (kind.provides_information_state_string or kind.provides_observation_string):
            raise TypeError(f"game: {game} gives its players neither information states nor observations")
        # Where a game has no information states, what a player observes when it has to decide, and did before, is one.
        self.look = "information_state" if kind.provides_information_state_string else "observation"
        self.game, self.tensors = game, getattr(kind, f"provides_{self.look}_tensor")
        self.early = kind.reward_model == pyspiel.GameType.RewardModel.REWARDS

    def estimate(self) -> Size:
        """One descent after another."""
        rng = np.random.Generator(np.random.Philox(0))
        estimates = []
        for _ in range(DIVES):
            state, branching = self.game.new_initial_state(), []
            while not state.is_terminal():
                moves = state.legal_actions()
                branching.append(float(len(moves)))
                state.apply_action(moves[int(rng.random() * len(moves))])
            estimates.append(descent(branching))
        return summarise(estimates)

    def expand(self, limit: int, tell: Callable[[int], None]) -> FlatGame:
        """The flat game, if it has no more than `limit` nodes (else ValueError); `tell` hears how many are found."""
        n = self.game.num_players()
        growth = Growth(tuple(f"player_{i}" for i in range(n)), limit, self.name, tell, recall=False)
        parent, number, prob = array("i"), array("i"), array("d")
        nodes, player, key = array("i"), array("b"), array("i")
        payees, payments = array("i"), array("d")
        keys: dict[tuple[int, str], int] = {}
        tensors: list[Any] = []
        stack: list[tuple[Any, int, list[float]]] = [(self.game.new_initial_state(), 0, [0.0] * n)]
        count = 1
        while stack:
            state, node, before = stack.pop()
            if self.early or state.is_terminal():
                returns = state.returns()
                if returns != before:
                    payees.append(node)
                    payments.extend(x - y for x, y in zip(returns, before, strict=True))
                before = returns
            if state.is_terminal():
                continue
            if state.is_chance_node():
                outcomes = [(move, p) for move, p in state.chance_outcomes() if p > 0]
                moves, odds = [move for move, _ in outcomes], [p for _, p in outcomes]
                total = sum(odds)
                prob.extend(p / total for p in odds)
                number.extend([-1] * len(moves))
            else:
                who, moves = state.current_player(), sorted(state.legal_actions())
                text = (who, getattr(state, f"{self.look}_string")(who))
                if text not in keys:
                    keys[text] = len(keys)
                    if self.tensors:
                        tensors.append(np.array(getattr(state, f"{self.look}_tensor")(who), np.float32))
                nodes.append(node)
                player.append(who)
                key.append(keys[text])
                prob.extend([1.0] * len(moves))
                number.extend(moves)
            parent.extend([node] * len(moves))
            stack.extend((state.child(move), count + i, before) for i, move in enumerate(moves))
            count += len(moves)
            if count > limit:
                growth.check(count)
            if count % 4096 < len(moves):
                tell(count)
        growth.add(np.array(parent, np.int64), np.array(prob), np.array(number, np.int64))
        growth.decide(np.array(nodes, np.int64), np.array(player, np.int64), np.array(key, np.int64))
        growth.pay(np.array(payees, np.int64), np.array(payments).reshape(-1, n))
        return growth.finish([text for _, text in keys], tensors if self.tensors else None)
