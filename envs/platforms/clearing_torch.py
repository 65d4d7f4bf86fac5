"""Market clearing in torch: thousands of markets in lockstep, on a GPU or not; the method is that of `kernels`.

Every market does the same number of steps, so there is no branch: buyer after buyer, a shortest path by Dijkstra's
algorithm over the goods, all lanes together, then sweeps for the largest prices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from walras.envs.platforms.clearing import Clearing

if TYPE_CHECKING:
    import torch


def clear_torch(values: torch.Tensor, allowed: torch.Tensor) -> Clearing:
    """Clear markets on the tensors' device; the same numbers as `clear` (integers exactly), possibly another matching.

    Args:
        values: (B, n, m) float64, float32 or int64, finite; pairs of value zero or less never trade.
        allowed: (B, n, m) bool.

    Returns:
        Tensors on the same device; ties between optimal matchings are broken by index, but not as in `clear`.

    Raises:
        ValueError: if shapes do not fit.
    """
    import torch

    if values.ndim != 3 or values.shape != allowed.shape or allowed.dtype != torch.bool:
        raise ValueError(
            f"values and allowed: (B, n, m) and (B, n, m) bool are needed, got {tuple(values.shape)} and "
            f"{tuple(allowed.shape)} {allowed.dtype}"
        )
    lanes, n, m = values.shape
    w = torch.where(allowed, values, -torch.ones((), dtype=values.dtype, device=values.device))
    # Row n and column m are bins: lanes that have nothing to write write there.
    price, payoff = w.new_zeros(lanes, m + 1), w.new_zeros(lanes, n + 1)
    own = torch.full((lanes, m + 1), n, device=w.device)
    mu = torch.full((lanes, n + 1), m, device=w.device)
    if lanes and n and m:
        for i in range(n):
            _enter(i, w, mu, own, price, payoff)
        high = _largest(w, own[:, :m], price[:, :m], payoff)
    else:
        high = price[:, :m]
    traded = mu[:, :n] < m
    good = mu[:, :n].clamp(max=max(m - 1, 0))
    total = torch.where(traded, w.gather(2, good[:, :, None])[:, :, 0], 0) if m else w.new_zeros(lanes, n)
    return Clearing(torch.where(traded, mu[:, :n], -1), total.sum(1), high, price[:, :m].clone())  # type: ignore[arg-type]


def _enter(i: int, w: Any, mu: Any, own: Any, price: Any, payoff: Any) -> None:
    """Buyer `i` enters every market: one shortest path in each."""
    import torch

    lanes, n, m = w.shape
    lane = torch.arange(lanes, device=w.device)
    best = (w[:, i] - price[:, :m]).amax(1).clamp(min=0)
    dist = best[:, None] + price[:, :m] - w[:, i]
    prev = torch.full((lanes, m), i, device=w.device)
    final = torch.zeros((lanes, m), dtype=torch.bool, device=w.device)
    home, leaver = best.clone(), torch.full((lanes,), i, device=w.device)
    delta, end = best.clone(), torch.full((lanes,), -1, device=w.device)
    going = torch.ones(lanes, dtype=torch.bool, device=w.device)
    far = torch.iinfo(w.dtype).max if not w.dtype.is_floating_point else float("inf")
    for _ in range(min(i, m) + 1):
        least, k = torch.where(final, far, dist).min(1)
        goes_home = least >= home
        unsold = own[lane, k] == n
        ends = going & (goes_home | unsold)
        delta = torch.where(ends, torch.where(goes_home, home, least), delta)
        end = torch.where(ends & ~goes_home, k, end)
        going = going & ~ends
        if not going.any():
            break
        final[lane, k] |= going
        r = own[lane, k].clamp(max=n - 1)
        base = least + payoff[lane, r]
        closer = going & (base < home)
        home, leaver = torch.where(closer, base, home), torch.where(closer, r, leaver)
        d = base[:, None] + price[:, :m] - w[lane, r]
        better = going[:, None] & ~final & (d < dist)
        dist, prev = torch.where(better, d, dist), torch.where(better, r[:, None], prev)
    rise = torch.where(final, (delta[:, None] - dist).clamp(min=0), 0)
    price[:, :m] += rise
    payoff.scatter_add_(1, own[:, :m], -rise)
    payoff[:, i] = best - delta
    stays = end < 0
    bin_row = torch.full_like(leaver, n)
    payoff[lane, torch.where(stays, leaver, bin_row)] = 0
    # Along the path every buyer takes the next good; where somebody went home it ends at the good he leaves.
    k = torch.where(stays, mu[lane, leaver], end)
    mu[lane, torch.where(stays, leaver, bin_row)] = m
    going = ~(stays & (leaver == i))
    for _ in range(min(i, m) + 1):
        if not going.any():
            break
        r = torch.where(going, prev[lane, k.clamp(max=m - 1)], n)
        before = mu[lane, r]
        mu[lane, r] = torch.where(going, k, m)
        own[lane, torch.where(going, k, m)] = r
        own[:, m] = n
        mu[:, n] = m
        going = going & (r != i)
        k = torch.where(going, before, k)


def _largest(w: Any, own: Any, price: Any, payoff: Any) -> Any:
    """(B, m) largest prices: how far each may rise, by sweeps over who would buy what instead."""
    import torch

    n, m = w.shape[1:]
    sold = own < n
    buyer = own.clamp(max=n - 1)
    income = payoff.gather(1, buyer)
    row = w.gather(1, buyer[:, :, None].expand(-1, -1, m))
    loss = (income[:, :, None] + price[:, None, :] - row).clamp(min=0)
    rise = torch.where(sold, income, 0)
    for _ in range(m):
        shorter = torch.where(sold, torch.minimum(rise, (loss + rise[:, None, :]).amin(2)), 0)
        if torch.equal(shorter, rise):
            break
        rise = shorter
    return price + rise
