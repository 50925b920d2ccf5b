"""The view in three dimensions in a real browser: offline, by mouse and keyboard; a sentence without WebGL."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)"),
]

FLAGS = (
    "--headless --no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-dev-shm-usage --enable-logging=stderr --v=0 --dump-dom --virtual-time-budget=60000"
).split()

PRESS = """<script>
const view = document.getElementById("view3d");
const note = (name, value) => document.body.setAttribute("data-" + name, value);
addEventListener("load", () => view.querySelector("button").click());
new MutationObserver(() => {
  note("state", view.dataset.state);
  if (view.dataset.state !== "drawn" || document.body.dataset.canvases) return;
  const stage = view.querySelector(".stage");
  note("canvases", stage.querySelectorAll("canvas").length);
  const eye = () => JSON.stringify(stage._fullLayout.scene.camera.eye);
  const before = eye();
  stage.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
  setTimeout(() => { note("turned", eye() !== before); note("focused", document.activeElement === stage); }, 300);
}).observe(view, { attributes: true });
</script></body>"""


def pressed(written_report: Path, folder: Path, *options: str) -> tuple[dict[str, str], str, list[str]]:
    """The page after its button was pressed: what was noted, words of the status line, lines of the console."""
    probe = folder / "probe.html"
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    text = written_report.read_text()
    assert policy.search(text)  # stays in force in the probe
    probe.write_text(text.replace("</body>", PRESS))
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", *options, probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    body = re.search(r"<body([^>]*)>", done.stdout)
    status = re.search(r'class="status"[^>]*>([^<]*)<', done.stdout)
    assert body is not None and status is not None
    noted = dict(re.findall(r'data-(\w+)="([^"]*)"', body[1]))
    return noted, status[1], [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_button_draws_the_scene_offline_and_keys_turn_it(written_report: Path, tmp_path: Path) -> None:
    noted, status, console = pressed(
        written_report, tmp_path, "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"
    )
    if noted.get("state") == "missing" and "WebGL is missing" in status:
        pytest.skip("this chromium has no software WebGL")
    assert noted.get("state") == "drawn", (noted, status, console)
    assert int(noted["canvases"]) >= 1 and noted["focused"] == "true" and noted["turned"] == "true"
    advice = ("WebGL", "GPU", "willReadFrequently")  # of the browser, on speed
    assert [line for line in console if not any(word in line for word in advice)] == []


def test_without_webgl_a_sentence_stands_there_and_the_console_is_silent(written_report: Path, tmp_path: Path) -> None:
    noted, status, console = pressed(written_report, tmp_path, "--disable-gpu", "--disable-3d-apis")
    assert noted["state"] == "missing" and "WebGL is missing" in status and "pictures show the same" in status
    assert console == []
