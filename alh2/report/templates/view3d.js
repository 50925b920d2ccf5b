// The view of densities in three dimensions: Plotly is unpacked when it is first asked for.
(() => {
  "use strict";
  const root = document.getElementById("view3d");
  const button = root.querySelector("button");
  const select = root.querySelector("select");
  const stage = root.querySelector(".stage");
  const status = root.querySelector(".status");
  const scenes = JSON.parse(document.getElementById("view3d-scenes").textContent);
  const say = (state, words) => { root.dataset.state = state; status.textContent = words; };
  let camera = { eye: { x: 1.25, y: 0.7, z: 0.55 } };

  const hasWebgl = () => {
    try {
      const canvas = document.createElement("canvas");
      return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
    } catch (error) {
      return false;
    }
  };

  const unpack = async () => {
    if (window.Plotly) return;
    const packed = document.getElementById("view3d-library").textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  const draw = async () => {
    const scene = scenes[Number(select.value)];
    const axis = { visible: false };
    const layout = {
      margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "#ffffff", uirevision: "kept",
      legend: { orientation: "h", y: 0, font: { size: 13 } },
      scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "data", camera },
    };
    await window.Plotly.react(stage, scene.traces, layout, { displaylogo: false, responsive: true });
    stage.setAttribute("aria-label", scene.words + " Arrow keys turn the view, plus and minus zoom.");
    say("drawn", "Drag, or use the arrow keys, to turn; wheel or + and − to zoom; a click in the legend hides a part.");
  };

  const start = async () => {
    if (!hasWebgl() || typeof DecompressionStream === "undefined") {
      say("missing", "This browser cannot draw in three dimensions (WebGL is missing): the pictures show the same.");
      return;
    }
    button.disabled = true;
    say("loading", "Drawing …");
    try {
      await unpack();
      stage.hidden = false;
      select.parentElement.hidden = scenes.length < 2;
      await draw();
      button.hidden = true;
      stage.focus();
    } catch (error) {
      stage.hidden = true;
      button.disabled = false;
      say("missing", "The view could not be drawn (" + error.message + "): the pictures show the same.");
    }
  };

  const turned = (eye, around, tilt, zoom) => {
    const radius = Math.hypot(eye.x, eye.y, eye.z) * zoom;
    const azimuth = Math.atan2(eye.y, eye.x) + around;
    const height = Math.asin(eye.z / Math.hypot(eye.x, eye.y, eye.z)) + tilt;
    const bounded = Math.max(-1.5, Math.min(1.5, height));
    return {
      x: radius * Math.cos(bounded) * Math.cos(azimuth),
      y: radius * Math.cos(bounded) * Math.sin(azimuth),
      z: radius * Math.sin(bounded),
    };
  };

  const moves = {
    ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1],
    "+": [0, 0, 0.9], "=": [0, 0, 0.9], "-": [0, 0, 1 / 0.9],
  };

  stage.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || root.dataset.state !== "drawn") return;
    event.preventDefault();
    const now = stage._fullLayout.scene._scene.getCamera();
    camera = { ...now, eye: turned(now.eye, move[0], move[1], move[2]) };
    window.Plotly.relayout(stage, { "scene.camera": camera });
  });
  button.addEventListener("click", start);
  select.addEventListener("change", draw);
  button.hidden = false;
})();
