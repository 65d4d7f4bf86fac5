"""walras: environments, learners and measurements for economic design.

    import walras

    game = walras.make("walras/SealedBidAuction-v0", bidders=3)
    episodes = walras.play(game, {"bidder": "equilibrium"}, batch=10_000, seed=0)
    print(episodes.mean("bidder"))

Importing registers every game with Gymnasium and PettingZoo; nothing heavy is loaded before it is used.
"""

import importlib.metadata

from walras.envs.game import FiniteGame, Game, Policy, Role, Truth
from walras.envs.play import Episodes, play
from walras.envs.registry import GameSpec, make, register, spec, specs
from walras.envs.seats import policy_names, register_policy

import walras.envs.catalogue  # noqa: F401  isort: skip  (registers the games)

__version__ = importlib.metadata.version("walras")

__all__ = [
    "Episodes",
    "FiniteGame",
    "Game",
    "GameSpec",
    "Policy",
    "Role",
    "Truth",
    "__version__",
    "make",
    "play",
    "policy_names",
    "register",
    "register_policy",
    "spec",
    "specs",
]
