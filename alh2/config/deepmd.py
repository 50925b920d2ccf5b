"""DeePMD ``input.json`` parts of a param file: checked with DeePMD's own schema and against the param file."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any

from dargs import Argument

from alh2.config.model import DeepmdInput
from alh2.config.strict import strip_comments, validate
from alh2.config.where import Where
from alh2.core.errors import BadInputError

SE_E2_A = ("se_e2_a", "se_a")

_FILLED_IN_LATER = ("training_data", "validation_data", "systems", "set_prefix", "batch_size", "numb_test")
"""Keys of ``training`` that training writes itself, or that DP-GEN files of DeePMD 1 style still carry."""


STEPS_ALIASES = ("stop_batch", "num_steps", "num_step", "numb_step")
"""Other names of ``training.numb_steps`` that DeePMD takes."""


def with_step_name(tree: DeepmdInput) -> DeepmdInput:
    """A copy of `tree` whose number of steps, under whatever name, stands as ``training.numb_steps``."""
    training = tree.get("training")
    if not isinstance(training, dict) or "numb_steps" in training:
        return tree
    renamed = {"numb_steps" if key in STEPS_ALIASES else key: value for key, value in training.items()}
    return {**tree, "training": renamed}


def merged(base: DeepmdInput, override: DeepmdInput) -> DeepmdInput:
    """`override` laid over `base`, objects key by key, everything else replaced."""
    result = copy.deepcopy(base)
    for key, value in override.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def checked_training_param(tree: Any, type_map: tuple[str, ...], where: Where) -> DeepmdInput:
    """`tree` without comments, after the checks, with the number of steps as ``training.numb_steps``.

    Raises
    ------
    BadInputError
        A key that DeePMD does not know, another descriptor than se_e2_a, `type_map` or the length of `sel` that
        differ from the param file's, cutoffs or rates out of range.
    """
    if not isinstance(tree, dict):
        raise where.bad("an object {…}, the same for all models", tree, "give one object")
    clean: DeepmdInput = strip_comments(tree)
    model = clean.get("model")
    descriptor = model.get("descriptor") if isinstance(model, dict) else None
    if isinstance(descriptor, dict) and descriptor.get("type") not in SE_E2_A:
        raise (where / "model" / "descriptor" / "type").bad("se_e2_a", descriptor.get("type"))
    validate(_deepmd_schema(), _updated(clean), where, lenient=_FILLED_IN_LATER)
    _check_descriptor(clean["model"], type_map, where / "model")
    _check_rates(clean, where)
    return with_step_name(clean)


@lru_cache(maxsize=1)
def _deepmd_schema() -> Argument:
    from deepmd.utils.argcheck import gen_args

    return Argument("training_param", dict, gen_args())


def _updated(tree: DeepmdInput) -> DeepmdInput:
    """DeePMD's own translation of old keys; the tree itself where that fails, so that the checks name the fault."""
    from deepmd.utils.compat import update_deepmd_input

    try:
        return dict(update_deepmd_input(copy.deepcopy(tree), warning=False, dump=None))
    except (KeyError, TypeError, AttributeError, AssertionError, RuntimeError):
        return tree


def _check_descriptor(model: dict[str, Any], type_map: tuple[str, ...], where: Where) -> None:
    own = model.get("type_map")
    if own is not None and tuple(own) != type_map:
        raise (where / "type_map").bad(f"the type_map of the file ({', '.join(type_map)})", own)
    place = where / "descriptor"
    descriptor = model.get("descriptor")
    if not isinstance(descriptor, dict):
        raise place.bad("an object {…}", descriptor)
    sel = descriptor.get("sel", "auto")
    if isinstance(sel, list) and len(sel) != len(type_map):
        raise BadInputError(
            str(place / "sel"),
            expected=f"{len(type_map)} numbers, one for each element of type_map",
            found=f"{len(sel)}",
        )
    if isinstance(sel, list) and min(sel) < 1:
        raise (place / "sel").bad("numbers ≥ 1", sel)
    rcut, smooth = descriptor.get("rcut", 6.0), descriptor.get("rcut_smth", 0.5)
    if not 0 <= smooth < rcut:
        raise BadInputError(
            str(place / "rcut_smth"), expected=f"a number ≥ 0 and < rcut ({rcut:g})", found=f"{smooth:g}"
        )


def _check_rates(tree: DeepmdInput, where: Where) -> None:
    rate = tree.get("learning_rate", {})
    start, stop = rate.get("start_lr"), rate.get("stop_lr")
    if start is not None and start <= 0:
        raise (where / "learning_rate" / "start_lr").bad("a number > 0", start)
    if start is not None and stop is not None and not 0 < stop <= start:
        raise (where / "learning_rate" / "stop_lr").bad(f"a number > 0 and ≤ start_lr ({start:g})", stop)
    for key, value in tree.get("loss", {}).items():
        if "pref" in key and isinstance(value, (int, float)) and value < 0:
            raise (where / "loss" / key).bad("a number ≥ 0", value)
    steps = with_step_name(tree)["training"].get("numb_steps")
    if steps is not None and steps < 1:
        raise (where / "training" / "numb_steps").bad("an integer ≥ 1", steps)
