"""The learners: from a game to policies. Nothing is imported before it is used, torch only to train a network."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from walras.algorithms.platforms.entry import EntryRegret
    from walras.algorithms.platforms.fees import learn_fee
    from walras.algorithms.platforms.homogeneous_introductions import keep_world, one_seller_known
    from walras.algorithms.platforms.introducers import Introducer
    from walras.algorithms.platforms.introduction_bound import revenue_bound
    from walras.algorithms.platforms.introduction_search import search_introductions
    from walras.algorithms.platforms.optimal_introductions import optimal_introductions
    from walras.algorithms.platforms.penalised import penalised_matching
    from walras.algorithms.ppo import PPOSettings, Trained, train_ppo, train_self_play
    from walras.algorithms.regret_matching import RegretMatching, bid_distance
    from walras.algorithms.shared_ppo import SharedPPO, SharedPPOSettings, SharedTrained, train_shared

__all__ = [
    "ALGORITHMS",
    "AlgorithmEntry",
    "EntryRegret",
    "Introducer",
    "PPOSettings",
    "RegretMatching",
    "SharedPPO",
    "SharedPPOSettings",
    "SharedTrained",
    "Trained",
    "bid_distance",
    "keep_world",
    "learn_fee",
    "one_seller_known",
    "optimal_introductions",
    "penalised_matching",
    "revenue_bound",
    "search_introductions",
    "train_ppo",
    "train_self_play",
    "train_shared",
]


@dataclass(frozen=True)
class AlgorithmEntry:
    """One row of the table of algorithms.

    Attributes:
        entry: where it is, `"module:name"`.
        title: what it does.
        source: paper.
        requires: the extra that must be installed, or `""`.
        status: `verified` (reaches known equilibria or optima in the tests or the bench) or `runs`.
    """

    entry: str
    title: str
    source: str
    requires: str
    status: str


_HERE = "walras.algorithms"

ALGORITHMS: dict[str, AlgorithmEntry] = {
    "regret-matching": AlgorithmEntry(
        f"{_HERE}.regret_matching:RegretMatching",
        "independent bidders by regret matching, plain or plus",
        "Hart and Mas-Colell (2000); arXiv 1407.5042",
        "",
        "verified",
    ),
    "entry-regret": AlgorithmEntry(
        f"{_HERE}.platforms.entry:EntryRegret",
        "sellers who join a platform or not, by regret matching with counterfactuals",
        "Hart and Mas-Colell (2000)",
        "",
        "verified",
    ),
    "fee-search": AlgorithmEntry(
        f"{_HERE}.platforms.fees:learn_fee",
        "a platform's fee by grid, UCB1, epsilon-greedy, gradient or a search that narrows",
        "Auer et al. (2002); Kiefer and Wolfowitz (1952)",
        "",
        "verified",
    ),
    "penalised-matching": AlgorithmEntry(
        f"{_HERE}.platforms.penalised:penalised_matching",
        "introductions by penalised matching, with a certificate of DeltaW / H_K",
        "arXiv 2406.07385; Eisner and Severance (1976)",
        "",
        "verified",
    ),
    "optimal-introductions": AlgorithmEntry(
        f"{_HERE}.platforms.optimal_introductions:optimal_introductions",
        "revenue-optimal introductions by a tight mixed-integer program (HiGHS)",
        "arXiv 2406.07385",
        "",
        "verified",
    ),
    "introduction-search": AlgorithmEntry(
        f"{_HERE}.platforms.introduction_search:search_introductions",
        "introductions by annealing among optimal matchings, also for large markets",
        "arXiv 2406.07385; Kirkpatrick, Gelatt and Vecchi (1983)",
        "",
        "verified",
    ),
    "introduction-bound": AlgorithmEntry(
        f"{_HERE}.platforms.introduction_bound:revenue_bound",
        "Lagrangian upper bound on the revenue of introductions",
        "arXiv 2406.07385; Held and Karp (1971)",
        "",
        "verified",
    ),
    "chains-and-cycles": AlgorithmEntry(
        f"{_HERE}.platforms.homogeneous_introductions:one_seller_known",
        "optimal introductions for homogeneous goods where buyers know one seller at most",
        "arXiv 2406.07385",
        "",
        "verified",
    ),
    "keep-world": AlgorithmEntry(
        f"{_HERE}.platforms.homogeneous_introductions:keep_world",
        "efficient introductions for homogeneous goods that earn DeltaW",
        "arXiv 2406.07385",
        "",
        "verified",
    ),
    "gemnet": AlgorithmEntry(
        f"{_HERE}.auctions.gemnet:design",
        "an auction for several bidders: node prices learned, transformed, certified",
        "arXiv 2406.07428",
        "learn",
        "verified",
    ),
    "node-prices": AlgorithmEntry(
        f"{_HERE}.auctions.node_prices:NodePriceLearner",
        "prices at nodes of the others' reports, by exact gradients of revenue and draws near conflicts",
        "arXiv 2406.07428; Manelli and Vincent (2006)",
        "learn",
        "verified",
    ),
    "menu-transform": AlgorithmEntry(
        f"{_HERE}.auctions.piece_transform:transform",
        "least surcharges that make piecewise-affine menus fit together everywhere",
        "arXiv 2406.07428; Tarski (1955)",
        "",
        "verified",
    ),
    "entry-fees": AlgorithmEntry(
        f"{_HERE}.auctions.entry_fees:EntryFeeLearner",
        "entry fees on top of an affine maximiser, with its boosts",
        "Yao (2015); Cai, Devanur and Weinberg (2016)",
        "learn",
        "verified",
    ),
    "menu": AlgorithmEntry(
        f"{_HERE}.menus.learner:MenuLearner",
        "a menu for one buyer by gradient on softened choices (RochetNet); items or any other good",
        "arXiv 1706.03459; Rochet (1987)",
        "learn",
        "verified",
    ),
    "affine-search": AlgorithmEntry(
        f"{_HERE}.auctions.ama_search:AffineSearch",
        "deterministic affine maximisers, boosts equal where the prior is symmetric, searched without gradients",
        "Sandholm and Likhodedov (2015), Operations Research 63",
        "",
        "verified",
    ),
    "assignment-ama": AlgorithmEntry(
        f"{_HERE}.auctions.affine_learners:AssignmentAMA",
        "affine maximisers over all assignments, a free boost each, by gradient",
        "Roberts (1979)",
        "learn",
        "verified",
    ),
    "lottery-ama": AlgorithmEntry(
        f"{_HERE}.auctions.affine_learners:LotteryAMA",
        "affine maximisers over learned lotteries, by gradient",
        "Curry, Sandholm and Dickerson (2023), IJCAI",
        "learn",
        "verified",
    ),
    "vvca": AlgorithmEntry(
        f"{_HERE}.auctions.affine_learners:VVCA",
        "affine maximisers whose boosts split by bidder and bundle, by gradient",
        "Likhodedov and Sandholm (2004), AAAI",
        "learn",
        "verified",
    ),
    "amenunet": AlgorithmEntry(
        f"{_HERE}.auctions.amenunet:AMenuNet",
        "affine maximisers put out by a transformer over bidders and items",
        "arXiv 2305.12162",
        "learn",
        "verified",
    ),
    "regretnet": AlgorithmEntry(
        f"{_HERE}.auctions.regretnet:RegretNet",
        "direct mechanisms under a penalty on regret: augmented Lagrangian or budget",
        "arXiv 1706.03459; arXiv 2202.13110",
        "learn",
        "verified",
    ),
    "myerson-net": AlgorithmEntry(
        f"{_HERE}.auctions.myerson_net:MyersonNet",
        "auctions of one item as increasing virtual values, by gradient",
        "arXiv 1706.03459; Myerson (1981)",
        "learn",
        "verified",
    ),
    "menu-network": AlgorithmEntry(
        f"{_HERE}.auctions.menu_network:MenuNetworkLearner",
        "menus of several bidders by networks that see the others' reports alone (GemNet)",
        "arXiv 2406.07428",
        "learn",
        "verified",
    ),
    "cell-transform": AlgorithmEntry(
        f"{_HERE}.auctions.cell_transform:transform",
        "menus on cells made feasible at every profile by least fixed points; also by HiGHS and CP-SAT",
        "arXiv 2406.07428; Tarski (1955)",
        "",
        "verified",
    ),
    "finite-menus": AlgorithmEntry(
        f"{_HERE}.auctions.finite_menus:FiniteMenuLearner",
        "menus for finitely many types, learned, settled by a linear program, tabulated",
        "arXiv 2406.07428; Yao (2017)",
        "learn",
        "verified",
    ),
    "ppo": AlgorithmEntry(
        f"{_HERE}.ppo:train_ppo", "any one seat by Stable-Baselines3 PPO", "arXiv 1707.06347", "learn", "verified"
    ),
    "self-play": AlgorithmEntry(
        f"{_HERE}.ppo:train_self_play",
        "all seats of a role by PPO against each other",
        "arXiv 1707.06347",
        "learn",
        "runs",
    ),
    "shared-ppo": AlgorithmEntry(
        f"{_HERE}.shared_ppo:train_shared",
        "all seats of a role by independent PPO with one network, on views of classes",
        "arXiv 1707.06347; arXiv 2402.14090",
        "learn",
        "verified",
    ),
    "abcs": AlgorithmEntry(
        f"{_HERE}.tabular.abcs:ABCs",
        "Q-learning where the world stands still, CFR where it answers back; games, processes and stacks",
        "arXiv 2402.11835",
        "",
        "verified",
    ),
    "max-cfr": AlgorithmEntry(
        f"{_HERE}.tabular.abcs:MaxCFR", "ABCs that takes nothing to be stationary", "arXiv 2402.11835", "", "verified"
    ),
    "boltzmann-q": AlgorithmEntry(
        f"{_HERE}.tabular.abcs:BoltzmannQ", "tabular Boltzmann Q-learning", "arXiv 2402.11835", "", "verified"
    ),
    "outcome-sampling": AlgorithmEntry(
        f"{_HERE}.tabular.abcs:OutcomeSampling",
        "Monte Carlo CFR along one trajectory, with Hedge",
        "Lanctot et al. (2009), NIPS 22; arXiv 2402.11835",
        "",
        "verified",
    ),
    "external-sampling": AlgorithmEntry(
        f"{_HERE}.tabular.mccfr:ExternalSampling",
        "Monte Carlo CFR along all actions of one player; regret matching or Hedge",
        "Lanctot et al. (2009), NIPS 22",
        "",
        "verified",
    ),
    "cfr": AlgorithmEntry(
        f"{_HERE}.tabular.cfr:CFR",
        "CFR, CFR+ and discounted CFR, in sequence form or on the tree",
        "Zinkevich et al. (2007), NIPS 20; arXiv 1407.5042; arXiv 1809.04040",
        "",
        "verified",
    ),
    "sequence-form-lp": AlgorithmEntry(
        f"{_HERE}.tabular.equilibrium:solve",
        "exact equilibrium of a two-player game of constant sum, by HiGHS",
        "Koller, Megiddo and von Stengel (1996), Games and Economic Behavior 14",
        "",
        "verified",
    ),
    "society-rounds": AlgorithmEntry(
        f"{_HERE}.society.rounds:live",
        "rounds of a society: vote, design, answer, play, carry over",
        "arXiv 2402.14090",
        "",
        "verified",
    ),
    "society-principals": AlgorithmEntry(
        f"{_HERE}.society.principals:as_principal",
        "principals from a record: grid, UCB, Thompson, epsilon-greedy, Gaussian process, Saez, transcript",
        "arXiv 2410.08345; Saez (2001), Review of Economic Studies 68",
        "",
        "verified",
    ),
    "society-followers": AlgorithmEntry(
        f"{_HERE}.society.followers:as_followers",
        "followers of a policy: scripted, best response, no-regret, shared PPO",
        "arXiv 2402.14090; Hart and Mas-Colell (2000)",
        "",
        "verified",
    ),
    "society-ppo": AlgorithmEntry(
        f"{_HERE}.society.neural:train_principal",
        "PPO in the principal's seat of a society",
        "arXiv 1707.06347",
        "learn",
        "verified",
    ),
    "dual-rl": AlgorithmEntry(
        f"{_HERE}.society.neural:DualRL",
        "principal and followers learn at once, in the AI Economist's way",
        "arXiv 2004.13332",
        "learn",
        "runs",
    ),
    "best-response": AlgorithmEntry(
        "walras.agents.best_response:best_response",
        "best response and exploitability on a grid of reports",
        "",
        "",
        "verified",
    ),
}
"""Every algorithm that ships with walras."""

_WHERE = {
    "platforms.entry": ("EntryRegret",),
    "platforms.fees": ("learn_fee",),
    "platforms.homogeneous_introductions": ("keep_world", "one_seller_known"),
    "platforms.introducers": ("Introducer",),
    "platforms.introduction_bound": ("revenue_bound",),
    "platforms.introduction_search": ("search_introductions",),
    "platforms.optimal_introductions": ("optimal_introductions",),
    "platforms.penalised": ("penalised_matching",),
    "ppo": ("PPOSettings", "Trained", "train_ppo", "train_self_play"),
    "shared_ppo": ("SharedPPO", "SharedPPOSettings", "SharedTrained", "train_shared"),
    "regret_matching": ("RegretMatching", "bid_distance"),
}


def __getattr__(name: str) -> Any:
    """Import a name of the table above when it is first asked for."""
    for module, names in _WHERE.items():
        if name in names:
            return getattr(importlib.import_module(f"{_HERE}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
