"""By what a folder of predictions was made: the command and the models, for whoever asks where a number is from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_json, digest_bytes, from_fields, read_json

FILE = "made.json"


@dataclass(frozen=True)
class ModelFile:
    """A model or pair baseline that the folder is linked to: link, target as linked, digest of the bytes."""

    link: str
    target: str
    digest: str


@dataclass(frozen=True)
class Made:
    """How predictions came about; seed : root of their random streams."""

    command: str
    seed: int
    models: tuple[ModelFile, ...]


def write_made(directory: Path, *, command: str, seed: int, unused: Collection[Path] = ()) -> None:
    """Note `command`, `seed` and every model that is linked into `directory`, but for those that are `unused`."""
    links = sorted(path for path in directory.iterdir() if path.is_symlink() and path.is_file())
    links = [path for path in links if path not in unused]
    models = tuple(ModelFile(p.name, str(p.readlink()), digest_bytes(p.read_bytes())) for p in links)
    atomic_write_json(directory / FILE, asdict(Made(command, seed, models)))


def read_made(directory: Path) -> Made | None:
    """What `write_made` noted, None where nothing was; raises BadInputError for a file of another kind."""
    path = directory / FILE
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        raise BadInputError(str(path), expected="command, seed and models", found=type(content).__name__)
    models = tuple(from_fields(entry, ModelFile, where=f"{path}, models") for entry in content["models"])
    return from_fields({**content, "models": models}, Made, where=str(path))
