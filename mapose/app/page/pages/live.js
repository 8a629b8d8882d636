// A live run: pictures with poses, the animals in space, the latency of each stage, what was lost.
import { html, useEffect, useRef, useState } from "../parts/dom.js";
import { get, getBlob, name } from "../parts/api.js";
import { drawLimb, drawMark, drawName } from "../parts/marks.js";
import { hue } from "../parts/palette.js";
import { KeysHelp, useShortcuts } from "../parts/shortcuts.js";

const EVERY = 100, PAST = 240;

export function Live() {
  const [state, setState] = useState(null);
  const [paused, setPaused] = useState(false);
  const [help, setHelp] = useState(false);
  const ages = useRef([]), turn = useRef({ yaw: -0.7, pitch: 0.5 });
  useEffect(() => {
    let over = false, timer = 0;
    const ask = async () => {
      try {
        const found = await get("/api/live");
        if (over) return;
        const answer = found.answer;
        if (answer && answer.number !== ages.current.at(-1)?.number) {
          ages.current = [...ages.current.slice(1 - PAST), { number: answer.number, age: 1000 * answer.age }];
        }
        setState(found);
      } catch { /* the line above says that the server is gone */ }
      if (!over) timer = setTimeout(ask, EVERY);
    };
    if (!paused) ask();
    return () => { over = true; clearTimeout(timer); };
  }, [paused]);
  const keys = [
    ["Space", "hold the picture, or go on", () => setPaused(!paused), "View"],
    ["ArrowLeft", "turn the scene to the left", () => { turn.current.yaw -= 0.1; setState({ ...state }); }, "View"],
    ["ArrowRight", "turn the scene to the right", () => { turn.current.yaw += 0.1; setState({ ...state }); }, "View"],
    ["ArrowUp", "from higher up", () => { turn.current.pitch = Math.min(1.55, turn.current.pitch + 0.1); setState({ ...state }); }, "View"],
    ["ArrowDown", "from lower down", () => { turn.current.pitch = Math.max(-0.2, turn.current.pitch - 0.1); setState({ ...state }); }, "View"],
    ["?", "all keys", () => setHelp(true), "View"],
  ];
  useShortcuts(state ? keys : []);
  if (!state) return html`<p class="wait">Waiting for the first answer</p>`;
  const { answer, report, ended } = state;
  if (!answer) return html`<div class="sheet"><h1>Live</h1><p class="wait">${ended ? "The run has ended without an answer." : "Waiting for the cameras"}</p></div>`;
  const cameras = Object.keys(answer.views), inSpace = answer.unit !== "px";
  const lost = Object.entries(report?.lost ?? {});
  return html`<div class="live"><h1 class="unseen">Live</h1>
    <div class="live-views" style=${{ gridTemplateColumns: `repeat(${Math.ceil(Math.sqrt(cameras.length + inSpace))}, minmax(0, 1fr))` }}>${cameras.map((camera) => html`<${Picture} key=${camera} camera=${camera} answer=${answer} />`)}
      ${inSpace && html`<${Space} answer=${answer} turn=${turn.current} />`}</div>
    <aside class="side live-side">
      <section><h2>Now</h2><p class="live-big"><b>${(1000 * answer.age).toFixed(0)}</b> ms <span class="facts">after the exposure</span></p>
        <p><b>${report ? report.rate.toFixed(1) : "–"}</b> <span class="facts">sets per second</span> · <b>${report?.answered ?? 0}</b> <span class="facts">answered</span></p>
        <${Ages} ages=${ages.current} />
        <p class="facts">${ended ? "The run has ended." : paused ? "The picture is held; the run goes on." : ""}</p>
        <button onClick=${() => setPaused(!paused)} aria-pressed=${String(paused)}>${paused ? "Go on" : "Hold"} <kbd>Space</kbd></button></section>
      <section><h2>Animals</h2><table><tbody>${Object.entries(answer.individuals).map(([who, a], n) => html`<tr>
        <td><span class="live-dot" style=${{ background: hue(n) }}></span>${who}</td>
        <td>${a.points.some((p) => p.every((v) => v != null)) ? `${a.points.filter((p) => p.every((v) => v != null)).length} of ${a.points.length} points` : "not seen"}</td>
      </tr>`)}</tbody></table></section>
      <section><h2>Latency, ms</h2>${report && html`<table><thead><tr><th>stage</th><th>p50</th><th>p95</th><th>p99</th><th>longest</th></tr></thead><tbody>
        ${Object.entries(report.latency_ms).map(([stage, t]) => html`<tr><td>${stage}</td>${["p50", "p95", "p99", "longest"].map((k) => html`<td>${t[k].toFixed(t[k] < 10 ? 1 : 0)}</td>`)}</tr>`)}</tbody></table>`}</section>
      <section><h2>Lost</h2>${lost.length ? html`<table><tbody>${lost.map(([what, count]) => html`<tr><td>${what}</td><td>${count}</td></tr>`)}</tbody></table>` : html`<p class="facts">nothing</p>`}</section>
    </aside>
    ${help && html`<${KeysHelp} keys=${keys} onClose=${() => setHelp(false)} />`}</div>`;
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = canvas;
  canvas.width = w * ratio; canvas.height = h * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return [context, w, h];
}

const there = (p) => p && p[0] != null && p[1] != null;

// The picture and the poses on it are of the same set: both are drawn when both are there.
function Picture({ camera, answer }) {
  const canvas = useRef();
  useEffect(() => {
    let over = false;
    getBlob(`/live/${name(camera)}/${answer.number}`).then(createImageBitmap).then((image) => {
      if (!over && canvas.current) paint(canvas.current, image, answer, camera);
    }).catch(() => { /* it is gone: the next one comes */ });
    return () => { over = true; };
  }, [camera, answer.number]);
  return html`<figure class="live-view"><figcaption>${camera}</figcaption><div class="stage"><canvas ref=${canvas} aria-label=${`what ${camera} sees`}></canvas></div></figure>`;
}

function paint(canvas, image, answer, camera) {
  const [context, w, h] = fit(canvas), { size, points } = answer.views[camera];
  const zoom = Math.min(w / size[0], h / size[1]), x0 = (w - zoom * size[0]) / 2, y0 = (h - zoom * size[1]) / 2;
  context.drawImage(image, x0, y0, zoom * size[0], zoom * size[1]);
  const place = ([x, y]) => [x0 + zoom * (x + 0.5), y0 + zoom * (y + 0.5)];
  points.forEach((animal, n) => drawAnimal(context, animal.map((p) => there(p) ? place(p) : null), answer, n));
}

function drawAnimal(context, points, answer, n) {
  for (const [a, b] of answer.edges) if (points[a] && points[b]) drawLimb(context, points[a], points[b], hue(n));
  const seen = points.filter(Boolean);
  for (const p of seen) drawMark(context, ...p, { colour: hue(n), kind: "model", radius: 3 });
  if (!seen.length) return;
  const x = seen.reduce((sum, p) => sum + p[0], 0) / seen.length;
  drawName(context, Object.keys(answer.individuals)[n], x, Math.max(22, Math.min(...seen.map((p) => p[1])) - 8), hue(n));
}

// Where the animals are now, as predicted, seen from outside, on the floor where they have been; cameras as pyramids.
function Space({ answer, turn }) {
  const canvas = useRef();
  useEffect(() => {
    const [context, w, h] = fit(canvas.current), animals = Object.values(answer.individuals).map((a) => a.predicted);
    const seen = animals.flat().filter((p) => p.every((v) => v != null));
    if (!seen.length && !turn.low) return;
    // The box follows slowly, so that a stray point does not shrink the scene for good.
    [["low", Math.min], ["high", Math.max]].forEach(([side, most]) => {
      turn[side] = [0, 1, 2].map((a) => {
        const now = most(...seen.map((p) => p[a])), old = turn[side]?.[a];
        return old == null ? now : Number.isFinite(now) ? old + (now - old) * (most(now, old) === now ? 0.2 : 0.01) : old;
      });
    });
    const { low, high } = turn;
    const middle = low.map((v, a) => (v + high[a]) / 2), zoom = 0.8 * Math.min(w, h) / Math.hypot(...low.map((v, a) => high[a] - v));
    const [cy, sy, cp, sp] = [Math.cos(turn.yaw), Math.sin(turn.yaw), Math.cos(turn.pitch), Math.sin(turn.pitch)];
    const place = (p) => {
      const [x, y, z] = p.map((v, a) => v - middle[a]);
      const u = cy * x + sy * y, v = -sy * x + cy * y;
      return [w / 2 + zoom * u, h / 2 - zoom * (sp * v + cp * z)];
    };
    const style = getComputedStyle(canvas.current);
    context.strokeStyle = style.getPropertyValue("--soft"); context.lineWidth = 1;
    context.strokeStyle = style.getPropertyValue("--edge");
    context.beginPath();
    for (let n = 0; n <= 6; n++) {
      const [x, y] = [0, 1].map((a) => low[a] + (high[a] - low[a]) * n / 6);
      context.moveTo(...place([x, low[1], low[2]])); context.lineTo(...place([x, high[1], low[2]]));
      context.moveTo(...place([low[0], y, low[2]])); context.lineTo(...place([high[0], y, low[2]]));
    }
    context.stroke();
    context.strokeStyle = style.getPropertyValue("--soft");
    for (const { name: told, corners } of answer.cameras) {
      const [tip, ...rim] = corners.map(place);
      context.beginPath();
      for (const p of rim) { context.moveTo(...tip); context.lineTo(...p); }
      rim.forEach((p, i) => { context.moveTo(...p); context.lineTo(...rim[(i + 1) % 4]); });
      context.stroke();
      context.fillStyle = style.getPropertyValue("--soft"); context.font = "12px system-ui, sans-serif"; context.fillText(told, tip[0] + 6, tip[1] - 6);
    }
    animals.forEach((points, n) => drawAnimal(context, points.map((p) => p.every((v) => v != null) ? place(p) : null), answer, n));
  }, [answer.number, turn.yaw, turn.pitch]);
  const press = (event) => {
    const from = [event.clientX, event.clientY], begin = { ...turn }, target = event.currentTarget;
    target.setPointerCapture(event.pointerId);
    const move = (e) => { turn.yaw = begin.yaw - (e.clientX - from[0]) / 150; turn.pitch = Math.min(1.55, Math.max(-0.2, begin.pitch + (e.clientY - from[1]) / 150)); };
    const lift = () => { target.removeEventListener("pointermove", move); target.removeEventListener("pointerup", lift); };
    target.addEventListener("pointermove", move); target.addEventListener("pointerup", lift);
  };
  return html`<figure class="live-view"><figcaption>in space, now (${answer.unit})</figcaption><div class="stage" onPointerDown=${press}><canvas ref=${canvas} aria-label="animals in space"></canvas></div></figure>`;
}

// How old the last answers were.
function Ages({ ages }) {
  const canvas = useRef();
  useEffect(() => {
    const [context, w, h] = fit(canvas.current), style = getComputedStyle(canvas.current);
    const most = Math.max(50, ...ages.map((a) => a.age)), y = (v) => h - 2 - (h - 16) * v / most;
    context.strokeStyle = style.getPropertyValue("--edge"); context.beginPath(); context.moveTo(0, y(0)); context.lineTo(w, y(0)); context.stroke();
    context.fillStyle = style.getPropertyValue("--soft"); context.font = "11px system-ui, sans-serif"; context.textBaseline = "top";
    context.fillText(`${Math.round(most)} ms`, 0, 0);
    context.strokeStyle = style.getPropertyValue("--accent"); context.lineWidth = 1.5; context.beginPath();
    ages.forEach((a, n) => context[n ? "lineTo" : "moveTo"](w * (n + PAST - ages.length) / PAST, y(a.age)));
    context.stroke();
  }, [ages.length, ages.at(-1)?.number]);
  return html`<canvas class="live-ages" ref=${canvas} role="img" aria-label="latency of the last answers"></canvas>`;
}
