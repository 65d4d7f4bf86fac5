"""The registry: ids, entries, parameters, and what Gymnasium and PettingZoo know of them."""

import dataclasses
import json

import gymnasium
import numpy as np
import pettingzoo
import pytest
from gymnasium.envs.registration import EnvSpec

import walras
from walras.envs import registry

ENTRY = "walras.envs.auctions.rules:SealedBidAuction"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_games", dict(registry._games))
    monkeypatch.setattr(gymnasium.envs.registration, "registry", dict(gymnasium.registry))


@pytest.mark.parametrize(
    "id",
    ["Auction-v0", "mine/Auction", "mine/auction-v0", "mine/Auction-v", "mine/Auc tion-v0", "/Auction-v0", "a/b/C-v0"],
)
def test_a_malformed_id_is_refused(id):
    with pytest.raises(ValueError, match=r"id: .* is not of the form 'namespace/CamelName-v0'"):
        walras.register(id, ENTRY)
    assert id not in [spec.id for spec in walras.specs()]


@pytest.mark.parametrize("entry", ["walras.envs", "walras.envs:", ":Game", "walras envs:Game", "a:b:c"])
def test_a_malformed_entry_point_is_refused(entry):
    with pytest.raises(ValueError, match="entry_point"):
        walras.register("tests/Malformed-v0", entry)
    with pytest.raises(KeyError, match="tests/Malformed-v0"):
        walras.spec("tests/Malformed-v0")


def test_registering_the_same_entry_again_changes_nothing_and_another_one_is_refused():
    walras.register("tests/Twice-v0", ENTRY, kwargs={"bidders": 4})
    count = len(walras.specs())
    walras.register("tests/Twice-v0", ENTRY, kwargs={"bidders": 4})
    assert len(walras.specs()) == count
    with pytest.raises(ValueError, match=r"id: 'tests/Twice-v0' is already registered for .*SealedBidAuction"):
        walras.register("tests/Twice-v0", ENTRY, kwargs={"bidders": 5})
    assert walras.make("tests/Twice-v0").bidders == 4


def test_an_unknown_id_suggests_close_ones():
    with pytest.raises(KeyError, match=r"did you mean .*walras/SealedBidAuction-v0"):
        walras.make("walras/SealedBidAuktion-v0")
    with pytest.raises(KeyError, match=r"known: .*walras/Cournot-v0"):
        walras.spec("zzz")


def test_an_id_with_a_module_imports_it_first_as_gymnasium_does(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("one", "two"):
        (tmp_path / f"walras_party_{name}.py").write_text(
            f"import walras\nwalras.register('party/{name.title()}-v0', {ENTRY!r}, kwargs={{'bidders': 2}})\n"
        )
    assert walras.make("walras_party_one:party/One-v0", items=3).items == 3
    assert walras.play("walras_party_two:party/Two-v0", batch=2, seed=0).returns.shape == (2, 2)
    assert walras.spec("walras_party_one:party/One-v0") == walras.spec("party/One-v0")
    assert gymnasium.make("walras_party_one:party/One-v0").unwrapped.game.bidders == 2
    with pytest.raises(ModuleNotFoundError, match="needs the module 'walras_party_three'"):
        walras.make("walras_party_three:party/Three-v0")
    with pytest.raises(KeyError, match="party/Three-v0"):
        walras.make("walras_party_one:party/Three-v0")
    with pytest.raises(ValueError, match="module:namespace/Name-v0"):
        walras.spec(":party/One-v0")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"status": "super"}, ValueError, "status: 'super' given, one of .*verified"),
        ({"kwargs": {"prior": object()}}, ValueError, "kwargs: .*does not go to JSON"),
        ({"kwargs": {"reserve": float("nan")}}, ValueError, "kwargs: .*does not go to JSON"),
        ({"kwargs": {3: 4}}, ValueError, "kwargs: names"),
        ({"kwargs": [3]}, TypeError, "kwargs: a mapping"),
        ({"title": 3}, TypeError, "title: a string"),
        ({"source": None}, TypeError, "source: a string"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused_whole(arguments, error, words):
    with pytest.raises(error, match=words):
        walras.register("tests/Refused-v0", ENTRY, **arguments)
    with pytest.raises(TypeError, match="id: a string"):
        walras.register(3, ENTRY)
    assert "tests/Refused-v0" not in [spec.id for spec in walras.specs()]


def test_an_entry_that_cannot_be_imported_fails_when_it_is_made_and_not_before():
    walras.register("tests/Nowhere-v0", "walras_nowhere.games:Nothing")
    assert walras.spec("tests/Nowhere-v0").entry_point == "walras_nowhere.games:Nothing"
    with pytest.raises(ModuleNotFoundError, match="walras_nowhere"):
        walras.make("tests/Nowhere-v0")


def test_parameters_go_over_the_registered_ones():
    game = walras.make("walras/RepeatedAuction-v0")
    assert (game.rounds, game.budget, game.bidders) == (10, 2.0, 3)
    game = walras.make("walras/RepeatedAuction-v0", budget=5.0, bidders=2)
    assert (game.rounds, game.budget, game.bidders) == (10, 5.0, 2)
    assert walras.spec("walras/RepeatedAuction-v0").kwargs == {"rounds": 10, "budget": 2.0}
    with pytest.raises(TypeError, match="flavour"):
        walras.make("walras/RepeatedAuction-v0", flavour=1)


def test_entries_stand_in_the_order_of_registration_and_say_what_they_are():
    specs = [spec for spec in walras.specs() if spec.id.startswith("walras/")]
    assert specs[0].id == "walras/SealedBidAuction-v0"
    assert len({spec.id for spec in specs}) == len(specs) >= 13
    for spec in specs:
        assert spec.title and spec.source and spec.status in ("verified", "runs", "known issue")
        json.dumps(dict(spec.kwargs))
        with pytest.raises(dataclasses.FrozenInstanceError):
            spec.id = "x"
    walras.register("tests/Last-v0", ENTRY)
    assert walras.specs()[-1].id == "tests/Last-v0"


@pytest.mark.parametrize("id", [spec.id for spec in walras.specs()])
def test_gymnasiums_spec_goes_to_json_and_back_with_the_games_parameters(id):
    env = gymnasium.make(id)
    again = EnvSpec.from_json(env.spec.to_json())
    assert again == env.spec and again.id == id
    rebuilt = gymnasium.make(again)
    assert type(rebuilt.unwrapped.game) is type(env.unwrapped.game)
    np.testing.assert_equal(rebuilt.reset(seed=3), env.reset(seed=3))
    assert id in gymnasium.registry


def test_a_spec_with_parameters_rebuilds_the_same_environment():
    env = gymnasium.make(
        "walras/SealedBidAuction-v0", bidders=5, mechanism={"mechanism": "SecondPrice", "reserve": 0.5}
    )
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json())).unwrapped
    assert again.game.bidders == 5 and again.game.mechanism.reserve == 0.5


def test_pettingzoo_lists_every_game_in_both_apis():
    for spec in walras.specs():
        if spec.id.startswith("walras/"):
            assert pettingzoo.make("parallel", spec.id).possible_agents == list(walras.make(spec.id).agents)
            assert pettingzoo.make("aec", spec.id).possible_agents == list(walras.make(spec.id).agents)
