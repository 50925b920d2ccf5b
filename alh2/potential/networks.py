"""Plain NumPy evaluation of DeePMD's feed-forward networks, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alh2.core.errors import BadInputError

ArrayFunction = Callable[[np.ndarray], np.ndarray]


def activation(name: str, *, where: str) -> ArrayFunction | None:
    """DeePMD's activation `name` (None for linear); raises BadInputError for one DeePMD does not have."""
    if name.lower() in ("linear", "none"):
        return None
    if name.lower() == "tanh":
        return np.tanh
    from deepmd.dpmodel.utils.network import get_activation_fn

    try:
        function: ArrayFunction = get_activation_fn(name)
    except NotImplementedError:
        raise BadInputError(where, expected="an activation DeePMD knows", found=name) from None
    return function


@dataclass(frozen=True, eq=False)
class Layer:
    """y = idt * act(x w + b), plus x (or x twice) where `skip` is 1 (or 2)."""

    w: np.ndarray
    b: np.ndarray | None
    idt: np.ndarray | None
    act: ArrayFunction | None
    skip: int

    def activate(self, y: np.ndarray) -> np.ndarray:
        """Activated rows, in place where that is possible."""
        if self.act is None:
            return y
        return np.tanh(y, out=y) if self.act is np.tanh else self.act(y)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers applied one after the other to rows."""

    layers: tuple[Layer, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Output rows (n, n_out) of input rows (n, n_in)."""
        for layer in self.layers:
            y = x @ layer.w
            if layer.b is not None:
                y += layer.b
            y = layer.activate(y)
            if layer.idt is not None:
                y *= layer.idt
            if layer.skip == 1:
                y += x
            elif layer.skip == 2:
                y += np.concatenate([x, x], axis=1)
            x = y
        return x


def read_network(data: dict[str, Any], *, where: str) -> Network:
    """Network from DeePMD's serialisation; raises BadInputError for missing weights or single precision."""
    layers = []
    for item in data.get("layers") or []:
        variables = item["@variables"]
        w = variables.get("w")
        if w is None or w.ndim != 2:
            break
        if np.dtype(w.dtype) != np.float64:
            raise BadInputError(where, expected="float64 networks", found=str(w.dtype), action="use full energies")
        same, twice = w.shape[0] == w.shape[1], 2 * w.shape[0] == w.shape[1]
        skip = 1 if item["resnet"] and same else 2 if item["resnet"] and twice else 0
        b, idt = variables.get("b"), variables.get("idt")
        layers.append(
            Layer(
                np.ascontiguousarray(w),
                None if b is None else np.ravel(b),
                None if idt is None else np.ravel(idt),
                activation(str(item["activation_function"]), where=where),
                skip,
            )
        )
    if not layers or len(layers) != len(data["layers"]):
        raise BadInputError(where, expected="network weights", found="none")
    return Network(tuple(layers))
