"""The OpenSpiel door: any finite walras game as an OpenSpiel Python game, with explicit chance nodes.

The exported game serves every OpenSpiel algorithm. Each call of its rules runs Python, so solvers in C++ should get a
copy kept in C++ memory: `pyspiel.convert_to_cached_tree(game)` visits each history once and then never calls Python
again. Algorithms for games in turns take `pyspiel.convert_to_turn_based(game)` of a game with simultaneous moves; both
conversions may be combined, in that order (measured with 4 values: 360 times as many CFR iterations per CPU second):

    game = to_openspiel("walras/DiscreteAuction-v0")
    tree = pyspiel.convert_to_cached_tree(pyspiel.convert_to_turn_based(game))
    solver = pyspiel.CFRSolver(tree)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyspiel
from gymnasium import spaces

from walras.envs.finite import Actions, Facts, as_finite, survey
from walras.envs.game import Array, FiniteGame, Game
from walras.envs.registry import as_game
from walras.envs.spaces import cast_observation, pick

TENSOR_LIMIT = 1_000_000
"""Longest information-state tensor that is offered, in numbers."""

_exported: dict[str, WalrasGame] = {}


def to_openspiel(
    game: Game[Any] | str, *, name: str | None = None, limit: int = 1_000_000, **parameters: Any
) -> WalrasGame:
    """A finite walras game as an OpenSpiel game, which `pyspiel.load_game("python_walras_<name>")` then finds too.

    Players are the game's agents in order; actions are numbered from 0 (`action_to_string` names them; several digits
    of a MultiDiscrete or MultiBinary action become one number). If never more than one agent moves, the game has
    sequential dynamics; otherwise all its decisions are simultaneous, and agents who are not asked have the single
    action 0, which changes nothing. Nature's moves are chance nodes; the game's `horizon` ends episodes. Rewards add up
    to the returns.

    Information states have perfect recall: at every step of the rules so far, what the player observed, whether it was
    asked, and what it did. Rewards are no part of them: what a player is to remember of its payments belongs into
    `observe`. The tensor is left out when it would hold more than `TENSOR_LIMIT` numbers.

    Utility bounds, lengths and the game's type are found by visiting every state once (`walras.envs.finite.survey`).

    Args:
        game: registered id or a `FiniteGame` with Discrete, MultiDiscrete or MultiBinary actions.
        name: last part of the short name, lower-case letters, digits and underscores (default: the class's name,
            numbered when taken).
        limit: largest number of moves that are visited.
        parameters: of the game, when an id is given.

    Raises:
        TypeError: if the game is not finite; the message says what to do.
        ValueError: if the name is malformed or belongs to another game, or the game has more than `limit` moves.
    """
    made = as_finite(as_game(game, parameters))
    for given in _exported.values():
        if given.walras is made and (name is None or given.short_name == _short(name)):
            return given
    if name is None:
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(made).__name__).lower()
        name = next(option for option in _numbered(stem) if _short(option) not in _exported)
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"name: lower-case letters, digits and underscores are needed, got {name!r}")
    if _short(name) in _exported:
        raise ValueError(f"name: {_short(name)!r} is already registered for {_exported[_short(name)].walras!r}")
    exported = WalrasGame(made, _short(name), survey(made, limit))
    pyspiel.register_game(exported.get_type(), _Loader(exported.short_name))
    _exported[exported.short_name] = exported
    return exported


def random_playout(game: Any, rng: np.random.Generator) -> list[float]:
    """Returns of one episode of an OpenSpiel game in which everybody, nature by its law, moves at random.

    Raises:
        ValueError: if nature's probabilities do not sum to one, or the returns are not within the game's bounds.
    """
    state = game.new_initial_state()
    while not state.is_terminal():
        if state.is_chance_node():
            outcomes, odds = zip(*state.chance_outcomes(), strict=True)
            if abs(sum(odds) - 1.0) > 1e-9:
                raise ValueError(f"chance_outcomes: probabilities {odds} do not sum to one after {state}")
            state.apply_action(int(outcomes[np.searchsorted(np.cumsum(odds)[:-1], rng.random(), side="right")]))
        elif state.is_simultaneous_node():
            menus = [state.legal_actions(player) for player in range(game.num_players())]
            state.apply_actions([menu[int(rng.random() * len(menu))] for menu in menus])
        else:
            menu = state.legal_actions()
            state.apply_action(menu[int(rng.random() * len(menu))])
    returns = cast(list[float], state.returns())
    if min(returns) < game.min_utility() - 1e-9 or max(returns) > game.max_utility() + 1e-9:
        raise ValueError(f"returns: {returns} leave [{game.min_utility()}, {game.max_utility()}] after {state}")
    return returns


class _Loader:
    """What OpenSpiel calls to load an exported game by its name.

    OpenSpiel drops its reference after Python has shut down, when freeing an object would abort the process; the
    reference to itself keeps it from being freed.
    """

    def __init__(self, short_name: str) -> None:
        self.short_name = short_name
        self.itself = self

    def __call__(self, parameters: dict[str, Any]) -> WalrasGame:
        return _exported[self.short_name]


def _short(name: str) -> str:
    return f"python_walras_{name}"


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1


def _type(game: FiniteGame[Any], short_name: str, facts: Facts, tensor: bool) -> Any:
    kind = pyspiel.GameType
    if facts.total is not None and game.n_agents > 1:
        utility = kind.Utility.ZERO_SUM if abs(facts.total) < 1e-9 else kind.Utility.CONSTANT_SUM
    else:
        utility = kind.Utility.IDENTICAL if facts.identical and game.n_agents > 1 else kind.Utility.GENERAL_SUM
    information = kind.Information.PERFECT_INFORMATION if facts.perfect else kind.Information.IMPERFECT_INFORMATION
    if facts.simultaneous and facts.steps == 1 and not facts.chances:
        information = kind.Information.ONE_SHOT
    return kind(
        short_name=short_name,
        long_name=f"walras {type(game).__name__}",
        dynamics=kind.Dynamics.SIMULTANEOUS if facts.simultaneous else kind.Dynamics.SEQUENTIAL,
        chance_mode=kind.ChanceMode.EXPLICIT_STOCHASTIC if facts.chances else kind.ChanceMode.DETERMINISTIC,
        information=information,
        utility=utility,
        reward_model=kind.RewardModel.REWARDS if facts.early else kind.RewardModel.TERMINAL,
        max_num_players=game.n_agents,
        min_num_players=game.n_agents,
        provides_information_state_string=True,
        provides_information_state_tensor=tensor,
        provides_observation_string=True,
        provides_observation_tensor=True,
    )


class WalrasGame(pyspiel.Game):
    """An exported game; made by `to_openspiel`.

    Attributes:
        walras: the rules.
        facts: what `survey` found out about them.
        short_name: its name in OpenSpiel.
    """

    def __init__(self, game: FiniteGame[Any], short_name: str, facts: Facts) -> None:
        """Describe the game to OpenSpiel."""
        self.walras, self.short_name, self.facts = game, short_name, facts
        self.actions = Actions(game)
        self.width = max(spaces.utils.flatdim(role.observation_space) for role in game.roles)
        self.stage = 2 + self.width + max(self.actions.counts)
        tensor = game.n_agents + facts.steps * self.stage <= TENSOR_LIMIT
        info = pyspiel.GameInfo(
            num_distinct_actions=max(self.actions.counts),
            max_chance_outcomes=facts.outcomes,
            num_players=game.n_agents,
            min_utility=facts.low,
            max_utility=facts.high,
            utility_sum=facts.total if game.n_agents > 1 else None,
            max_game_length=facts.steps,
        )
        super().__init__(_type(game, short_name, facts, tensor), info, {})
        self.root = _Node(self, None, (), game.root(1), 0, np.zeros(game.n_agents), np.zeros(game.n_agents))

    def new_initial_state(self) -> WalrasState:
        """The root."""
        return WalrasState(self)

    def max_chance_nodes_in_history(self) -> int:
        """Most chance moves in one episode."""
        return self.facts.chances

    def make_py_observer(self, iig_obs_type: Any = None, params: Any = None) -> _Observer:
        """What a player sees now, or with perfect recall all it ever saw and did.

        Raises:
            ValueError: if another split into public and private information is asked for; walras games state none.
        """
        wanted = pyspiel.IIGObservationType(perfect_recall=False)
        if isinstance(iig_obs_type, pyspiel.IIGObservationType):
            wanted = iig_obs_type
        if not wanted.public_info or wanted.private_info != pyspiel.PrivateInfoType.SINGLE_PLAYER:
            raise ValueError("iig_obs_type: public information and the player's own are offered together only")
        return _Observer(self, wanted.perfect_recall)


class _Node:
    """One history: immutable, shared by all copies of a state, which makes clones exact and cheap."""

    __slots__ = (
        "_menu",
        "_seen",
        "chances",
        "game",
        "move",
        "moves",
        "parent",
        "player",
        "returns",
        "rewards",
        "state",
        "steps",
    )

    def __init__(
        self,
        game: WalrasGame,
        parent: _Node | None,
        move: tuple[int, ...],
        state: Any,
        steps: int,
        returns: Array,
        rewards: Array,
    ) -> None:
        self.game, self.parent, self.move, self.state, self.steps = game, parent, move, state, steps
        self.returns, self.rewards = returns, rewards
        self._seen: dict[int, tuple[str, Array]] = {}
        rules = game.walras
        chance = rules.chance(state)[0]
        self.chances = [(outcome, float(chance[outcome] / chance.sum())) for outcome in np.flatnonzero(chance).tolist()]
        late = rules.horizon is not None and steps >= rules.horizon
        over = not self.chances and (late or bool(rules.terminal(state)[0]))
        self._menu = None if self.chances or over else game.actions.menu(state)
        self.moves = [] if self._menu is None else np.flatnonzero(self._menu.movers[0]).tolist()
        if self._menu is None:
            self.player = pyspiel.PlayerId.CHANCE if self.chances else pyspiel.PlayerId.TERMINAL
        else:
            self.player = pyspiel.PlayerId.SIMULTANEOUS if game.facts.simultaneous else self.moves[0]

    def __deepcopy__(self, memo: object) -> _Node:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        path, node = [], self
        while node.parent is not None:
            path.append(node.move)
            node = node.parent
        return _replay, (self.game.short_name, path[::-1])

    @property
    def asked(self) -> bool:
        """Do the rules step from here?"""
        return self._menu is not None

    def legal(self, player: int) -> list[int]:
        return [] if self._menu is None else np.flatnonzero(self._menu.legal[player][0]).tolist()

    def after(self, move: tuple[int, ...]) -> _Node:
        """Nature's outcome, or one action for each player."""
        rules = self.game.walras
        if self.chances:
            state = rules.resolve(self.state, np.array(move))
            return _Node(self.game, self, move, state, self.steps, self.returns, self.rewards)
        state, rewards = rules.apply(self.state, self.game.actions.arrays(np.array([move])))
        return _Node(self.game, self, move, state, self.steps + 1, self.returns + rewards[0], rewards[0])

    def seen(self, player: int) -> tuple[str, Array]:
        """The player's observation here, as text (exact) and flat."""
        if player not in self._seen:
            role, i, _ = self.game.walras.seat[self.game.walras.agents[player]]
            observed = cast_observation(role.observation_space, self.game.walras.observe(self.state, role.name))
            flat = np.asarray(spaces.utils.flatten(role.observation_space, cast(Any, pick(observed, (0, i)))))
            self._seen[player] = _text(pick(observed, (0, i))), flat.astype(np.float32)
        return self._seen[player]

    def stages(self) -> list[tuple[_Node, tuple[int, ...] | None]]:
        """Steps of the rules up to here with the actions taken; the step about to be taken has none."""
        steps: list[tuple[_Node, tuple[int, ...] | None]] = [(self, None)] if self.asked else []
        node = self
        while node.parent is not None:
            if node.parent.asked:
                steps.append((node.parent, node.move))
            node = node.parent
        return steps[::-1]


def _replay(short_name: str, path: list[tuple[int, ...]]) -> _Node:
    """The node of a pickled history; the game must have been exported under the same name in this process."""
    if short_name not in _exported:
        name = short_name.removeprefix("python_walras_")
        raise KeyError(f"{short_name!r} is not exported here: call to_openspiel(..., name={name!r}) first")
    node = _exported[short_name].root
    for move in path:
        node = node.after(move)
    return node


class WalrasState(pyspiel.State):
    """A history of an exported game."""

    def __init__(self, game: WalrasGame) -> None:
        """Stand at the root."""
        super().__init__(game)
        self.node = game.root

    def current_player(self) -> int:
        """The player to move, or OpenSpiel's number for nature, everybody, or the end."""
        return cast(int, self.node.player)

    def _legal_actions(self, player: int) -> list[int]:
        return self.node.legal(player)

    def chance_outcomes(self) -> list[tuple[int, float]]:
        """Nature's outcomes of positive probability."""
        return self.node.chances

    def _apply_action(self, action: int) -> None:
        node = self.node
        if node.chances:
            self.node = node.after((action,))
        else:
            move = [0] * node.game.walras.n_agents
            move[node.moves[0]] = action
            self.node = node.after(tuple(move))

    def _apply_actions(self, actions: list[int]) -> None:
        self.node = self.node.after(tuple(actions))

    def _action_to_string(self, player: int, action: int) -> str:
        if player == pyspiel.PlayerId.CHANCE:
            return f"nature {action}"
        game = self.node.game
        role, _, _ = game.walras.seat[game.walras.agents[player]]
        return f"{game.walras.agents[player]} {_text(game.actions.tables[role.name][action])}"

    def is_terminal(self) -> bool:
        """Has the episode ended?"""
        return self.node.player is pyspiel.PlayerId.TERMINAL

    def returns(self) -> list[float]:
        """Sum of each player's rewards so far."""
        return cast(list[float], self.node.returns.tolist())

    def rewards(self) -> list[float]:
        """What the last decision brought each player."""
        return cast(list[float], self.node.rewards.tolist())

    def __str__(self) -> str:
        """Everything that has happened."""
        path, node = [], self.node
        while node.parent is not None:
            label = "nature" if node.parent.chances else "actions"
            path.append(f"{label} {' '.join(map(str, node.move))}")
            node = node.parent
        return "; ".join(path[::-1])


class _Observer:
    """OpenSpiel's observer: named views of one flat tensor.

    Without recall: player (n), asked (1), observation. With recall: player (n), then for every step of the rules: it
    took place (1), the player was asked (1), observation, own action (one-hot; zeros when not asked or still to come).
    While nature moves a player sees nothing new.
    """

    def __init__(self, game: WalrasGame, recall: bool) -> None:
        self.game, self.recall = game, recall
        n = game.walras.n_agents
        shapes: dict[str, tuple[int, ...]] = {"player": (n,), "asked": (1,), "observation": (game.width,)}
        if recall:
            shapes = {"player": (n,), "stages": (game.facts.steps, game.stage)}
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        self.dict: dict[str, Array] = {}
        self.tensor: Array | None = None
        if recall and sum(sizes) > TENSOR_LIMIT:
            return
        self.tensor = np.zeros(sum(sizes), np.float32)
        parts = np.split(self.tensor, np.cumsum(sizes)[:-1])
        self.dict = {key: part.reshape(shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}

    def set_from(self, state: WalrasState, player: int) -> None:
        """Fill the tensor."""
        if self.tensor is None:
            return
        self.tensor.fill(0.0)
        node = state.node
        self.dict["player"][player] = 1.0
        if self.recall:
            for row, (stage, move) in zip(self.dict["stages"], node.stages(), strict=False):
                flat = stage.seen(player)[1]
                row[0], row[1] = 1.0, player in stage.moves
                row[2 : 2 + len(flat)] = flat
                if move is not None and player in stage.moves:
                    row[2 + self.game.width + move[player]] = 1.0
        elif not node.chances:
            flat = node.seen(player)[1]
            self.dict["asked"][0] = player in node.moves
            self.dict["observation"][: len(flat)] = flat

    def string_from(self, state: WalrasState, player: int) -> str:
        """`[observation]action` for a step at which the player was asked, `(observation)` for the others."""
        node = state.node
        if not self.recall:
            return f"p{player} {'nature moves' if node.chances else node.seen(player)[0]}"
        words = [f"p{player}"]
        for stage, move in node.stages():
            text = stage.seen(player)[0]
            words.append(f"[{text}]{'' if move is None else move[player]}" if player in stage.moves else f"({text})")
        return " ".join(words)


def _text(value: Any) -> str:
    """An observation or action in as few digits as tell it from every other one."""
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(part)}" for key, part in value.items())
    return " ".join(str(x) for x in np.asarray(value).reshape(-1))
