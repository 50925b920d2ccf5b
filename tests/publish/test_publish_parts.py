"""Parts of a bundle on their own: the list of works, files without secrets, checksums."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import yaml

from alh2.config.public import public_machine, public_param
from alh2.publish.citations import all_works, bibliography, citation_file
from alh2.publish.sums import checksums, same_content

ROOT = Path(__file__).resolve().parents[2]


def test_works_are_complete_and_keys_differ() -> None:
    works = all_works()
    assert len({w.key for w in works}) == len(works) > 15
    for work in works:
        assert work.authors and all(re.fullmatch(r"[^,]+, [^,]+", name) for name in work.authors), work.key
        assert re.fullmatch(r"10\.\d{4,9}/\S+", work.doi) or work.url.startswith("https://"), work.key
        assert 1950 <= work.year <= 2026 and work.title and work.journal and work.used_for


def test_bibtex_is_balanced_and_escaped() -> None:
    text = bibliography(all_works())
    for entry in text.split("\n\n"):
        assert entry.count("{") == entry.count("}")
    assert r"Industrial \& Engineering" in text and "doi = {10.1021/ie4033999}" in text


def test_citation_file_has_what_the_format_requires() -> None:
    content = yaml.safe_load(citation_file(all_works(), title="T: x", version="1"))
    assert {"cff-version", "message", "title", "authors"} <= set(content)
    for reference in content["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert all(set(person) == {"family-names", "given-names"} for person in reference["authors"])


def test_machine_files_lose_hosts_users_and_accounts() -> None:
    for path in sorted((ROOT / "machines").glob("*.json")):
        shown = json.dumps(public_machine(json.loads(path.read_text())))
        assert not re.search(r"login\.|id_ed25519|scratch|/opt/|queue|#SBATCH|\"me\"", shown), path.name
        assert '"command"' in shown and '"batch_type"' in shown


def test_param_files_lose_the_notification_and_what_is_named_like_a_secret() -> None:
    raw = {
        "fp_params": {"api_key": "s3cret", "method": "GFN1-xTB"},
        "alh2": {"seed": 1, "notify": {"command": "curl x"}},
    }
    assert public_param(raw) == {"fp_params": {"method": "GFN1-xTB"}, "alh2": {"seed": 1}}


def test_checksums_cover_names_and_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "a file.txt").write_text("x")
    assert checksums(one) == f"{hashlib.sha256(b'x').hexdigest()}  deep/a file.txt\n"
    assert same_content(one, other)
    (other / "more").write_text("")
    assert not same_content(one, other) and not same_content(one, tmp_path / "absent")
