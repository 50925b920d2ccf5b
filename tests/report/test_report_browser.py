"""The page in a real headless browser: it draws, loads every picture, and logs nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)"),
]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --v=0"
).split()

COUNT_IMAGES = """<script>
addEventListener("load", () => {
  const all = [...document.images];
  const good = all.filter(i => i.complete && i.naturalWidth > 50 && i.clientWidth > 50);
  document.body.setAttribute("data-images", good.length + "/" + all.length);
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.body.setAttribute("data-overflow", wide);
});
</script></body>"""


def browse(page: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """Open `page`; returns what the browser printed and the lines of its console."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_screenshot_is_drawn_and_the_console_is_silent(written_report: Path, tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "page.png"
    _, console = browse(written_report, tmp_path / "profile", f"--screenshot={picture}", "--window-size=1200,9000")
    assert console == []
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (9000, 1200, 3)
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    assert np.unique(packed[::3]).size > 500
    for top in range(0, 9000, 1000):  # no blank stretch: text, tables or figures everywhere
        assert (pixels[top : top + 1000] < 128).any(axis=-1).sum() > 500, f"blank at {top}"


def test_every_picture_loads_and_a_phone_needs_no_sideways_scrolling(written_report: Path, tmp_path: Path) -> None:
    probe = tmp_path / "probe.html"  # alone: figures must come from the page itself
    probe.write_text(written_report.read_text().replace("</body>", COUNT_IMAGES))
    dom, console = browse(
        probe, tmp_path / "profile", "--dump-dom", "--window-size=520,900", "--virtual-time-budget=4000"
    )
    assert console == []
    assert 'data-images="23/23"' in dom
    assert 'data-overflow="0"' in dom


def test_this_check_would_notice_an_error_and_a_missing_picture(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text("<!DOCTYPE html><body><img src='absent.png' alt=''><script>boom()</script>" + COUNT_IMAGES)
    dom, console = browse(bad, tmp_path / "profile", "--dump-dom", "--virtual-time-budget=4000")
    assert any("boom is not defined" in line for line in console)
    assert 'data-images="0/1"' in dom
