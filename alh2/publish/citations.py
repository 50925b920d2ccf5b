"""The works behind the methods a campaign used, as BibTeX and as a CITATION.cff.

The list is ``data/works.json``; what a campaign used follows from its param file and from the results it has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml

from alh2.campaign.context import Campaign

ALWAYS = ("Zeng2025", "Zhang2018", "Zhang2019", "Zhang2020", "Yuan2025", "Thompson2022", "Larsen2017")
XTB = {"GFN1-xTB": ("Grimme2017",), "GFN2-xTB": ("Bannwarth2019",)}
MONTE_CARLO = ("Leachman2009", "Bell2014", "Chodera2007", "Heidelberger1983")
_ESCAPES = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_"}


@dataclass(frozen=True)
class Work:
    """One publication; authors as "Family, Given"; used_for : what the campaign owes to it."""

    key: str
    used_for: str
    authors: tuple[str, ...]
    title: str
    journal: str
    year: int
    volume: str
    number: str
    pages: str
    doi: str
    url: str
    kind: str

    def bibtex(self) -> str:
        """The entry for BibTeX or biber (UTF-8), the title's capitals protected."""
        place = "booktitle" if self.kind == "inproceedings" else "journal"
        fields = {
            "author": " and ".join(self.authors),
            "title": "{" + self.title + "}",
            place: self.journal,
            "year": str(self.year),
            "volume": self.volume,
            "number": self.number,
            "pages": self.pages,
            "doi": self.doi,
            "url": self.url,
        }
        verbatim = ("doi", "url")
        rows = [f"  {k} = {{{v if k in verbatim else _escaped(v)}}}," for k, v in fields.items() if v]
        return "\n".join([f"% {self.used_for}", f"@{self.kind}{{{self.key},", *rows, "}"]) + "\n"

    def reference(self) -> dict[str, object]:
        """An entry of the list ``references`` of a CITATION.cff (version 1.2.0)."""
        people = [dict(zip(("family-names", "given-names"), a.split(", ", 1), strict=True)) for a in self.authors]
        entry: dict[str, object] = {
            "type": "conference-paper" if self.kind == "inproceedings" else "article",
            "title": self.title,
            "authors": people,
            "year": self.year,
            "notes": f"used for: {self.used_for}",
        }
        if self.kind == "inproceedings":
            entry["collection-title"] = self.journal
        else:
            entry["journal"] = self.journal
        start, _, end = self.pages.partition("--")
        known = {"volume": self.volume, "issue": self.number, "start": start, "end": end, "doi": self.doi}
        return entry | {k: v for k, v in (known | {"url": self.url}).items() if v}


def all_works() -> tuple[Work, ...]:
    """Every work of the list, in its order."""
    listed = json.loads((files("alh2.publish") / "data" / "works.json").read_text(encoding="utf-8"))
    return tuple(Work(**{**entry, "authors": tuple(entry["authors"])}) for entry in listed)


def used_works(campaign: Campaign) -> tuple[Work, ...]:
    """The works behind what `campaign` did and has results of."""
    param = campaign.param
    keys = set(ALWAYS)
    if param.raw.get("dp_compress"):
        keys.add("Lu2022")
    if param.label.style == "xtb":
        keys.update(XTB.get(str(param.label.params.get("method", "GFN1-xTB")), ()))
    if param.label.style == "vasp":
        keys.update(("Kresse1996", "Kresse1999"))
    if param.host is not None and param.host.build is not None:
        keys.add("Liu2024")
    if any(c.pair_baseline for c in param.committees):
        keys.add("Eilers1996")
    production = campaign.paths.production
    if param.explore.gcmc_jobs or (production / "isotherm" / "isotherm.json").exists():
        keys.update(MONTE_CARLO)
    if list((production / "isotherm").glob("*.pygaps.json")):
        keys.add("Iacomi2019")
    if (production / "md" / "md_runs.json").exists():
        keys.add("MichaudAgrawal2011")
    if (production / "md" / "diffusion.svg").exists():
        keys.update(("McCluskey2024", "McCluskey2025"))
    return tuple(work for work in all_works() if work.key in keys)


def bibliography(works: Sequence[Work]) -> str:
    """A BibTeX file of `works`, each with a line on what it was used for."""
    return "\n".join(work.bibtex() for work in works)


def citation_file(works: Sequence[Work], *, title: str, version: str) -> str:
    """A CITATION.cff of the bundle; its authors are for the people who publish it to fill in."""
    content = {
        "cff-version": "1.2.0",
        "message": "Cite this data set, and the methods it was made with (references; the same in CITATION.bib).",
        "type": "dataset",
        "title": title,
        "authors": [{"name": "write the names of the authors here"}],
        "abstract": f"Deep Potential models, labelled data, inputs and results of one campaign of alh2 {version}.",
        "references": [work.reference() for work in works],
    }
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return text


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)
