"""What a sealed-bid mechanism is: outcome, menu, the promises a mechanism states, and the value of an allocation.

All array code is written over the array namespace of its input (numpy or torch), without in-place writes, so that one
text serves fast simulation and automatic differentiation. Shapes: `B` lanes, `n` bidders, `m` items, `K` menu
options. Values, bids and payments share one unit, that of the prior.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import array_api_compat
import numpy as np

Array: TypeAlias = Any  # a numpy array or a torch tensor

DEMANDS = ("additive", "unit")


class Outcome(NamedTuple):
    """What the mechanism decides.

    `allocation` (B, n, m): probabilities in [0, 1]. `payment` (B, n): in units of value.
    """

    allocation: Array
    payment: Array


class Menu(NamedTuple):
    """Options of each bidder: `items` (B, n, K, m) probabilities, `prices` (B, n, K).

    Option 0 is null (no item, price 0).
    """

    items: Array
    prices: Array

    def utility(self, values: Array) -> Array:
        """Utility (B, n, K) of each option for `values` (B, n, m): <value, items> - price."""
        return dot(values[:, :, None, :], self.items) - self.prices

    def best(self, bids: Array) -> Outcome:
        """The outcome in which every bidder receives the option that its row of `bids` (B, n, m) likes best."""
        xp = array_api_compat.array_namespace(bids)
        index = choose(self.utility(bids))[:, :, None]
        prices = xp.take_along_axis(self.prices, index, axis=-1)[:, :, 0]
        shape = (*index.shape, bids.shape[-1])
        items = xp.take_along_axis(self.items, xp.broadcast_to(index[..., None], shape), axis=2)[:, :, 0]
        return Outcome(items, prices)


def choose(utility: Array) -> Array:
    """Index (...) of the best option for `utility` (..., K); the lowest index wins ties."""
    return array_api_compat.array_namespace(utility).argmax(utility, axis=-1)


def dot(left: Array, right: Array) -> Array:
    """Sum over the last axis of `left` * `right`, term by term: much faster than a reduction over few items."""
    total = left[..., 0] * right[..., 0]
    for j in range(1, left.shape[-1]):
        total = total + left[..., j] * right[..., j]
    return total


def fold(combine: Callable[[Array, Array], Array], parts: Array, axis: int = 0) -> Array:
    """`combine` the slices of `parts` along one of its two leading axes, one after another.

    Those axes are bidders and items, of which there are few, and lanes come last: this beats a reduction.
    """
    count = parts.shape[axis]
    result = parts[0] if axis == 0 else parts[:, 0]
    for i in range(1, count):
        result = combine(result, parts[i] if axis == 0 else parts[:, i])
    return result


def bidder_rows(xp: Array, bids: Array) -> Array:
    """A contiguous (n, m, B) form of `bids` (B, n, m): work along lanes is many times faster than along short axes."""
    batch, n, m = bids.shape
    return xp.reshape(xp.reshape(xp.permute_dims(bids, (1, 2, 0)), (-1,)), (n, m, batch))


def as_outcome(xp: Array, won: Array, payment: Array) -> Outcome:
    """The outcome of winning probabilities (n, m, B) and payments (n, B)."""
    return Outcome(xp.permute_dims(won, (2, 0, 1)), xp.permute_dims(payment, (1, 0)))


class _Numpy:
    """The few functions of the array API that a sale needs, straight from numpy: wrappers cost more than the work."""

    add, maximum, minimum, zeros_like, stack = np.add, np.maximum, np.minimum, np.zeros_like, np.stack
    sum, where, broadcast_to, full_like, argmax = np.sum, np.where, np.broadcast_to, np.full_like, np.argmax
    ones_like, arange = np.ones_like, np.arange
    permute_dims, reshape = staticmethod(np.ndarray.transpose), staticmethod(np.ndarray.reshape)
    astype = staticmethod(np.ndarray.astype)


def namespace(array: Array) -> Array:
    """The functions for arrays of this kind, for code that needs few of them and is called with a single lane."""
    return _Numpy if type(array) is np.ndarray else array_api_compat.array_namespace(array)


def like(xp: Array, parameter: Array, reference: Array) -> Array:
    """`parameter` as an array of the dtype and on the device of `reference`.

    Gradients of a tensor parameter are kept.
    """
    if xp is _Numpy:
        return np.asarray(parameter, dtype=reference.dtype)
    device = array_api_compat.device(reference)
    if isinstance(parameter, float | tuple | np.ndarray) or not array_api_compat.is_array_api_obj(parameter):
        return xp.asarray(parameter, dtype=reference.dtype, device=device)
    return xp.astype(array_api_compat.to_device(parameter, device), reference.dtype, copy=False)


def value(values: Array, allocation: Array, demand: str = "additive") -> Array:
    """Value (B, n) of `allocation` (B, n, m) to bidders with `values` (B, n, m), by `demand`.

    - "additive": v . x.
    - "unit" (only the best item received counts): v . x while the row x sums to at most one, where x_j is the
      probability of receiving item j and no other. A row that sums to more fills that unit of probability with its
      best items first; so a bidder that holds several items for sure has the value of the best one.

    Raises:
        ValueError: `demand` is neither "additive" nor "unit".
    """
    if demand not in DEMANDS:
        raise ValueError(f"demand: must be one of {DEMANDS}, got {demand!r}")
    if demand == "additive" or values.shape[-1] == 1:
        return dot(values, allocation)
    xp = array_api_compat.array_namespace(values)
    order = xp.argsort(values, axis=-1, descending=True)
    shares = xp.take_along_axis(allocation, order, axis=-1)
    before = xp.cumulative_sum(shares, axis=-1) - shares
    room = 1.0 - xp.minimum(before, xp.ones_like(before))
    return dot(xp.take_along_axis(values, order, axis=-1), xp.minimum(shares, room))


def check_bids(bids: Array) -> None:
    """Check a report profile.

    Raises:
        ValueError: `bids` is not a real floating-point array (B, n, m), or holds a negative, infinite or NaN entry.
    """
    shape = tuple(getattr(bids, "shape", ()))
    if len(shape) != 3 or 0 in shape[1:]:
        raise ValueError(f"bids: must be an array of shape (B, n, m) with n, m >= 1, got shape {shape}")
    xp = array_api_compat.array_namespace(bids)
    if not xp.isdtype(bids.dtype, "real floating"):
        raise ValueError(f"bids: must be real floating point, got dtype {bids.dtype}")
    if not bool(xp.all(xp.isfinite(bids) & (bids >= 0))):
        raise ValueError("bids: must be finite and nonnegative")


class Mechanism(abc.ABC):
    """A direct sealed-bid mechanism: reports in, allocation and payments out.

    Concrete ones are frozen dataclasses of plain numbers.

    The promises hold for bidders whose demand is `demand`; a report equal to the value is called truthful.

    Attributes:
        demand: "additive" or "unit", see `value`.
        truthful: the truthful report is a dominant strategy: no other is ever better, whatever the others report.
        individually_rational: the truthful report never ends with negative utility, whatever the others report (ex
            post).
        deterministic: allocations are 0 or 1, except at ties, which share the item equally in probability.
    """

    @property
    def demand(self) -> str:
        """Demand of the bidders for whom the promises hold."""
        return "additive"

    @property
    @abc.abstractmethod
    def truthful(self) -> bool:
        """Whether truthful reports are dominant strategies."""

    @property
    @abc.abstractmethod
    def individually_rational(self) -> bool:
        """Whether a truthful report never loses (ex post)."""

    @property
    @abc.abstractmethod
    def deterministic(self) -> bool:
        """Whether allocations are 0 or 1 except at ties."""

    @abc.abstractmethod
    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m), finite and nonnegative; nothing is checked here (`__call__` checks)."""

    def __call__(self, bids: Array) -> Outcome:
        """Outcome for checked `bids` (B, n, m).

        Raises:
            ValueError: `bids` is malformed (`check_bids`), or has another n or m than the mechanism.
        """
        check_bids(bids)
        self.check_size(int(bids.shape[1]), int(bids.shape[2]))
        return self.outcome(bids)

    def check_size(self, bidders: int, items: int) -> None:
        """Check that the mechanism can serve so many `bidders` and `items`; by default it serves any number.

        Raises:
            ValueError: naming `bids`, when it cannot.
        """
        if bidders < 1 or items < 1:
            raise ValueError(f"bids: need at least one bidder and one item, got {bidders} and {items}")

    def to_dict(self) -> dict[str, Any]:
        """The mechanism as plain JSON values: its class name under `"mechanism"`, then its parameters."""
        record: dict[str, Any] = {"mechanism": type(self).__name__}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            record[field.name] = _as_json(getattr(self, field.name))
        return record


class MenuMechanism(Mechanism):
    """A mechanism that shows each bidder a menu computed from the others' reports alone.

    The outcome is each bidder's best option.
    """

    @abc.abstractmethod
    def menus(self, bids: Array) -> Menu:
        """Menus for `bids` (B, n, m); row i of the menu must not depend on row i of the bids."""

    def outcome(self, bids: Array) -> Outcome:
        """Outcome for `bids` (B, n, m): every bidder's best option, the lowest index at ties."""
        return self.menus(bids).best(bids)


def per_item(name: str, parameter: object) -> float | tuple[float, ...]:
    """A nonnegative number, or one for each item, as float or tuple.

    Raises:
        ValueError: a number is negative or not finite, naming `name`.
    """
    scalar = isinstance(parameter, Real)
    try:
        numbers = (float(parameter),) if isinstance(parameter, Real) else tuple(float(x) for x in parameter)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(f"{name}: must be a number or a sequence of numbers, got {parameter!r}") from None
    if not numbers or not all(0.0 <= number < float("inf") for number in numbers):
        raise ValueError(f"{name}: must be nonnegative and finite, got {parameter!r}")
    return numbers[0] if scalar else numbers


def check_items(name: str, parameter: object, items: int) -> None:
    """Raise ValueError naming `bids` when a per-item tuple `parameter` has another length than `items`."""
    if isinstance(parameter, tuple) and len(parameter) != items:
        raise ValueError(f"bids: {items} items, but {name} is given for {len(parameter)}")


def _as_json(entry: Any) -> Any:
    if isinstance(entry, tuple):
        return [_as_json(part) for part in entry]
    return entry.to_dict() if hasattr(entry, "to_dict") else entry
