"""From a prior to a certified auction: learn node prices, transform them, and hand the result to the certifier.

`DESIGNS` holds the settings of the suite `gemnet` with the training that each needs on one core.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import NamedTuple

from walras.algorithms.auctions.node_prices import STAGES, Stage, learn_node_prices
from walras.algorithms.auctions.piece_earnings import earn
from walras.algorithms.auctions.piece_transform import Progress, Work, transform
from walras.envs.auctions.certify import Certificate, certify
from walras.envs.auctions.laws import Beta, Uniform
from walras.envs.auctions.mixture import CoinMixture
from walras.envs.auctions.priors import Prior
from walras.envs.auctions.simplex_menus import SimplexMenus


class Design(NamedTuple):
    """What to design an auction for, and how long to learn.

    Attributes:
        prior: independent values of two bidders or more.
        demand: `"additive"` or `"unit"`.
        stages: of `learn_node_prices`.
        levels: of refinement in `transform`.
        earning: level of `earn`; None: the least surcharges stay.
        order: of the bidders in the transform.
    """

    prior: Prior
    demand: str = "additive"
    stages: tuple[Stage, ...] = STAGES
    levels: int = 2
    earning: int | None = None
    order: tuple[int, ...] | None = None


class Designed(NamedTuple):
    """A designed auction.

    Attributes:
        mechanism: transformed, and after `earn` where the setting asks for it.
        learned: before the transform.
        transformed: after the transform, before `earn`.
        certificate: of `mechanism`.
        work: of the transform.
        seconds: processor time of learning, transform and certificate.
    """

    mechanism: SimplexMenus
    learned: SimplexMenus
    transformed: SimplexMenus
    certificate: Certificate
    work: tuple[Work, ...]
    seconds: tuple[float, float, float]


_COARSE = (
    Stage(4, 1_500, 1.0, (5e-3, 1e-3), (0.1, 0.02)),
    Stage(8, 3_000, 1.5, (2e-3, 5e-4), (0.03, 0.005)),
    Stage(16, 6_000, 4.0, (8e-4, 3e-5), (0.006, 0.0002)),
)
_QUICK = (
    Stage(4, 400, 1.5, (1e-2, 2e-3), (0.1, 0.02), 2048),
    Stage(8, 600, 3.0, (3e-3, 2e-4), (0.02, 0.001), 2048),
)

DESIGNS: dict[str, Design] = {
    "2x2-quick": Design(Prior.iid(Uniform(), 2, 2), stages=_QUICK),
    "2x2": Design(Prior.iid(Uniform(), 2, 2), earning=1),
    "2x2-unit": Design(Prior.iid(Uniform(), 2, 2), "unit", _COARSE),
    "2x2-items": Design(Prior.per_item((Uniform(0.0, 1.0), Uniform(0.0, 2.0)), 2), stages=_COARSE),
    "2x2-bidders": Design(Prior.per_bidder((Uniform(0.0, 1.0), Uniform(0.0, 2.0)), 2), stages=_COARSE),
    "2x2-beta": Design(Prior.iid(Beta(1.0, 2.0), 2, 2), stages=_COARSE),
    "2x3": Design(
        Prior.iid(Uniform(), 2, 3),
        stages=(
            Stage(2, 1_500, 1.0, (5e-3, 1e-3), (0.1, 0.03)),
            Stage(4, 4_000, 1.5, (2e-3, 5e-4), (0.04, 0.006)),
            Stage(8, 6_000, 3.0, (6e-4, 3e-5), (0.006, 0.0003)),
            Stage(8, 4_000, 8.0, (2e-4, 1e-5), (0.0005, 0.00005)),
        ),
        levels=1,
    ),
    "3x2": Design(
        Prior.iid(Uniform(), 3, 2),
        stages=(
            Stage(2, 2_000, 1.0, (5e-3, 1e-3), (0.1, 0.03)),
            Stage(4, 8_000, 3.0, (2e-3, 5e-5), (0.04, 0.0005)),
        ),
        levels=1,
    ),
}
"""Settings by name: bidders x items, U[0, 1] and additive where nothing else is said."""


def design(
    setting: Design | str,
    *,
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Designed:
    """Learn an auction, make it compatible, and certify it.

    Args:
        setting: or its name in `DESIGNS`.
        seed: of the learning; all that follows is determined.
        checkpoint: folder that keeps the state of the learning, which goes on from there.
        progress: told `(fraction, text)` now and then.

    Raises:
        ValueError: if the name is unknown, or the setting does not fit.
    """
    if isinstance(setting, str):
        if setting not in DESIGNS:
            raise ValueError(f"setting: must be one of {sorted(DESIGNS)}, got {setting!r}")
        setting = DESIGNS[setting]

    def part(start: float, end: float) -> Progress:
        return lambda fraction, text: None if progress is None else progress(start + (end - start) * fraction, text)

    times = [time.process_time()]
    learned = learn_node_prices(
        setting.prior, setting.demand, setting.stages, seed=seed, checkpoint=checkpoint, progress=part(0.0, 0.8)
    )
    times.append(time.process_time())
    transformed, work = transform(learned, setting.order, levels=setting.levels, progress=part(0.8, 0.9))
    mechanism = transformed
    if setting.earning is not None:
        mechanism = earn(transformed, setting.prior, setting.order, level=setting.earning, progress=part(0.9, 0.95))
    times.append(time.process_time())
    certificate = certify(mechanism)
    times.append(time.process_time())
    first, second, third = (b - a for a, b in itertools.pairwise(times))
    return Designed(mechanism, learned, transformed, certificate, work, (first, second, third))


def mixed_orders(learned: SimplexMenus, *, levels: int = 2, progress: Progress | None = None) -> CoinMixture:
    """A public coin over transforms in which each bidder comes first once: equal bidders are then treated alike.

    Args:
        learned: menus without surcharges.
        levels: of refinement.
        progress: told `(fraction, text)` now and then.
    """
    n = learned.bidders
    parts = []
    for first in range(n):
        order = [(first + k) % n for k in range(n)]
        parts.append(transform(learned, order, levels=levels).mechanism)
        if progress is not None:
            progress((first + 1) / n, f"order {order}")
    return CoinMixture(tuple(parts), (1.0 / n,) * n)
