"""Philox4x64-10 for many counters at once (Salmon et al., SC 2011), bit-identical to `numpy.random.Philox`."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_M0 = np.uint64(0xD2E7470EE14C6C93)
_M1 = np.uint64(0xCA5A826395121157)
_W0 = np.uint64(0x9E3779B97F4A7C15)
_W1 = np.uint64(0xBB67AE8584CAA73B)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53: the top 53 bits as a fraction


def _high_word(typingctx: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of the 128-bit product."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


_high: Any = intrinsic(_high_word)


@njit(cache=True)
def fill(out: Any, key: Any, lane: Any, episode: Any, step: Any, call: Any) -> None:
    """Fill `out` (B, k) with uniforms in [0, 1).

    Row i has key[i] and the counters (block, call, step[i], lane[i] | episode[i] << 32). numpy increments the counter
    before its first block, so blocks count from 1 here.
    """
    width = out.shape[1]
    for i in range(out.shape[0]):
        last = lane[i] | (episode[i] << np.uint64(32))
        for block in range((width + 3) // 4):
            c0, c1, c2, c3 = np.uint64(block + 1), call, step[i], last
            k0, k1 = key[i, 0], key[i, 1]
            for _ in range(10):
                h0, l0 = _high(_M0, c0), _M0 * c0
                h1, l1 = _high(_M1, c2), _M1 * c2
                c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
                k0 += _W0
                k1 += _W1
            at = 4 * block
            out[i, at] = np.float64(c0 >> np.uint64(11)) * _TO_UNIT
            if at + 1 < width:
                out[i, at + 1] = np.float64(c1 >> np.uint64(11)) * _TO_UNIT
            if at + 2 < width:
                out[i, at + 2] = np.float64(c2 >> np.uint64(11)) * _TO_UNIT
            if at + 3 < width:
                out[i, at + 3] = np.float64(c3 >> np.uint64(11)) * _TO_UNIT
