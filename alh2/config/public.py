"""Param and machine files as they may be shown to anyone: without accounts, hosts, keys and commands that tell."""

from __future__ import annotations

import re
from typing import Any

from alh2.config.strict import strip_comments

MACHINE_KEYS = ("batch_type", "context_type")
RESOURCE_KEYS = ("number_node", "cpu_per_node", "gpu_per_node", "group_size", "para_deg", "module_list")
_PUBLIC_ENV = re.compile(r"(OMP|OPENBLAS|MKL|DP|TF|KMP)_[A-Z_]+")
_PRIVATE_KEY = re.compile(
    r"pass(word|phrase)|token|secret|api_?key|key_filename|credential|user_?name|e_?mail|hostname|totp", re.IGNORECASE
)


def public_param(raw: dict[str, Any]) -> dict[str, Any]:
    """A param file without ``alh2.notify``, whose command may hold an address, and anything named like a secret."""
    tree: dict[str, Any] = without_secrets(raw)
    if isinstance(own := tree.get("alh2"), dict):
        tree["alh2"] = {key: value for key, value in own.items() if key != "notify"}
    return tree


def public_machine(raw: dict[str, Any]) -> dict[str, Any]:
    """Of each stage the program, the kind of machine and the size of the jobs: no hosts, users, paths or accounts."""
    stages: dict[str, Any] = {}
    for name, found in strip_comments(raw).items():
        stage = found[0] if isinstance(found, list) and found else found
        if not isinstance(stage, dict):
            continue
        resources = stage.get("resources", {})
        kept = {key: resources[key] for key in RESOURCE_KEYS if key in resources}
        kept["envs"] = {k: v for k, v in sorted(resources.get("envs", {}).items()) if _PUBLIC_ENV.fullmatch(k)}
        words = str(stage.get("command", "")).split()
        stages[name] = {
            "command": " ".join(word.rsplit("/", 1)[-1] for word in words),
            "machine": {k: v for k, v in stage.get("machine", {}).items() if k in MACHINE_KEYS},
            "resources": kept,
        }
    return stages


def without_secrets(value: Any) -> Any:
    """`value` without entries whose key is named like a secret, at any depth."""
    if isinstance(value, dict):
        return {k: without_secrets(v) for k, v in value.items() if not _PRIVATE_KEY.search(str(k))}
    return [without_secrets(entry) for entry in value] if isinstance(value, list) else value
