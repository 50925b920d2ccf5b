"""Figures as files: SVG, PNG, CSV and a caption beside each other, for people and for the report that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from alh2.core.errors import BadInputError
from alh2.core.files import atomic_write_bytes, atomic_write_json, atomic_write_text, read_json_as
from alh2.report.figures_common import ReportFigure, png_bytes, style, svg_bytes

PNG_DPI = 300
"""Journals ask for so many at the width of a column."""

TABLE_SUFFIX, RECORD_SUFFIX = ".figure.csv", ".figure.json"


@dataclass(frozen=True)
class DrawnTable:
    """Numbers behind a figure as CSV text."""

    name: str
    text: str


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as bytes, png empty where it was not asked for; the other fields are those of `ReportFigure`."""

    name: str
    caption: str
    alt: str
    svg: bytes
    png: bytes
    tables: tuple[DrawnTable, ...]
    wide: bool = False


@dataclass(frozen=True)
class _Record:
    """Content of ``NAME.figure.json``; tables : names of the CSV files, without their suffix."""

    name: str
    caption: str
    alt: str
    tables: tuple[str, ...]
    wide: bool


def drawn(figure: ReportFigure, *, for_paper: bool = True) -> DrawnFigure:
    """`figure` as bytes: same figure, same bytes; for_paper : as PNG too, which takes as long again."""
    with style():
        svg = svg_bytes(figure.figure)
        figure.figure.set_layout_engine("none")  # it is laid out, which takes longer than drawing
        png = png_bytes(figure.figure, dpi=PNG_DPI) if for_paper else b""
    tables = tuple(DrawnTable(table.name, table.csv()) for table in figure.tables)
    return DrawnFigure(figure.name, figure.caption, figure.alt, svg, png, tables, figure.wide)


def save_figure(figure: ReportFigure, directory: Path) -> list[Path]:
    """Write SVG, PNG, each table as CSV, and what the report says of the figure; returns the paths."""
    made = drawn(figure)
    paths = [directory / f"{figure.name}.svg", directory / f"{figure.name}.png"]
    atomic_write_bytes(paths[0], made.svg)
    atomic_write_bytes(paths[1], made.png)
    for table in made.tables:
        paths.append(directory / f"{table.name}{TABLE_SUFFIX}")
        atomic_write_text(paths[-1], table.text)
    record = _Record(made.name, made.caption, made.alt, tuple(table.name for table in made.tables), made.wide)
    paths.append(directory / f"{figure.name}{RECORD_SUFFIX}")
    atomic_write_json(paths[-1], asdict(record))
    return paths


def read_figures(directory: Path, *, prefix: str, leave_out: Sequence[str] = ()) -> list[DrawnFigure]:
    """Figures that `save_figure` left in `directory`, by name, renamed with `prefix`.

    leave_out : beginnings of names that are not wanted. Raises BadInputError for files of another kind.
    """
    found = []
    for path in sorted(directory.glob(f"*{RECORD_SUFFIX}")):
        record = read_json_as(path, _Record)
        if record.name.startswith(tuple(leave_out)):
            continue
        try:
            svg, png = ((directory / f"{record.name}{suffix}").read_bytes() for suffix in (".svg", ".png"))
            tables = [DrawnTable(prefix + n, (directory / f"{n}{TABLE_SUFFIX}").read_text()) for n in record.tables]
        except OSError as error:
            raise BadInputError(str(path), expected="the files of this figure", found=str(error)) from None
        found.append(
            DrawnFigure(prefix + record.name, record.caption, record.alt, svg, png, tuple(tables), record.wide)
        )
    return found
