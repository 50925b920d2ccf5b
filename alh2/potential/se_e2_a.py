"""The weights of a DeePMD `se_e2_a` energy model, read from the `.dp` format without TensorFlow.

With a the type of the central atom i and b that of neighbour j (Zhang et al., NeurIPS 2018; DeePMD-kit 3):

    R_ij = (w(r) (1/r, x/r^2, y/r^2, z/r^2) - avg_ab) / std_ab,   s_ij = R_ij[0],
    T_i  = sum_j g_ab(s_ij) (x) R_ij over sel neighbours, empty slots included with R = -avg_ab / std_ab,
    D_i  = T_i T_i[:axis]^T / n^2 with n = sum(sel),   E_i = fit_a(D_i) + bias_a.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alh2.core.errors import BadInputError
from alh2.potential.convert import load_dp, to_dp, uncompressed_candidates
from alh2.potential.networks import Network, read_network


@dataclass(frozen=True, eq=False)
class SeE2aModel:
    """A `se_e2_a` model ready for evaluation.

    file : the file the user named; dp_file : the `.dp` whose energies are reproduced
    type_map : elements; rcut_ang, rcut_smth_ang, protection_ang : of the environment matrix
    sel : (n_types,) largest number of neighbours of each type; axis : columns of the second factor of D
    mean, scale : (n_types, n_types, 4) normalisation for (centre, neighbour)
    embeddings : networks by :meth:`network_index`; fittings : one per centre type
    bias_ev : (n_types,) constant of each type (network constants, vacuum terms and output bias together)
    silent : (n_types, n_types) int64 for (centre, neighbour): 1 where the descriptor excludes the pair (the neighbour
        takes a place and adds nothing), 2 where the model does (it is no neighbour at all), else 0
    muted : (n_types,) bool: atoms whose energy is bias_ev alone
    """

    file: Path
    dp_file: Path
    type_map: tuple[str, ...]
    rcut_ang: float
    rcut_smth_ang: float
    protection_ang: float
    sel: np.ndarray
    axis: int
    one_side: bool
    mean: np.ndarray
    scale: np.ndarray
    embeddings: tuple[Network, ...]
    fittings: tuple[Network, ...]
    bias_ev: np.ndarray
    silent: np.ndarray
    muted: np.ndarray

    @property
    def total_sel(self) -> int:
        """No limit beside that of each element."""
        return int(self.sel.sum())

    @property
    def n_types(self) -> int:
        """Number of elements."""
        return len(self.type_map)

    @property
    def width(self) -> int:
        """Width M of the embedding, the rows of T."""
        return int(self.embeddings[0].layers[-1].w.shape[1])

    def network_index(self) -> np.ndarray:
        """(n_types, n_types) int64: which embedding serves (centre, neighbour)."""
        centre, neighbour = np.indices((self.n_types, self.n_types))
        return neighbour if self.one_side else centre + neighbour * self.n_types


def _refuse(where: str, expected: str, found: str) -> BadInputError:
    return BadInputError(where, expected=expected, found=found, action="use full energies for this model")


def _check_kind(model: dict[str, Any], where: str) -> None:
    kind = model.get("type")
    if kind != "standard" or "descriptor" not in model:
        raise _refuse(where, "a standard energy model", f"model type {kind}")
    descriptor, fitting = model["descriptor"], model["fitting"]
    if descriptor.get("type") != "se_e2_a":
        raise _refuse(where, "descriptor se_e2_a", f"descriptor {descriptor.get('type')}")
    if fitting.get("type") != "ener" or fitting.get("mixed_types"):
        raise _refuse(where, "one energy fitting net per element", f"fitting {fitting.get('type')}")
    for name, holder, key in (
        ("spin", descriptor, "spin"),
        ("numb_fparam", fitting, "numb_fparam"),
        ("numb_aparam", fitting, "numb_aparam"),
        ("dim_case_embd", fitting, "dim_case_embd"),
        ("exponential switch", descriptor.get("env_mat") or {}, "use_exp_switch"),
    ):
        if holder.get(key):
            raise _refuse(where, f"no {name}", f"{name} = {holder[key]}")
    for part in (descriptor, fitting):
        if part.get("precision") not in ("float64", "double", "default"):
            raise _refuse(where, "float64 precision", f"precision {part.get('precision')}")


def is_compressed(model: dict[str, Any]) -> bool:
    """Whether the embedding networks of a serialised model were replaced by tables."""
    networks = model["descriptor"]["embeddings"]["networks"]
    return "compress" in model["descriptor"] or any(
        net is None or any(layer["@variables"].get("w") is None for layer in net["layers"]) for net in networks
    )


def _normalisation(descriptor: dict[str, Any], sel: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    starts = np.concatenate([[0], np.cumsum(sel)])
    values = []
    for key in ("davg", "dstd"):
        table = np.asarray(descriptor["@variables"][key], dtype=np.float64)
        sections = [table[:, starts[b] : starts[b + 1]] for b in range(len(sel))]
        for section in sections:
            if section.shape[1] and np.any(section != section[:, :1]):
                raise _refuse(where, f"one {key} per pair of types", "values that differ between slots")
        fill = 0.0 if key == "davg" else 1.0
        rows = [s[:, 0] if s.shape[1] else np.full((len(sel), 4), fill) for s in sections]
        values.append(np.ascontiguousarray(np.stack(rows, axis=1)))
    return values[0], values[1]


def _constants(model: dict[str, Any], fittings: tuple[Network, ...]) -> np.ndarray:
    """Per-type constant: bias_atom_e + out_bias, less fit(0) for the types whose vacuum energy is given.

    Types the fitting excludes have out_bias alone, types the model excludes nothing.
    """
    fitting = model["fitting"]
    bias = np.array(fitting["@variables"]["bias_atom_e"], dtype=np.float64).reshape(-1)
    given = fitting.get("atom_ener") or []
    if any(value is not None for value in given):
        for a, net in enumerate(fittings):
            if not (len(given) > a and given[a] is None):
                bias[a] -= net(np.zeros((1, net.layers[0].w.shape[0])))[0, 0]
    bias[list(fitting.get("exclude_types") or [])] = 0.0
    bias += np.array(model["@variables"]["out_bias"], dtype=np.float64)[0].reshape(-1)
    bias[list(model.get("atom_exclude_types") or [])] = 0.0
    return bias


def _muted(model: dict[str, Any]) -> np.ndarray:
    muted = np.zeros(len(model["type_map"]), dtype=bool)
    for excluded in (model["fitting"].get("exclude_types"), model.get("atom_exclude_types")):
        muted[list(excluded or [])] = True
    return muted


def _silent(model: dict[str, Any]) -> np.ndarray:
    """See `SeE2aModel.silent`; an excluded pair is excluded either way round."""
    n = len(model["type_map"])
    silent = np.zeros((n, n), dtype=np.int64)
    for value, pairs in ((1, model["descriptor"].get("exclude_types")), (2, model.get("pair_exclude_types"))):
        for a, b in pairs or []:
            silent[a, b] = silent[b, a] = value
    return silent


def _same_fitting(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two serialised models have equal fitting weights and normalisation (the same training)."""
    if one.get("type_map") != other.get("type_map"):
        return False
    for key in ("davg", "dstd"):
        if not np.array_equal(one["descriptor"]["@variables"][key], other["descriptor"]["@variables"][key]):
            return False
    nets = [model["fitting"]["nets"]["networks"] for model in (one, other)]
    if len(nets[0]) != len(nets[1]):
        return False
    for a, b in zip(*nets, strict=True):
        if len(a["layers"]) != len(b["layers"]):
            return False
        for x, y in zip(a["layers"], b["layers"], strict=True):
            if not np.array_equal(x["@variables"]["w"], y["@variables"]["w"]):
                return False
    return True


def _uncompressed(model_file: Path, content: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The `.dp` of the model that compressed `model_file` was made from, verified by its fitting weights."""
    for candidate in uncompressed_candidates(model_file, content):
        dp_file = to_dp(candidate)
        model = load_dp(dp_file)["model"]
        if not is_compressed(model) and _same_fitting(model, content["model"]):
            return dp_file, model
    raise BadInputError(
        str(model_file),
        expected="the uncompressed frozen model",
        found="a compressed model, whose embedding networks are tables",
        action="keep the frozen .pb it was compressed from beside it, or name that one",
    )


def read_se_e2_a(model_file: Path) -> SeE2aModel:
    """Weights of `model_file` (`.pb`, `.dp`, `.yaml`); `.pb` is converted once.

    A compressed `.pb` has no embedding weights: the frozen model it was made from is looked for beside it and
    taken where its fitting weights are equal. Raises BadInputError, naming the feature, for what the incremental
    energy does not support.
    """
    where = str(model_file)
    dp_file = to_dp(model_file)
    content = load_dp(dp_file)
    model = content["model"]
    _check_kind(model, where)
    if is_compressed(model):
        dp_file, model = _uncompressed(model_file, content)
    descriptor, nets = model["descriptor"], model["descriptor"]["embeddings"]
    sel = np.array(descriptor["sel"], dtype=np.int64)
    mean, scale = _normalisation(descriptor, sel, where)
    embeddings = tuple(read_network(net, where=where) for net in nets["networks"])
    fittings = tuple(read_network(net, where=where) for net in model["fitting"]["nets"]["networks"])
    return SeE2aModel(
        file=model_file,
        dp_file=dp_file,
        type_map=tuple(model["type_map"]),
        rcut_ang=float(descriptor["rcut"]),
        rcut_smth_ang=float(descriptor["rcut_smth"]),
        protection_ang=float(descriptor.get("env_protection") or 0.0),
        sel=sel,
        axis=int(descriptor["axis_neuron"]),
        one_side=bool(descriptor["type_one_side"]),
        mean=mean,
        scale=scale,
        embeddings=embeddings,
        fittings=fittings,
        bias_ev=_constants(model, fittings),
        silent=_silent(model),
        muted=_muted(model),
    )
