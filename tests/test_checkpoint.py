"""Training that is interrupted and goes on: the same bits as without, or a clear word about why not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gymnasium import spaces
from safetensors.numpy import load_file, save_file

import walras
from walras.agents.network import NetworkPolicy
from walras.algorithms import PPOSettings, Trained, train_ppo
from walras.cli import main
from walras.envs.game import Array, Game, Role

AUCTION = "walras/SealedBidAuction-v0"
SMALL = PPOSettings(steps=384, lanes=16, rollout=4, minibatch=32, epochs=2, layers=(8,))  # six rollouts


class CountState(NamedTuple):
    count: Array
    luck: Array


class Count(Game[CountState]):
    """One player steps up or down, never below zero; luck pays. Episodes of seven steps cross the rollouts of four."""

    horizon = 7

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.roles = (Role("player", None, spaces.Box(-9.0, 9.0, (2,), np.float32), spaces.Discrete(2)),)

    def initial(self, batch: int, rng: np.random.Generator) -> CountState:
        return CountState(np.zeros(batch, np.int64), rng.random((batch, 1))[:, 0])

    def observe(self, state: CountState, role: str) -> Array:
        return np.stack([state.count, state.luck], axis=1)[:, None]

    def legal(self, state: CountState, role: str) -> Array:
        return np.stack([state.count > 0, np.ones_like(state.count, bool)], axis=1)[:, None]

    def step(self, state: CountState, actions: Mapping[str, Array], rng: np.random.Generator) -> tuple[CountState, Any]:
        count = state.count + 2 * actions["player"][:, 0] - 1
        luck = rng.random((len(count), 1))[:, 0]
        return CountState(count, luck), (self.scale * luck * count)[:, None]

    def terminal(self, state: CountState) -> Array:
        return state.count >= 5


Training = Callable[..., Trained]

TRAININGS: dict[str, tuple[Any, str | None, PPOSettings, dict[str, Any]]] = {
    "one step": (AUCTION, None, SMALL, {"bidders": 2}),
    "more than ten tensors": ("walras/Cournot-v0", None, replace(SMALL, layers=(8, 8)), {}),
    "turns, second mover, random rival": ("walras/Bargaining-v0", "bargainer_1", SMALL, {"others": "random"}),
    "masks and a horizon": (Count(), None, SMALL, {}),
    "no scaling of rewards": (Count(), None, replace(SMALL, normalize_reward=False, schedule="constant"), {}),
    "one lane": (Count(), None, replace(SMALL, steps=96, lanes=1, rollout=16, minibatch=16), {}),
}


class Stop:
    """Progress that presses Ctrl-C after so many rollouts of this run."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, fraction: float, text: str) -> None:
        self.left -= not text.startswith("going on")
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "training.checkpoint"


def training(name: str) -> Training:
    game, agent, settings, keywords = TRAININGS[name]
    return lambda **more: train_ppo(game, agent, settings, seed=3, **keywords, **more)


def small(**more: Any) -> Trained:
    return train_ppo(AUCTION, **{"settings": SMALL, "seed": 3, "bidders": 2, **more})


def interrupt(run: Training, after: int, **more: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(progress=Stop(after), **more)


def arrays(trained: Trained) -> Iterator[Array]:
    """All that a training gives, the critic and the optimizer included."""
    yield from (*trained.policy.weights, *trained.policy.biases, trained.curve_steps, trained.curve_returns)
    yield from (value.numpy() for value in trained.model.policy.state_dict().values())
    for moments in trained.model.policy.optimizer.state_dict()["state"].values():
        yield from (moments[name].numpy() for name in sorted(moments))


def assert_same_bits(one: Trained, other: Trained) -> None:
    assert one.steps == other.steps
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.mark.parametrize("name", TRAININGS)
def test_an_interrupted_training_ends_in_the_bits_of_an_uninterrupted_one(name: str, path: Path) -> None:
    run = training(name)
    whole = run()
    for stops in ([1], [4], [2, 1, 2], [6]):  # after the sixth rollout all is learned, but nothing returned yet
        for after in stops:
            interrupt(run, after, checkpoint=path, every=1)
            assert path.is_file()
        assert_same_bits(run(checkpoint=path, every=1), whole)
        assert [p.name for p in path.parent.iterdir()] == []


def test_how_often_a_checkpoint_is_written_changes_nothing_and_decides_what_is_lost(path: Path) -> None:
    whole = small()
    assert_same_bits(small(checkpoint=path, every=2), whole)
    interrupt(small, 3, checkpoint=path, every=4)
    assert not path.exists()
    interrupt(small, 5, checkpoint=path, every=2)
    seen: list[tuple[float, str]] = []
    resumed = small(checkpoint=path, every=100, progress=lambda fraction, text: seen.append((fraction, text)))
    assert [fraction for fraction, _ in seen] == [4 / 6, 5 / 6, 1.0]
    assert seen[0][1] == "going on after 256 moves"
    assert_same_bits(resumed, whole)


def test_time_spent_before_the_interruption_counts(path: Path) -> None:
    interrupt(small, 2, checkpoint=path, every=1)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    spent = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["walras"])["facts"]["seconds"]
    resumed = small(checkpoint=path)
    assert resumed.cpu_seconds > spent[0] > 0 and resumed.wall_seconds > spent[1] > 0


def test_rivals_that_draw_from_the_global_generators_are_resumed_too(path: Path) -> None:
    def erratic(values: Array) -> Array:
        noise = np.random.standard_normal(len(values) + 1)[1:, None]  # noqa: NPY002
        return np.clip(values * abs(noise) * random.gauss(1.0, 0.1), 0.0, 1.0).astype(np.float32)

    # Odd numbers of normals: the generators have one in store when the training is interrupted.
    keywords = {"others": {"bidder_1": erratic}, "settings": replace(SMALL, rollout=3, minibatch=24)}
    whole = small(**keywords)
    interrupt(small, 3, **keywords, checkpoint=path, every=1)
    assert_same_bits(small(**keywords, checkpoint=path), whole)


def test_an_interrupted_training_leaves_the_global_generators_alone(path: Path) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    interrupt(small, 2, checkpoint=path, every=1)
    small(checkpoint=path, every=1)
    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index, union-attr]  # noqa: NPY002


def test_a_checkpoint_is_one_safetensors_file_in_a_folder_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    interrupt(small, 1, checkpoint=str(path), every=1)
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert {value.dtype.kind for value in load_file(path).values()} <= set("biuf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "seed is 3 there and 4 here"),
        ({"settings": replace(SMALL, steps=999)}, "settings.steps is 384 there and 999 here"),
        ({"settings": replace(SMALL, layers=(9,))}, r"settings.layers is \[8\] there and \[9\] here"),
        ({"agent": "bidder_1"}, "agent is bidder_0 there and bidder_1 here"),
        ({"others": "random"}, "others is null there and random here"),
        ({"others": {"bidder": "random"}}, "others is null there"),
        ({"bidders": 3}, "game.bidders is 2 there and 3 here"),
        ({"prior": "two_point"}, "game.prior is "),
    ],
)
def test_another_training_does_not_go_on_from_the_file_and_leaves_it_alone(
    change: dict[str, Any], message: str, path: Path
) -> None:
    interrupt(small, 2, checkpoint=path, every=1)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=message) as error:
        small(checkpoint=path, **change)
    assert str(path) in str(error.value) and "begin anew" in str(error.value)
    assert path.read_bytes() == content


def test_games_without_a_text_of_their_own_are_told_apart_by_their_parameters(path: Path) -> None:
    interrupt(lambda **more: train_ppo(Count(), None, SMALL, seed=0, **more), 1, checkpoint=path, every=1)
    with pytest.raises(ValueError, match=r"game.scale is 1.0 there and 2.0 here; remove"):
        train_ppo(Count(2.0), None, SMALL, seed=0, checkpoint=path)


def flipped(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    "damage", [flipped, lambda b: b[:-1], lambda b: b[:20], lambda b: b"", lambda b: b"PK" * 99], ids=range(5)
)
def test_a_damaged_checkpoint_is_named_and_not_used(damage: Callable[[bytes], bytes], path: Path) -> None:
    interrupt(small, 2, checkpoint=path, every=1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="not a whole file") as error:
        small(checkpoint=path)
    assert str(path) in str(error.value)


def test_files_of_another_kind_and_folders_are_no_checkpoints(path: Path) -> None:
    codec = small().policy
    for make in (codec.save, lambda p: save_file({"a": np.zeros(1)}, p), lambda p: p.mkdir()):
        make(path)
        with pytest.raises(ValueError, match="not a whole file") as error:
            small(checkpoint=path)
        assert str(path) in str(error.value)
        if path.is_file():
            path.unlink()


def test_the_door_of_single_environments_takes_no_checkpoint_nor_does_every_take_zero(path: Path) -> None:
    with pytest.raises(ValueError, match=r"checkpoint: .*native"):
        small(door="dummy", checkpoint=path)
    for every in (0, True, 1.5):
        with pytest.raises(ValueError, match="every"):
            small(checkpoint=path, every=every)
    assert not path.exists()


# -- the command -------------------------------------------------------------------------------------------------------


COMMAND = ["train", AUCTION, "--lanes", "16", "--minibatch", "32", "--layers", "8", "--episodes", "500"]


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def pressed(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ctrl-C in the command's training, after so many rollouts."""
    from walras.algorithms import sb3

    count = iter(range(1, 10_000))
    original = sb3.Learner.rollout

    def rollout(self: Any, remaining: float) -> float | None:
        if next(count) > after:
            raise KeyboardInterrupt
        return original(self, remaining)

    monkeypatch.setattr(sb3.Learner, "rollout", rollout)


def test_the_command_goes_on_from_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMAND, "--steps", "1500"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as patch:
        pressed(patch, 15)
        assert main([*command, "--out", str(tmp_path / "parts")]) == 130
    said = capsys.readouterr().err
    checkpoint = only(tmp_path / "parts", "*")
    assert said.count("\n") == 1 and "run the same command again" in said and str(checkpoint) in said
    assert checkpoint.name == "SealedBidAuction-v0-bidder_0-ppo-seed0.checkpoint"
    assert main([*command, "--seed", "0", "--discount", "0.5", "--out", str(tmp_path / "parts")]) == 2
    assert "settings.discount is 1.0 there and 0.5 here" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "parts")]) == 0
    assert not checkpoint.exists()
    files = [only(tmp_path / part, "*.safetensors") for part in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_command_says_when_there_is_nothing_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pressed(monkeypatch, 2)
    assert main([*COMMAND, "--steps", "1500", "--out", str(tmp_path)]) == 130
    assert "nothing was saved" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_measurement_keeps_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(walras, "play", interrupted)
    assert main([*COMMAND, "--steps", "128", "--out", str(tmp_path)]) == 130
    path = only(tmp_path, "*")
    assert str(path) in capsys.readouterr().err
    assert isinstance(NetworkPolicy.load(path), NetworkPolicy)


def test_a_folder_that_cannot_be_made_is_found_out_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([*COMMAND, "--steps", "10000000", "--out", str(tmp_path / "file")]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
