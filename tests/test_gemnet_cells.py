"""The rows about menus on cells and the suite of two-point values: small runs, truths, pictures."""

from __future__ import annotations

import pytest

from walras.benchmarks.execute import Task, execute
from walras.benchmarks.pictures import draw
from walras.benchmarks.suite import Suite
from walras.benchmarks.suites import gemnet_cells, get_suite
from walras.envs.auctions.laws import Uniform
from walras.envs.auctions.priors import Prior

SMALL = {
    "cells-ama-20": {"grid": 6},
    "cells-3x2": {"grid": 3},
    "cells-2x3": {"grid": 2},
    "cells-adaptive": {"grid": 4, "rounds": 1},
    "cells-orders": {"grid": 6},
    "cells-worked": {},
    "cells-programs-6": {"grid": 4, "programs": 6},
    "cells-programs-network": {"grid": 4, "programs": 4, "iterations": 20, "batch": 64, "layers": [8]},
    "cells-network-8": {"grid": 4, "draws": 2000, "iterations": 20, "batch": 64, "layers": [8]},
}
SUITE = Suite(
    "cells", "cells", "rows of gemnet", gemnet_cells.CASES, gemnet_cells.METRICS, known=gemnet_cells.KNOWN,
    targets=gemnet_cells.TARGETS, pictures=gemnet_cells.PICTURES,
)  # fmt: skip


def run(suite, name, **changes):
    case = suite.case(name)
    metrics = tuple(metric.name for metric in suite.metrics)
    record = execute(Task(suite.name, name, 0, case.run, {**case.params, **changes}, metrics, False, "code", "mark"))
    assert record.status == "done", record.error
    return record


@pytest.mark.parametrize("name", sorted(SMALL))
def test_small_runs_of_the_rows_are_certified_and_agree_with_what_is_known(name):
    metrics = run(SUITE, name, **SMALL[name]).metrics
    assert metrics.get("certified", 1.0) == 1.0
    for known in SUITE.known:
        if known.case == name and not (known.kind == "bound" and known.metric not in metrics):
            assert known.met(metrics[known.metric], SUITE.metric(known.metric).better)
    if name.startswith("cells-ama"):
        assert 0.75 < metrics["revenue"] < metrics["frozen"]


def test_the_affine_maximiser_of_the_rows_is_myersons_auction_item_by_item():
    import numpy as np

    from walras.envs.auctions.named import as_mechanism

    for bidders, items in ((2, 3), (3, 2)):
        prior = Prior.iid(Uniform(0.0, 1.0), bidders, items)
        bids = prior.sample(np.random.default_rng(0).random((200, bidders * items)))
        ours = gemnet_cells.itemwise_ama(bidders, items).outcome(bids)
        theirs = as_mechanism("myerson", prior, "additive").outcome(bids)
        np.testing.assert_allclose(ours.allocation, theirs.allocation)
        np.testing.assert_allclose(ours.payment, theirs.payment, atol=1e-12)


def test_optima_of_two_point_values_are_those_of_the_table():
    suite = get_suite("yao")
    for case in suite.cases:
        if case.name.startswith("optimum") and "q" in case.name:
            metrics = run(suite, case.name).metrics
            for known in suite.known:
                if known.case == case.name:
                    assert known.met(metrics[known.metric], "higher"), (known, metrics)


def test_pictures_are_drawn():
    pytest.importorskip("matplotlib")
    record = run(SUITE, "cells-ama-20", grid=6)
    assert b"<svg" in draw(SUITE.pictures[0], {"cells-ama-20": [record]}, "a").encode()
    yao = get_suite("yao")
    learned = run(yao, "learned-3-7-q0.7")
    assert learned.metrics["certified"] == 1.0 and learned.metrics["short"] < 1e-6
    assert b"<svg" in draw(yao.pictures[0], {"learned-3-7-q0.7": [learned]}, "b").encode()
