"""Vector instructions for the fitting nets: a matrix product with packed weights, and tanh.

Both are emitted as LLVM vectors of the width the processor has. Every output element is computed by the same
operations in the same order wherever its row stands and however many rows there are, so that a result never depends on
what else is evaluated beside it. (BLAS promises no such thing, and packs the weights anew in every call.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_HAS = binding.get_host_cpu_features()
LANES, VECTORS, ROWS = (8, 3, 8) if _HAS.get("avx512f") else (4, 3, 4) if _HAS.get("avx2") else (2, 4, 4)
"""Doubles in a vector, vectors and rows of one tile: what the accumulators of a tile leave of the registers."""
PANEL = LANES * VECTORS
"""Columns of a packed panel."""
DEPTH = 160
"""Rows of a panel that are used at a time, so that they stay in the first cache."""
ROWS_AT_ONCE = 96
_AHEAD = 24 * PANEL * 8

_DOUBLE, _WORD, _INDEX = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_BITS = ir.VectorType(_WORD, LANES)


def _function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _address(builder: Any, base: Any, offset: int, kind: Any) -> Any:
    return builder.inttoptr(builder.add(base, ir.Constant(_WORD, offset)), kind.as_pointer())


def _everywhere(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))


def _prefetch(builder: Any, base: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    fetch = _function(builder, "llvm.prefetch.p0", ir.VoidType(), [byte, _INDEX, _INDEX, _INDEX])
    flags = [ir.Constant(_INDEX, value) for value in (0, 3, 1)]
    for line in range(0, PANEL * 8, 64):
        builder.call(fetch, [_address(builder, base, _AHEAD + line, ir.IntType(8)), *flags])


def _tile(rows: int) -> Callable[..., None]:
    """Kernel C[rows, PANEL] += A[rows, depth] B[depth, PANEL] on addresses and row lengths (in doubles)."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a_length, b, c, c_length, depth = arguments
        fma = _function(builder, f"llvm.fmuladd.v{LANES}f64", _VECTOR, [_VECTOR] * 3)
        eight = ir.Constant(_WORD, 8)
        starts = []
        for base, length in ((a, a_length), (c, c_length)):
            stride = builder.mul(length, eight)
            starts.append([builder.add(base, builder.mul(stride, ir.Constant(_WORD, r))) for r in range(rows)])
        tile = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(VECTORS)] for _ in range(rows)]
        for r in range(rows):
            for v in range(VECTORS):
                place = _address(builder, starts[1][r], 8 * LANES * v, _VECTOR)
                builder.store(builder.load(place, align=8), tile[r][v])
        with cgutils.for_range(builder, depth) as loop:
            row_b = builder.add(b, builder.mul(loop.index, ir.Constant(_WORD, 8 * PANEL)))
            _prefetch(builder, row_b)
            loads = [_address(builder, row_b, 8 * LANES * v, _VECTOR) for v in range(VECTORS)]
            columns = [builder.load(place, align=8) for place in loads]
            shift = builder.mul(loop.index, eight)
            for r in range(rows):
                place = builder.inttoptr(builder.add(starts[0][r], shift), _DOUBLE.as_pointer())
                factor = _everywhere(builder, builder.load(place, align=8))
                for v in range(VECTORS):
                    builder.store(builder.call(fma, [factor, columns[v], builder.load(tile[r][v])]), tile[r][v])
        for r in range(rows):
            for v in range(VECTORS):
                place = _address(builder, starts[1][r], 8 * LANES * v, _VECTOR)
                builder.store(builder.load(tile[r][v]), place, align=8)
        return context.get_dummy_value()

    def typed(typing_context: Any, a: Any, a_length: Any, b: Any, c: Any, c_length: Any, depth: Any) -> Any:
        return types.void(*[types.intp] * 6), emit

    made: Callable[..., None] = intrinsic(typed)
    return made


_tile_full, _tile_half, _tile_two, _tile_one = _tile(ROWS), _tile(ROWS // 2), _tile(2), _tile(1)
_HALF = ROWS // 2


def pack(w: np.ndarray) -> np.ndarray:
    """Panels (n_panels, n_in, PANEL) of weights (n_in, n_out), the last one filled up with zeros."""
    n_in, n_out = w.shape
    panels = np.zeros((-(-n_out // PANEL), n_in, PANEL))
    for p, panel in enumerate(panels):
        part = w[:, p * PANEL : (p + 1) * PANEL]
        panel[:, : part.shape[1]] = part
    return panels


@numba.njit(cache=True, nogil=True, inline="never")
def add_product(a: np.ndarray, n_rows: int, panels: np.ndarray, c: np.ndarray) -> None:
    """c[:n_rows, :n_panels * PANEL] += a[:n_rows, :n_in] @ w for packed `panels` (n_panels, n_in, PANEL).

    `a` and `c` are C-contiguous with at least so many columns.
    """
    n_panels, n_in, _ = panels.shape
    at_a, at_b, at_c = a.ctypes.data, panels.ctypes.data, c.ctypes.data
    wide_a, wide_c = a.shape[1], c.shape[1]
    for k in range(0, n_in, DEPTH):
        depth = min(DEPTH, n_in - k)
        for first in range(0, n_rows, ROWS_AT_ONCE):
            last = min(n_rows, first + ROWS_AT_ONCE)
            for p in range(n_panels):
                b = at_b + 8 * PANEL * (p * n_in + k)
                x, y = at_a + 8 * (first * wide_a + k), at_c + 8 * (first * wide_c + p * PANEL)
                i = first
                while last - i >= ROWS:
                    _tile_full(x, wide_a, b, y, wide_c, depth)
                    i, x, y = i + ROWS, x + 8 * ROWS * wide_a, y + 8 * ROWS * wide_c
                if last - i >= _HALF:
                    _tile_half(x, wide_a, b, y, wide_c, depth)
                    i, x, y = i + _HALF, x + 8 * _HALF * wide_a, y + 8 * _HALF * wide_c
                while last - i >= 2:
                    _tile_two(x, wide_a, b, y, wide_c, depth)
                    i, x, y = i + 2, x + 16 * wide_a, y + 16 * wide_c
                if i < last:
                    _tile_one(x, wide_a, b, y, wide_c, depth)


_MAGIC = 1.5 * 2.0**52
_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
_TAYLOR = [1.0 / math.factorial(n) for n in range(13, -1, -1)]


def _emit_tanh(builder: Any, x: Any) -> Any:
    """tanh |x| = 1 - 2 / (exp(2|x|) + 1), exp by powers of two and a Taylor polynomial; error below 3e-16."""

    def vector(value: float) -> Any:
        return ir.Constant(_VECTOR, [value] * LANES)

    name = f"v{LANES}f64"
    fma = _function(builder, f"llvm.fmuladd.{name}", _VECTOR, [_VECTOR] * 3)
    y = builder.call(_function(builder, f"llvm.fabs.{name}", _VECTOR, [_VECTOR]), [builder.fadd(x, x)])
    large = builder.fcmp_ordered(">", y, vector(45.0))
    y = builder.select(large, vector(45.0), y)
    shifted = builder.fadd(builder.fmul(y, vector(1.0 / math.log(2.0))), vector(_MAGIC))
    n = builder.fsub(shifted, vector(_MAGIC))
    rest = builder.call(fma, [n, vector(-_LN2_HIGH), y])
    rest = builder.call(fma, [n, vector(-_LN2_LOW), rest])
    value = vector(_TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        value = builder.call(fma, [value, rest, vector(coefficient)])
    bits = builder.shl(builder.bitcast(shifted, _BITS), ir.Constant(_BITS, [52] * LANES))
    value = builder.bitcast(builder.add(builder.bitcast(value, _BITS), bits), _VECTOR)
    quotient = builder.fdiv(vector(2.0), builder.fadd(value, vector(1.0)))
    sign = _function(builder, f"llvm.copysign.{name}", _VECTOR, [_VECTOR] * 2)
    return builder.call(sign, [builder.fsub(vector(1.0), quotient), x])


def _typed_tanh(typing_context: Any, address: Any) -> Any:
    """tanh of the LANES doubles at `address`, in place."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _address(builder, arguments[0], 0, _VECTOR)
        builder.store(_emit_tanh(builder, builder.load(place, align=8)), place, align=8)
        return context.get_dummy_value()

    return types.void(types.intp), emit


_tanh_vector: Any = intrinsic(_typed_tanh)


@numba.njit(cache=True, nogil=True, inline="never")
def tanh_rows(x: np.ndarray, n_rows: int, n_columns: int) -> None:
    """x[:n_rows, :n_columns] becomes its tanh; C-contiguous, columns rounded up to whole vectors."""
    at, wide = x.ctypes.data, x.shape[1]
    for i in range(n_rows):
        start = at + 8 * i * wide
        for j in range(0, n_columns, LANES):
            _tanh_vector(start + 8 * j)
