"""Durable files: a failure leaves the old content, a reader never sees half of the new."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from alh2.core.errors import BadInputError
from alh2.core.files import (
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    commit_directory,
    digest_bytes,
    digest_files,
    from_fields,
    read_json,
    read_json_as,
)


def test_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    atomic_write_text(path, "first")
    atomic_write_text(path, "zweite Fassung: ⟨N⟩")
    assert path.read_text(encoding="utf-8") == "zweite Fassung: ⟨N⟩"
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "state.json"
    atomic_write_text(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_value_that_is_not_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    atomic_write_json(path, {"b": 1, "a": [1, 2]})
    first = path.read_bytes()
    with pytest.raises(TypeError):
        atomic_write_json(path, {"x": object()})
    assert path.read_bytes() == first
    atomic_write_json(path, {"a": [1, 2], "b": 1})
    assert path.read_bytes() == first
    assert read_json(path) == {"a": [1, 2], "b": 1}


def test_unreadable_json_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"a": 1')
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    for name, words in (("none.json", "no such file"), ("torn.json", "valid JSON"), ("latin.json", "valid JSON")):
        with pytest.raises(BadInputError, match=words) as caught:
            read_json(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(BadInputError, match="readable file"):
        read_json(tmp_path)


@dataclass(frozen=True)
class Point:
    x: float
    names: tuple[str, ...]
    note: str = ""


def test_json_as_dataclass(tmp_path: Path) -> None:
    path = tmp_path / "point.json"
    atomic_write_json(path, {"x": 1.5, "names": ["a", "b"]})
    assert read_json_as(path, Point) == Point(1.5, ("a", "b"))
    for content, found in (({"x": 1}, "names"), ({"x": 1, "names": [], "y": 2}, "'y'"), ([1], "list")):
        path.write_text(json.dumps(content))
        with pytest.raises(BadInputError, match=found):
            read_json_as(path, Point)
    with pytest.raises(BadInputError, match=r"file, entry 3: expected the fields of Point"):
        from_fields({}, Point, where="file, entry 3")


def test_committed_folder_appears_whole_and_only_once(tmp_path: Path) -> None:
    final = tmp_path / "final"
    for text in ("first", "second"):
        staged = tmp_path / "staged"
        (staged / "deep").mkdir(parents=True)
        (staged / "deep" / "data").write_text(text)
        commit_directory(staged, final)
        assert not staged.exists()
    assert (final / "deep" / "data").read_text() == "first"


def test_interrupted_commit_leaves_the_staged_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged, final = tmp_path / "staged", tmp_path / "final"
    staged.mkdir()
    (staged / "data").write_text("x")

    def refused(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(OSError, match="Input/output"):
        commit_directory(staged, final)
    assert not final.exists() and (staged / "data").exists()


def test_digests_tell_boundaries_names_and_contents_apart(tmp_path: Path) -> None:
    assert digest_bytes(b"ab", b"c") != digest_bytes(b"a", b"bc") != digest_bytes(b"abc")
    assert len(digest_bytes()) == 32
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "sub" / "a"
    c.parent.mkdir()
    for path in (a, b, c):
        path.write_text("same")
    assert digest_files([a]) == digest_files([c]) != digest_files([b])
    assert digest_files([a, b]) != digest_files([b, a])
    c.write_text("other")
    assert digest_files([a]) != digest_files([c])
