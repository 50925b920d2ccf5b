"""DeePMD ``input.json`` of one committee member, from the param file's template."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from alh2.config.model import CommitteeConfig, DeepmdInput


def deepmd_input(
    committee: CommitteeConfig,
    systems: Sequence[str],
    *,
    type_map: Sequence[str],
    seed: int,
    reuse: bool,
) -> DeepmdInput:
    """The training input of one member.

    systems : training systems relative to the training folder. `reuse` applies DP-GEN's ``training_reuse_*``
    values: shorter training from the previous iteration's weights. The three seeds DeePMD knows (descriptor,
    fitting net, training) are all set from `seed`. No ``validation_data``: held-out frames are evaluated after
    training, per composition, by the whole committee.
    """
    content = copy.deepcopy(committee.training_param)
    model = content["model"]
    model["type_map"] = list(type_map)
    model["descriptor"]["seed"] = seed
    model.setdefault("fitting_net", {})["seed"] = seed
    training = content.setdefault("training", {})
    training["seed"] = seed
    data = training.setdefault("training_data", {})
    data["systems"] = list(systems)
    data.setdefault("batch_size", 1)
    training.pop("validation_data", None)
    if reuse:
        training.pop("stop_batch", None)
        training["numb_steps"] = committee.reuse_n_steps
        content.setdefault("learning_rate", {})["start_lr"] = committee.reuse_start_lr
        loss = content.setdefault("loss", {})
        loss["start_pref_e"] = committee.reuse_start_pref_e
        loss["start_pref_f"] = committee.reuse_start_pref_f
    training["disp_file"] = "lcurve.out"
    training["disp_training"] = True
    training["save_ckpt"] = "model.ckpt"
    training["save_freq"] = _save_freq(content)
    training["max_ckpt_keep"] = 1
    return content


def _save_freq(content: DeepmdInput) -> int:
    """A ``save_freq`` that leaves a checkpoint of the last step.

    DeePMD's TensorFlow trainer saves at multiples of ``save_freq`` only where they are multiples of ``disp_freq``
    too, and after the last step only where that is not a multiple of ``save_freq``: 300 steps with 200 and 300
    leave no checkpoint at all. Zero and negative values mean "only at the end".
    """
    training = content["training"]
    steps = n_steps(content)
    frequency = int(training.get("save_freq", 1000))
    if frequency <= 0:
        frequency = steps + 1
    if steps % int(training.get("disp_freq", 1000)):
        while steps % frequency == 0:
            frequency += 1
    return frequency


def weighs_guests(committee: CommitteeConfig) -> bool:
    """Whether the loss has a weight of its own for forces on guests (DeePMD's ``start_pref_pf``, ``limit_pref_pf``)."""
    loss = committee.training_param.get("loss", {})
    return any(loss.get(name, 0) for name in ("start_pref_pf", "limit_pref_pf"))


def n_steps(content: DeepmdInput) -> int:
    """Number of training steps `content` asks for (``numb_steps``, or the older ``stop_batch``)."""
    training = content["training"]
    return int(training["numb_steps"] if "numb_steps" in training else training["stop_batch"])
