"""Verdicts of the certifier on every kind of mechanism, and `walras certify`."""

from __future__ import annotations

import ast
import itertools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from walras.agents.mechanism_files import save_mechanism
from walras.benchmarks.execute import load
from walras.benchmarks.suites import get_suite
from walras.cli import main
from walras.envs.auctions import certify as certify_package
from walras.envs.auctions.cell_menus import CellMenus, grid_cuts, type_cuts
from walras.envs.auctions.certify import certify
from walras.envs.auctions.mechanism import Mechanism, Menu, MenuMechanism, Outcome
from walras.envs.auctions.mechanisms import AMA, VCG, AllPay, CoinMixture, FirstPrice, OutcomeTable, PostedMenu
from walras.envs.auctions.tables import dyadic

BUNDLES = np.array(list(itertools.product((0.0, 1.0), repeat=2)))
BOX = {"low": np.zeros((2, 2)), "high": np.ones((2, 2))}


# -- cells -------------------------------------------------------------------------------------------------------------


def random_cells(seed: int, *, bidders: int = 2, items: int = 2, points: bool = False, fee: float = 0.0) -> CellMenus:
    rng = np.random.default_rng(seed)
    low, high = np.zeros((bidders, items)), dyadic(0.5 + rng.random((bidders, items)), 8)
    cuts = grid_cuts(low, high, 2)
    count = (3 if points else 2) ** (items * (bidders - 1))
    options = dyadic(rng.random((bidders, count, 5, items)), 3) * (rng.random((bidders, count, 5, items)) < 0.6)
    prices = (options * 0.5).sum(axis=-1) + rng.random((bidders, count, 5)) * 0.3 + fee
    options[:, :, 0], prices[:, :, 0] = 0.0, 0.0
    return CellMenus(cuts, tuple(options), tuple(dyadic(prices)), points)


def slowest_cells(menus: CellMenus) -> bool:
    """Whether some profile promises an item more than once, by one linear program for each choice of options."""
    n = menus.bidders
    for place in itertools.product(*(range(count) for count in menus.cells)):
        possible = []
        for i in range(n):
            row = int(menus.key(np.array([place]), i)[0])
            low, high = (end[place[i]] for end in menus.boxes(i))
            own = []
            for k in range(5):
                option, price = menus.options[i][row], menus.prices[i][row]
                others = [r for r in range(5) if r != k]
                # max t with u_k(v) - u_r(v) >= t
                found = linprog(
                    np.concatenate(([-1.0], np.zeros(menus.items))),
                    A_ub=np.concatenate((np.ones((4, 1)), option[others] - option[k]), axis=1),
                    b_ub=price[others] - price[k],
                    bounds=[(None, None), *zip(low, high, strict=True)],
                )
                if -found.fun > 1e-9:
                    own.append(option[k])
            possible.append(np.max(own, axis=0))
        if np.any(np.sum(possible, axis=0) > 1.0):
            return True
    return False


def check_cells(menus: CellMenus) -> str:
    found = certify(menus)
    if found.status == "refuted":
        assert found.counterexample is not None
        values = np.array([[[float(x) for x in row] for row in found.counterexample.values]])
        assert menus(values).allocation.sum(axis=1).max() > 1.0
    elif found.status == "certified":
        rng = np.random.default_rng(0)
        values = menus.high * rng.random((20_000, menus.bidders, menus.items))
        assert np.all(menus(values).allocation.sum(axis=1) <= 1.0)
    return found.status


@pytest.mark.parametrize(("bidders", "items"), [(2, 1), (2, 2), (3, 1)])
def test_verdicts_on_cells_agree_with_linear_programs(bidders: int, items: int) -> None:
    seen = set()
    for seed, fee in itertools.product(range(3), (-0.25, 0.4)):
        menus = random_cells(seed, bidders=bidders, items=items, fee=fee)
        status = check_cells(menus)
        seen.add(status)
        assert (status == "refuted") == slowest_cells(menus)
    assert seen == {"certified", "refuted"}


def test_verdicts_on_merged_cells_agree_with_linear_programs() -> None:
    seen = set()
    for seed, fee in itertools.product(range(2), (-0.25, 0.4)):
        plain = random_cells(seed, fee=fee)
        ids = np.array([0, 0, 1, 2])  # the first item's lower interval is one cell
        menus = CellMenus(
            plain.cuts, tuple(o[:3] for o in plain.options), tuple(p[:3] for p in plain.prices), False, (ids, ids)
        )
        status = check_cells(menus)
        seen.add(status)
        assert (status == "refuted") == slowest_cells(menus)
    assert seen == {"certified", "refuted"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.5]))
def test_verdicts_on_finite_types_agree_with_listing(seed: int, fee: float) -> None:
    menus = random_cells(seed, points=True, fee=fee)
    profiles = np.stack([np.array(p) for p in itertools.product(*(itertools.product(*row) for row in menus.cuts))])
    feasible = bool(np.all(menus(profiles).allocation.sum(axis=1) <= 1.0))
    assert certify(menus, robust=False).status == ("certified" if feasible else "refuted")
    assert check_cells(menus) in ("certified", "undecided") if feasible else ("refuted",)


def test_frozen_second_price_is_refuted_and_a_step_up_makes_it_certified() -> None:
    """One item, prices at the centre of the other's cell: both buy when they are in the same cell."""
    cuts = grid_cuts([[0.0], [0.0]], [[1.0], [1.0]], 4)
    options = np.tile(np.array([[0.0], [1.0]]), (4, 1, 1))
    prices = np.stack([np.zeros(4), np.array([0.5, 0.5, 0.625, 0.875])], axis=1)
    same = CellMenus(cuts, (options, options), (prices, prices))
    found = certify(same)
    assert found.status == "refuted"
    raised = prices.copy()
    raised[:, 1] = np.array([0.5, 0.5, 0.75, 1.0]) + 2.0**-20  # the transform of the specification, section 5.5
    assert certify(CellMenus(cuts, (options, options), (prices, raised))).status == "certified"
    raised[3, 1] -= 2.0**-10
    assert certify(CellMenus(cuts, (options, options), (prices, raised))).status == "refuted"


def test_three_half_lotteries_clash_though_no_two_do() -> None:
    cuts = grid_cuts(np.zeros((3, 1)), np.ones((3, 1)), 1)
    options = np.array([[[0.0], [0.5]]])
    menus = CellMenus(cuts, (options,) * 3, (np.array([[0.0, 0.125]]),) * 3)
    assert certify(menus).status == "refuted"
    dear = (np.array([[0.0, 0.125]]), np.array([[0.0, 0.125]]), np.array([[0.0, 0.75]]))
    assert certify(CellMenus(cuts, (options,) * 3, dear)).status == "certified"


def test_choices_that_tie_are_undecided_until_ties_are_ruled_on() -> None:
    """A price equal to the value: nothing is bought at a tie, but no margin says so."""
    cuts = type_cuts([[[1.0, 2.0]], [[1.0, 2.0]]])
    options = np.tile(np.array([[0.0], [1.0]]), (2, 1, 1))
    prices = np.array([[0.0, 2.0], [0.0, 2.0]])
    menus = CellMenus(cuts, (options, options), (prices, prices), points=True)
    found = certify(menus)
    assert (found.status, found.undecided) == ("undecided", 0.25)
    assert certify(menus, robust=False).status == "certified"


# -- finite types ------------------------------------------------------------------------------------------------------


def table_of(mechanism: Mechanism, types: np.ndarray) -> OutcomeTable:
    profiles = np.array([np.stack(pair) for pair in itertools.product(types, repeat=2)])
    outcome = mechanism(profiles)
    return OutcomeTable((types, types), dyadic(outcome.allocation, 40), dyadic(outcome.payment, 40))


TYPES = np.array(list(itertools.product((1.0, 2.0, 3.5), repeat=2)))


def test_vcg_on_finite_types_is_certified_and_one_entry_altered_is_refuted() -> None:
    table = table_of(VCG(), TYPES)
    assert certify(table).status == "certified"
    assert table.truthful and table.individually_rational
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(12):
        payment = np.array(table.payment)
        row, i = rng.integers(len(payment)), rng.integers(2)
        payment[row, i] += rng.choice([-1.0, 1.0]) * 2.0**-8
        altered = OutcomeTable(table.types, table.allocation, payment)
        found = certify(altered)
        gains = regrets(altered)
        assert found.status == ("certified" if gains[0] <= 0 and gains[1] >= 0 else "refuted")
        seen.add(found.status)
        if found.status == "refuted":
            assert found.counterexample is not None
            seen.add(found.counterexample.promise)
            truth, lie = (
                np.array([[[float(x) for x in row] for row in rows]])
                for rows in (found.counterexample.values, found.counterexample.reports)
            )
            if found.counterexample.promise == "truthful":
                b = found.counterexample.bidder
                assert b is not None
                honest, false = altered(truth), altered(lie)
                gain = (truth * (false.allocation - honest.allocation)).sum(-1) - (false.payment - honest.payment)
                assert gain[0, b] == float(found.counterexample.amount) > 0
    assert "truthful" in seen


def regrets(table: OutcomeTable) -> tuple[float, float]:
    """Largest gain by a false report and least truthful utility, by listing in fractions."""
    count, worst, least = len(table.types[0]), Fraction(-1), Fraction(10)
    allocation = [[[Fraction(x) for x in row] for row in rows] for rows in table.allocation.tolist()]
    for i, other, own in itertools.product(range(2), range(count), range(count)):
        value = [Fraction(x) for x in table.types[i][own].tolist()]

        def utility(report: int, i: int = i, other: int = other, value: list[Fraction] = value) -> Fraction:
            row = report * count + other if i == 0 else other * count + report
            won = sum(a * v for a, v in zip(allocation[row][i], value, strict=True))
            return won - Fraction(float(table.payment[row, i]))

        honest = utility(own)
        least = min(least, honest)
        worst = max(worst, max(utility(r) - honest for r in range(count) if r != own))
    return float(worst), float(least)


def test_first_price_on_finite_types_is_refuted() -> None:
    found = certify(table_of(FirstPrice(0.0), TYPES))
    assert found.status == "refuted"
    assert found.counterexample is not None and found.counterexample.promise == "truthful"


def test_an_item_promised_twice_in_one_row_is_found() -> None:
    table = table_of(VCG(), TYPES)
    allocation = np.array(table.allocation)
    allocation[5, :, 0] = (1.0, 2.0**-40)
    found = certify(OutcomeTable(table.types, allocation, table.payment))
    assert found.status == "refuted"
    assert found.counterexample is not None
    assert (found.counterexample.promise, found.counterexample.amount) == ("feasible", Fraction(1, 2**40))


# -- by theorem --------------------------------------------------------------------------------------------------------


def test_affine_maximisers_are_certified_and_an_infeasible_outcome_is_refuted() -> None:
    assert certify(AMA.symmetric_2x2(0.636, 0.91, 1.137)).status == "certified"
    third = (1.0 / 3.0,)
    slightly = AMA(((third, third, (1.0 / 3.0 + 2.0**-40,)), ((0.0,), (0.0,), (0.0,))), (1.0, 2.0, 1.0), (0.0, 0.0))
    found = certify(slightly)
    assert found.status == "refuted"
    never = AMA(slightly.allocations, slightly.weights, (-50.0, 0.0))
    assert certify(never).status == "undecided"


def test_a_mixture_is_as_good_as_its_worst_part() -> None:
    good, bad = AMA.symmetric_2x2(0.5, 1, 1), random_cells(0)
    assert certify(bad).status == "refuted"
    assert certify(CoinMixture.even(good, VCG())).status == "certified"
    found = certify(CoinMixture.even(good, bad))
    assert found.status == "refuted"
    assert found.counterexample == found.parts[1].counterexample


def test_a_posted_menu_is_certified() -> None:
    assert certify(PostedMenu(((1.0, 0.5), (1.0, 1.0)), (0.5, 0.75))).status == "certified"


# -- code --------------------------------------------------------------------------------------------------------------


class Code(Mechanism):
    """A mechanism of no known class."""

    truthful = individually_rational = deterministic = True

    def outcome(self, bids: Any) -> Outcome:
        return VCG().outcome(bids)


class AlteredVCG(Code):
    """VCG with one price a little wrong for some reports of the other bidder."""

    def outcome(self, bids: Any) -> Outcome:
        allocation, payment = VCG().outcome(bids)
        wrong = (bids[:, 1, 0] > 0.75) & (allocation[:, 0, 0] == 1.0)
        payment = payment.copy()
        payment[:, 0] += 0.05 * wrong
        return Outcome(allocation, payment)


class Nosy(MenuMechanism):
    """A menu whose price follows the bidder's own report."""

    truthful = individually_rational = deterministic = True

    def menus(self, bids: Any) -> Menu:
        items = np.broadcast_to(BUNDLES, (*bids.shape[:2], 4, 2))
        prices = 0.5 * (bids[:, :, None, :] * BUNDLES).sum(axis=-1)
        return Menu(items, prices)


class Rationing(MenuMechanism):
    """Item prices 0.3 for everybody; what is promised twice is shared."""

    truthful = individually_rational = deterministic = True

    def menus(self, bids: Any) -> Menu:
        items = np.broadcast_to(BUNDLES, (*bids.shape[:2], 4, 2))
        return Menu(items, 0.3 * items.sum(axis=-1))

    def outcome(self, bids: Any) -> Outcome:
        allocation, _ = self.menus(bids).best(bids)
        share = 1.0 / np.maximum(allocation.sum(axis=1, keepdims=True), 1.0)
        return Outcome(allocation * share, (allocation * share * 0.3 * bids).sum(axis=-1))


class Greedy(Code):
    """Everybody gets everything it values above 0.9."""

    def outcome(self, bids: Any) -> Outcome:
        won = (bids > 0.9).astype(float)
        return Outcome(won, 0.9 * won.sum(axis=-1))


@pytest.mark.parametrize(
    ("mechanism", "promise"),
    [
        (FirstPrice(0.25), "truthful"),
        (AllPay(0.0), "individually rational"),
        (AlteredVCG(), "individually rational"),
        (Nosy(), "own report"),
        (Rationing(), "truthful"),
        (Greedy(), "feasible"),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_code_that_breaks_a_promise_is_refuted(mechanism: Mechanism, promise: str) -> None:
    found = certify(mechanism, **BOX)
    assert found.status == "refuted"
    assert found.counterexample is not None and found.counterexample.promise == promise
    values, reports = (
        np.array([[[float(x) for x in row] for row in rows]])
        for rows in (found.counterexample.values, found.counterexample.reports)
    )
    honest, false = mechanism(values), mechanism(reports)
    if promise == "truthful":
        gain = (values * (false.allocation - honest.allocation)).sum(-1) - (false.payment - honest.payment)
        assert gain[0, found.counterexample.bidder] > 1e-6
    elif promise == "feasible":
        assert honest.allocation.sum(axis=1).max() > 1.0


def test_code_that_keeps_its_promises_stays_undecided() -> None:
    found = certify(Code(), **BOX)
    assert (found.status, found.undecided) == ("undecided", 1.0)
    assert certify(lambda bids: VCG().outcome(bids), **BOX).status == "undecided"


def test_what_is_neither_data_nor_code_is_named() -> None:
    with pytest.raises(TypeError, match="int has no certifier"):
        certify(3)
    with pytest.raises(ValueError, match="low, high"):
        certify(Code(), low=np.ones((2, 2)), high=np.zeros((2, 2)))


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_its_verdict_by_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, open_ = tmp_path / "good.json", tmp_path / "bad.safetensors", tmp_path / "open.safetensors"
    save_mechanism(good, AMA.symmetric_2x2(0.5, 1, 1))
    save_mechanism(bad, random_cells(0))
    cuts, options = type_cuts([[[1.0]], [[1.0]]]), np.array([[[0.0], [1.0]]])
    save_mechanism(open_, CellMenus(cuts, (options,) * 2, (np.array([[0.0, 1.0]]),) * 2, points=True))
    assert main(["certify", str(good)]) == 0
    assert "AMA: certified" in capsys.readouterr().out
    assert main(["certify", str(bad), "--json", "--out", str(tmp_path / "verdict.json")]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "verdict.json").read_text())
    assert record["status"] == "refuted" and record["counterexample"]["promise"] == "feasible"
    assert main(["certify", str(open_)]) == 2
    assert main(["certify", str(open_), "--ties"]) == 0


def test_the_command_takes_code_and_names_wrong_requests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_auction.py").write_text(
        "import numpy as np\n\n\ndef rule(bids):\n    return np.zeros_like(bids), np.ones(bids.shape[:2])\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["certify", "my_auction:rule", "--bidders", "2", "--items", "1"]) == 1
    assert "loses 1 by the truth" in capsys.readouterr().out
    assert main(["certify", "my_auction:rule"]) == 3
    assert main(["certify", "no_such_file.safetensors"]) == 3
    assert "there is no file" in capsys.readouterr().err


# -- the suite ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vcg-2x2", "myerson-2x2", "fee-2x2", "altered-vcg", "code", "cost-2x2"])
def test_cases_of_the_suite_reach_their_figures(name: str) -> None:
    suite = get_suite("certificates")
    case = suite.case(name)
    small = {"tables": 6, "refined": 0.02, "levels": 1, "sample": 20}
    params = {key: small.get(key, value) for key, value in case.params.items()}
    metrics = load(case.run)(0, lambda share, text: None, **params).metrics
    for known in suite.known:
        if known.case == name:
            assert metrics[known.metric] == known.value
    for target in suite.targets:
        if target.case == name and target.metric not in ("cpu_seconds", "ratio"):
            assert target.reached(metrics[target.metric])


def test_the_certifier_knows_nothing_of_those_who_make_mechanisms() -> None:
    folder = Path(next(iter(certify_package.__path__)))
    seen = set()
    for file in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [part.name for part in node.names] if isinstance(node, ast.Import) else []
            seen |= {name for name in names if name and name.startswith("walras")}
    assert "walras.envs.auctions.simplex_menus" in seen
    assert not [name for name in seen if not name.startswith("walras.envs.")]


def test_code_whose_class_bears_the_name_of_a_theorem_is_searched_like_any_other_code() -> None:
    fake = type(
        "VCG", (FirstPrice,), {"truthful": True, "outcome": lambda self, bids: Outcome(0 * bids + 1, 0 * bids[..., 0])}
    )
    assert certify(VCG()).status == "certified"
    found = certify(fake(), **BOX)
    assert found.status == "refuted" and found.counterexample is not None
    assert found.counterexample.promise == "feasible"


def test_a_mixture_with_code_in_it_is_searched_on_the_box_that_is_given(tmp_path: Path) -> None:
    mixture = CoinMixture.even(VCG(), FirstPrice())
    found = certify(mixture, **BOX)
    assert found.status == "refuted" and [part.status for part in found.parts] == ["certified", "refuted"]
    path = tmp_path / "mixture.json"
    save_mechanism(path, mixture)
    assert main(["certify", str(path)]) == 3
    assert main(["certify", str(path), "--bidders", "2", "--items", "2"]) == 1
