"""The page: complete, self-contained, accessible, escaped, and honest where stages are missing."""

from __future__ import annotations

import base64
import csv
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from alh2.assess.calibration import DeviationSample
from alh2.assess.samples import NamedSample
from alh2.assess.uncertainty import calibrate_committee
from alh2.report.figures_training import running_rms
from alh2.report.html import summary_picture, write_report
from alh2.report.model import InsertionErrors, IterationCalibration, LearningCurve, ReportData

SECTIONS = [
    "summary",
    "campaign",
    "learning",
    "accuracy",
    "insertion",
    "calibration",
    "selection",
    "coverage",
    "rdf",
    "density",
    "isotherm",
    "dynamics",
    "quarantine",
    "limits",
    "provenance",
]
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Every tag with its attributes, the text outside style and pre, and whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(written_report: Path) -> Path:
    return written_report


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text())


def resources(page: Page) -> Iterator[str]:
    """Everything a browser would fetch to show the page."""
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "data", "poster", "background"):
            if attributes.get(name):
                yield str(attributes[name])
        if tag == "link":
            yield str(attributes.get("href"))


def rows(written: Path, name: str) -> list[dict[str, str]]:
    with open(written.parent / "figures" / f"{name}.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def test_all_sections_in_order_and_reachable_by_keyboard(page: Page) -> None:
    assert [a["id"] for a in page.all("section")] == SECTIONS
    ids = {a["id"] for _, a in page.tags if a.get("id")}
    anchors = [str(a["href"])[1:] for a in page.all("a") if str(a["href"]).startswith("#")]
    assert anchors[0] == "content" and page.all("a")[0]["class"] == "skip"
    assert set(SECTIONS) < set(anchors) <= ids
    assert page.open == [] and len(page.all("h1")) == 1 and len(page.all("h2")) == len(SECTIONS)
    assert page.all("html")[0]["lang"] == "en"


SCRIPTS = ["view3d-library", "view3d-scenes", None]
"""Of the view in three dimensions, and nothing else."""


def scripts(page: Page) -> list[str | None]:
    return [a.get("id") for a in page.all("script")]


def test_nothing_is_loaded_from_elsewhere(page: Page, written: Path) -> None:
    found = list(resources(page))
    assert len(found) > 10 and all(uri.startswith("data:") for uri in found)
    text = re.sub(r"<script.*?</script>", "", written.read_text(), flags=re.DOTALL)
    assert scripts(page) == SCRIPTS and "@import" not in text and "url(" not in text and "://" not in text
    policy = next(str(a["content"]) for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';") and "http" not in policy and "*" not in policy
    for uri in found:
        if "svg" in uri:
            svg = base64.b64decode(uri.split(",", 1)[1]).decode()
            assert svg.startswith("<?xml") and "<svg" in svg
            assert all(link.startswith(("#", "data:")) for link in re.findall(r'xlink:href="([^"]*)"', svg))


def test_every_figure_has_alt_text_and_a_caption(page: Page, written: Path) -> None:
    images = page.all("img")
    assert len(images) == len(page.all("figure")) == len(page.all("figcaption")) == 23
    assert all(len(str(image["alt"])) > 40 for image in images)
    names = {str(a["id"]).removeprefix("figure-") for a in page.all("figure")}
    assert names == {path.stem for path in (written.parent / "figures").glob("*.svg")}
    links = [str(a["href"]) for a in page.all("a") if str(a["href"]).endswith(".csv")]
    assert links and all((written.parent / link).is_file() for link in links)
    assert len(links) == len(list((written.parent / "figures").glob("*.csv")))


def test_tables_have_scoped_headers(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption")) >= 9
    assert {a.get("scope") for a in page.all("th")} == {"col", "row"}


def test_numbers_behind_figures_read_back_equal(written: Path, report_data: ReportData) -> None:
    curves = [c for c in report_data.learning_curves if c.target == "total"]
    read = rows(written, "learning_total")
    assert [float(r["rmse_force_ev_ang"]) for r in read] == np.concatenate(
        [c.rmse_force_ev_ang for c in curves]
    ).tolist()
    assert [int(r["step"]) for r in read] == np.concatenate([c.steps for c in curves]).tolist()
    errors = report_data.insertions[-1]
    read = rows(written, "insertion_parity_interaction")
    assert [float(r["model_ev"]) for r in read] == errors.model_ev.tolist()
    assert [int(r["n_h2"]) for r in read] == errors.n_h2.tolist()
    last = [p for p in report_data.parities if p.target == "interaction" and p.iteration == 2]
    read = rows(written, "parity_interaction_energy")
    assert [float(r["energy_model_ev"]) for r in read] == np.concatenate([p.energy_model_ev for p in last]).tolist()
    rdf = report_data.rdfs[0]
    assert [float(r["g_error"]) for r in rows(written, "rdf")] == rdf.g_error.tolist()
    assert [float(r["n_adsorbed"]) for r in rows(written, "isotherm")] == [p.n_adsorbed for p in report_data.isotherm]
    verdicts = [v for i in range(3) for v in report_data.selections[i] if v.explored.kind == "gcmc"]
    read = rows(written, "deviation_gcmc")
    np.testing.assert_array_equal(
        [float(r["max_devi_f_ev_ang"]) for r in read], [v.explored.max_devi_f_ev_ang for v in verdicts]
    )
    assert [r["picked"] for r in read] == [str(int(v.picked)) for v in verdicts]


def test_numbers_behind_the_calibration_read_back_equal(written: Path, report_data: ReportData) -> None:
    data = next(c for c in report_data.calibrations if c.target == "interaction" and c.iteration == 2)
    sample = next(s.sample for s in data.samples if s.quantity == "largest force")
    read = [r for r in rows(written, "deviation_error_interaction") if r["quantity"] == "largest force"]
    assert [float(r["error"]) for r in read] == sample.error.tolist()
    assert [float(r["deviation"]) for r in read] == sample.deviation.tolist()
    calibration = data.calibration.calibration("insertion")
    assert calibration is not None
    for r in rows(written, "deviation_error_interaction_line"):
        if r["quantity"] == "insertion":
            assert float(r["rms_error"]) == float(calibration.sigma(float(r["deviation"])))
            assert float(r["half_width"]) == pytest.approx(float(calibration.half_width(float(r["deviation"]))))
    drift = [r for r in rows(written, "calibration_drift") if r["target"] == "interaction" and r["quantity"] == "force"]
    assert [int(r["iteration"]) for r in drift] == [0, 1, 2] and drift[0]["coverage_before"] == ""
    row = data.calibration.row("force")
    assert row is not None and row.coverage is not None and float(drift[2]["coverage"]) == row.coverage.fraction
    kinds = {(r["quantity"], r["sigma"]) for r in rows(written, "reliability_total")}
    assert kinds == {(q, k) for q in ("force", "energy", "insertion") for k in ("as it is", "calibrated")}


def test_selection_counts_add_up(written: Path, report_data: ReportData) -> None:
    read = rows(written, "selection")
    for iteration, verdicts in report_data.selections.items():
        of = [r for r in read if int(r["iteration"]) == iteration]
        for band in ("accurate", "candidate", "failed"):
            assert sum(int(r[band]) for r in of) == sum(v.band == band for v in verdicts)
        assert sum(int(r["picked"]) for r in of) == sum(v.picked for v in verdicts)


def test_page_shows_provenance_param_file_and_quarantine(page: Page) -> None:
    for text in ("deepmd-kit", "3.2.0", '"fp_style": "xtb"', "SCF not converged in 250 cycles", "GFN1-xTB"):
        assert text in page.text


def test_writing_again_gives_the_same_bytes(written: Path, report_data: ReportData, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(written.parent, tmp_path / "copy"))
    write_report(report_data, copy, for_paper=True)
    first = {p.relative_to(written.parent): p.read_bytes() for p in written.parent.rglob("*") if p.is_file()}
    second = {p.relative_to(copy): p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    assert first == second and len(first) > 20


def test_empty_campaign_says_so_everywhere(empty_data: ReportData, tmp_path: Path) -> None:
    page = Page(write_report(empty_data, tmp_path).read_text())
    assert [a["id"] for a in page.all("section")] == SECTIONS
    assert page.all("script") == [] and "script-src" not in (tmp_path / "index.html").read_text()
    assert page.all("img") == [] and page.text.lower().count("not yet reached") >= 6
    assert "No iteration has finished" in page.text
    assert not list(tmp_path.glob("figures/*"))


def test_hostile_strings_are_escaped(hostile_data: ReportData, tmp_path: Path) -> None:
    path = write_report(hostile_data, tmp_path)
    page = Page(path.read_text())
    assert scripts(page) == SCRIPTS and page.open == []
    assert all(uri.startswith("data:") for uri in resources(page))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert 'alert("x")' in page.text  # shown as text
    assert {p.parent for p in tmp_path.rglob("*") if p.is_file()} == {tmp_path, tmp_path / "figures"}


def _odd_calibration() -> IterationCalibration:
    """Two insertions, one whose models agree exactly; forces that deviate nowhere."""
    two = DeviationSample(np.array([0.0, 0.01]), np.array([0.02, -0.03]), np.arange(2))
    none = DeviationSample(np.zeros(90), 0.1 * np.ones(90), np.repeat(np.arange(30), 3))
    samples = (NamedSample("force", "all", None, none), NamedSample("insertion", "all", None, two))
    return IterationCalibration(0, "total", calibrate_committee("total", samples), samples)


def test_odd_data_still_renders(report_data: ReportData, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """One insertion, NaN models, an empty curve, a stuck run, a label like a formula, more iterations than fit."""
    one = np.array([0.1])
    nan = np.array([np.nan, 0.2])
    many = {i: report_data.selections[i % 3][::12] for i in range(14)}
    odd = replace(
        report_data,
        learning_curves=[LearningCurve(0, "total", 0, np.array([]), np.array([]), np.array([]))],
        parities=[replace(report_data.parities[0], energy_model_ev=np.full(40, np.nan))],
        calibrations=[_odd_calibration()],
        trust={},
        insertions=[
            InsertionErrors(0, "total", np.array([3]), one, one, np.array([0.0])),
            InsertionErrors(0, "interaction", np.array([1, 1]), np.zeros(2), nan, np.zeros(2)),
        ],
        rdfs=[replace(report_data.rdfs[0], label="_$x^$ 水", g_error=np.full_like(report_data.rdfs[0].g, np.nan))],
        isotherm=[replace(report_data.isotherm[0], n_adsorbed=0.0, n_adsorbed_error=0.0)],
        selections=many,
    )
    page = Page(write_report(odd, tmp_path).read_text())
    assert len(page.all("img")) == len(page.all("figure")) >= 9
    assert "Iterations 0 and 6 to 13 of 14" in page.text
    assert not [w for w in recwarn if "alh2" in str(w.filename) or "matplotlib" in str(w.filename)]


def test_summary_picture_is_one_png_of_the_stated_size(
    report_data: ReportData, empty_data: ReportData, tmp_path: Path
) -> None:
    from PIL import Image

    with Image.open(summary_picture(report_data, tmp_path / "a.png")) as picture:
        assert picture.size == (1600, 900)
        colours = len(picture.convert("RGB").getcolors(1 << 20) or [])
    with Image.open(summary_picture(empty_data, tmp_path / "b.png")) as picture:
        assert picture.size == (1600, 900)
        assert colours > 2 * len(picture.convert("RGB").getcolors(1 << 20) or [])


def test_global_matplotlib_state_is_untouched(empty_data: ReportData, report_data: ReportData, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    summary_picture(report_data, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def test_predictions_are_shown_with_where_they_come_from(page: Page) -> None:
    for text in (
        "made by “alh2 produce md quickstart” with root seed 1",
        "production/md/md_runs.json; how it was made was not recorded",
        "1.9e-09",
        "Activation energy of diffusion 4.30 ± 0.2 kJ/mol",
        "Ended early: 77K.r1: H2 bond 1.4 Å",
        "300 ± 12",
        "half of them keep to",
    ):
        assert text in page.text, text


def test_figures_lie_beside_the_page_for_paper(written: Path) -> None:
    from PIL import Image

    folder = written.parent / "figures"
    assert {p.stem for p in folder.glob("*.png")} == {p.stem for p in folder.glob("*.svg")}
    with Image.open(folder / "density_77K.png") as picture:
        assert picture.size[0] == 2100  # 7 inches at 300 dpi


def test_levels_of_training_are_means_of_squares() -> None:
    """Two models at the same steps; a window of an eighth of all steps around each."""
    steps = np.tile(np.arange(0.0, 1700.0, 100.0), 2)
    values = np.where(steps < 800.0, 3.0, 1.0)
    values[0], values[17] = 5.0, 1.0
    at, level = running_rms(steps, values)
    assert at.tolist() == np.arange(0.0, 1700.0, 100.0).tolist()
    assert level[0] == pytest.approx(np.sqrt((25.0 + 1.0 + 9.0 + 9.0) / 4.0))
    assert level[4] == 3.0 and level[-1] == 1.0
    assert level[8] == pytest.approx(np.sqrt((9.0 + 1.0 + 1.0) / 3.0))
