// A scene in space, by our own projection on a canvas: drag turns it, the wheel zooms, it plays.
import { html, useEffect, useRef, useState } from "../parts/dom.js";
import { get, getBytes } from "../parts/api.js";
import { keepPainted } from "../parts/canvas.js";
import { sayFault } from "../parts/store.js";
import { drawName } from "../parts/marks.js";
import { KeysHelp, useShortcuts } from "../parts/shortcuts.js";
import { tellClock } from "../parts/lanes.js";
import { unpack } from "../parts/poses.js";

const WINDOW = 256, TRAIL = 60;

export function Scene({ place }) {
  const [scene, setScene] = useState(null);
  const [frame, setFrame] = useState(0);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const [look, setLook] = useState({ trails: true, cameras: true, spread: true });
  const [help, setHelp] = useState(false);
  const canvas = useRef(), state = useRef({ yaw: -0.7, pitch: 0.5, zoom: 1, pan: [0, 0], windows: new Map(), asked: 0 });

  const repaint = () => {
    const s = state.current;
    if (s.asked) return;
    s.asked = requestAnimationFrame(() => { s.asked = 0; if (s.scene) paint(canvas.current, s); });
  };
  Object.assign(state.current, { look, repaint, place });

  useEffect(() => {
    const s = state.current;
    get(`/api/scene/${place}`).then((found) => { s.scene = found; s.frame = found.first; setScene(found); setFrame(found.first); repaint(); }).catch(sayFault);
    const leave = keepPainted(canvas.current, repaint);
    return () => { leave(); cancelAnimationFrame(s.asked); cancelAnimationFrame(s.tick); };
  }, [place]);
  useEffect(repaint, [look]);

  const go = (to) => {
    const s = state.current;
    s.frame = Math.min(Math.max(Math.round(to), s.scene.first), s.scene.last);
    setFrame(s.frame);
    repaint();
  };
  const toggle = () => {
    const s = state.current;
    if (s.playing) { s.playing = false; cancelAnimationFrame(s.tick); setPlaying(false); return; }
    s.playing = true;
    setPlaying(true);
    let before = performance.now(), at = s.frame;
    const tick = (now) => {
      if (!s.playing) return;
      at += (now - before) / 1000 * (s.scene.rate || 25) * s.speed;
      before = now;
      if (at > s.scene.last) at = s.scene.first;
      if (Math.floor(at) !== s.frame) go(Math.floor(at));
      s.tick = requestAnimationFrame(tick);
    };
    s.tick = requestAnimationFrame(tick);
  };
  state.current.speed = speed;
  const fit = () => { Object.assign(state.current, { yaw: -0.7, pitch: 0.5, zoom: 1, pan: [0, 0] }); repaint(); };
  const turn = (yaw, pitch) => { const s = state.current; s.yaw += yaw; s.pitch = Math.min(1.55, Math.max(-1.55, s.pitch + pitch)); repaint(); };
  // Look from where a camera stands.
  const stand = (n) => {
    const s = state.current, camera = s.scene.cameras[n];
    if (!camera) return;
    const [x, y, z] = camera.corners[0].map((v, a) => v - middle(s.scene)[a]);
    s.yaw = Math.atan2(x, -y); s.pitch = Math.atan2(z, Math.hypot(x, y)); s.pan = [0, 0];
    repaint();
  };
  const keys = [
    ["Space", "play or stop", toggle, "Time"], ["D", "next frame", () => go(frame + 1), "Time"], ["A", "frame before", () => go(frame - 1), "Time"],
    ["Shift+D", "ten frames on", () => go(frame + 10), "Time"], ["Shift+A", "ten frames back", () => go(frame - 10), "Time"],
    ["L", "faster", () => setSpeed(Math.min(32, speed * 2)), "Time"], ["J", "slower", () => setSpeed(Math.max(0.125, speed / 2)), "Time"],
    ["ArrowLeft", "turn to the left", () => turn(-0.1, 0), "View"], ["ArrowRight", "turn to the right", () => turn(0.1, 0), "View"],
    ["ArrowUp", "from higher up", () => turn(0, 0.1), "View"], ["ArrowDown", "from lower down", () => turn(0, -0.1), "View"],
    ["+ =", "nearer", () => { state.current.zoom *= 1.2; repaint(); }, "View"], ["-", "farther", () => { state.current.zoom /= 1.2; repaint(); }, "View"],
    ["1 2 3 4 5 6 7 8 9", "from where a camera stands", (e) => stand(+e.key - 1), "View"], ["F", "fit", fit, "View"],
    ["R", "trails", () => setLook({ ...look, trails: !look.trails }), "Shown"], ["C", "cameras", () => setLook({ ...look, cameras: !look.cameras }), "Shown"],
    ["U", "uncertainty", () => setLook({ ...look, spread: !look.spread }), "Shown"], ["?", "all keys", () => setHelp(true), "Shown"],
  ];
  useShortcuts(scene ? keys : []);
  const press = (event) => {
    const s = state.current, from = [event.clientX, event.clientY], begin = { yaw: s.yaw, pitch: s.pitch, pan: s.pan };
    event.currentTarget.setPointerCapture(event.pointerId);
    const move = (e) => {
      const dx = e.clientX - from[0], dy = e.clientY - from[1];
      if (event.button === 0 && !event.shiftKey) { s.yaw = begin.yaw - dx / 150; s.pitch = Math.min(1.55, Math.max(-1.55, begin.pitch + dy / 150)); }
      else s.pan = [begin.pan[0] + dx, begin.pan[1] + dy];
      repaint();
    };
    const lift = (e) => { e.currentTarget.removeEventListener("pointermove", move); e.currentTarget.removeEventListener("pointerup", lift); };
    event.currentTarget.addEventListener("pointermove", move); event.currentTarget.addEventListener("pointerup", lift);
  };
  return html`<div class="scene"><h1 class="unseen">Scene in space</h1>
    <div class="stage" tabindex="0" role="application" aria-label="scene in space; ? lists all keys" onPointerDown=${press} onContextMenu=${(e) => e.preventDefault()}
      onWheel=${(e) => { e.preventDefault(); state.current.zoom = Math.min(40, Math.max(0.1, state.current.zoom * Math.exp(-e.deltaY / 400))); repaint(); }}>
      <canvas ref=${canvas}></canvas></div>
    <div class="below"><div class="bar-row"><button onClick=${toggle} disabled=${!scene}>${playing ? "Stop" : "Play"} <kbd>Space</kbd></button>
      <input type="range" aria-label="frame" min=${scene?.first ?? 0} max=${scene?.last ?? 0} value=${frame} onInput=${(e) => go(+e.target.value)} />
      <span class="number">${scene ? html`frame <b>${frame}</b> of ${scene.last}${scene.rate ? html` <span class="facts">${tellClock(frame / scene.rate, true)}</span>` : ""}` : "opening"}</span>
      <span class="facts">${speed}×</span>
      ${[["trails", "R"], ["cameras", "C"], ["spread", "U"]].map(([name, k]) => html`<button aria-pressed=${String(look[name])} onClick=${() => setLook({ ...look, [name]: !look[name] })}>${name === "spread" ? "uncertainty" : name} <kbd>${k}</kbd></button>`)}
      <button onClick=${() => setHelp(true)}>Keys <kbd>?</kbd></button></div></div>
    ${help && html`<${KeysHelp} keys=${[...keys, ["Drag", "turn", null, "Mouse"], ["Shift+Drag", "move", null, "Mouse"], ["Wheel", "nearer, farther", null, "Mouse"]]} onClose=${() => setHelp(false)} />`}
  </div>`;
}

const middle = ({ box }) => box[0].map((low, a) => (low + box[1][a]) / 2);

function find(s, frame) {
  const number = Math.floor(frame / WINDOW);
  for (const n of [number, number + 1]) {
    if (s.windows.has(n) || n * WINDOW > s.scene.last) continue;
    const slot = {};
    s.windows.set(n, slot);
    getBytes(`/scene/${s.place}?first=${n * WINDOW}&count=${WINDOW}`).then((buffer) => {
      const [header, at] = unpack(buffer), size = header.count * header.animals * header.keypoints;
      Object.assign(slot, header, { points: new Float32Array(buffer, at, 3 * size), spread: new Float32Array(buffer, at + 12 * size, size), there: true });
      s.repaint();
    }).catch(() => s.windows.delete(n));
    if (s.windows.size > 20) s.windows.delete(s.windows.keys().next().value);
  }
  const found = s.windows.get(number);
  return found?.there ? found : null;
}

// Perspective from a turning eye; gives the place on the canvas, the scale there, and the depth.
function makeEye(s, width, height) {
  const centre = middle(s.scene), size = Math.max(...s.scene.box[1].map((high, a) => high - s.scene.box[0][a]), 1e-6);
  const away = 2.6 * size, focal = s.zoom * 1.2 * Math.min(width, height) * away / (1.35 * size);
  const [cy, sy, cp, sp] = [Math.cos(s.yaw), Math.sin(s.yaw), Math.cos(s.pitch), Math.sin(s.pitch)];
  return (p) => {
    const [x, y, z] = [p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]];
    const right = cy * x + sy * y, ahead = -sy * x + cy * y, up = z;
    const depth = away + ahead * cp - up * sp;
    if (depth < 0.05 * away) return null;
    const scale = focal / depth;
    return [width / 2 + s.pan[0] + right * scale, height / 2 + s.pan[1] - (up * cp + ahead * sp) * scale, scale, depth];
  };
}

function paint(canvas, s) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, { scene, look } = s;
  canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas), eye = makeEye(s, width, height);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  const [edge, soft] = ["--edge", "--soft"].map((n) => style.getPropertyValue(n));
  const line = (a, b, colour, size, alpha = 1) => {
    const p = eye(a), q = eye(b);
    if (!p || !q) return;
    context.globalAlpha = alpha; context.strokeStyle = colour; context.lineWidth = size;
    context.beginPath(); context.moveTo(p[0], p[1]); context.lineTo(q[0], q[1]); context.stroke(); context.globalAlpha = 1;
  };
  const { step, floor } = scene, low = scene.box[0].map((v) => Math.floor(v / step - 0.5) * step), high = scene.box[1].map((v) => Math.ceil(v / step + 0.5) * step);
  for (let x = low[0]; x <= high[0] + step / 2; x += step) line([x, low[1], floor], [x, high[1], floor], edge, 1);
  for (let y = low[1]; y <= high[1] + step / 2; y += step) line([low[0], y, floor], [high[0], y, floor], edge, 1);
  const corner = eye([low[0] + step / 2, low[1], floor]);
  context.font = "12px system-ui, sans-serif"; context.fillStyle = soft; context.textAlign = "center"; context.textBaseline = "top";
  if (corner) context.fillText(`${+step.toPrecision(2)} ${scene.unit === "px" ? "" : scene.unit}`, corner[0], corner[1] + 6);
  if (look.cameras) scene.cameras.forEach((camera, n) => {
    const [tip, ...corners] = camera.corners;
    corners.forEach((c, m) => { line(tip, c, soft, 1.2); line(c, corners[(m + 1) % 4], soft, 1.2); });
    const at = eye(tip);
    if (at) { context.fillStyle = soft; context.fillText(`${n + 1} ${camera.name}`, at[0], at[1] + 6); }
  });
  const found = find(s, s.frame);
  if (!found) return;
  const place = (data, frame, i, k) => {
    const at = (((frame - data.first) * data.animals + i) * data.keypoints + k) * 3, p = data.points.subarray(at, at + 3);
    return p[0] === p[0] ? [p[0], p[1], p[2]] : null;
  };
  const mean = (data, frame, i) => {
    const sum = [0, 0, 0];
    let n = 0;
    for (let k = 0; k < data.keypoints; k++) { const p = place(data, frame, i, k); if (p) { n++; for (let a = 0; a < 3; a++) sum[a] += p[a]; } }
    return n ? sum.map((v) => v / n) : null;
  };
  const pairs = scene.edges.map(([a, b]) => [scene.keypoints.indexOf(a), scene.keypoints.indexOf(b)]);
  const order = scene.names.map((_, i) => [i, mean(found, s.frame, i)]).filter(([, c]) => c).sort((a, b) => (eye(b[1])?.[3] ?? 0) - (eye(a[1])?.[3] ?? 0));
  for (const [i, centre] of order) {
    const colour = scene.colours[i];
    if (look.trails) {
      let before = null;
      for (let f = Math.max(scene.first, s.frame - TRAIL); f <= s.frame; f++) {
        const data = find(s, f), c = data && mean(data, f, i), flat = c && [c[0], c[1], floor];
        if (flat && before) line(before, flat, colour, 2, 0.6 * (1 - (s.frame - f) / (TRAIL + 1)));
        before = flat;
      }
    }
    const spots = scene.keypoints.map((_, k) => place(found, s.frame, i, k));
    for (const p of spots) if (p) line(p, [p[0], p[1], floor], colour, 1, 0.12);
    for (const [a, b] of pairs) if (spots[a] && spots[b]) { line(spots[a], spots[b], "rgba(0,0,0,.5)", 5); line(spots[a], spots[b], colour, 3); }
    spots.forEach((p, k) => {
      const at = p && eye(p);
      if (!at) return;
      const spread = found.spread[((s.frame - found.first) * found.animals + i) * found.keypoints + k];
      if (look.spread && spread > 0) { context.globalAlpha = 0.22; context.fillStyle = colour; context.beginPath(); context.arc(at[0], at[1], Math.min(200, 2 * spread * at[2]), 0, 7); context.fill(); context.globalAlpha = 1; }
      context.beginPath(); context.arc(at[0], at[1], 3.5, 0, 7); context.fillStyle = colour; context.fill();
      context.lineWidth = 1; context.strokeStyle = "rgba(0,0,0,.7)"; context.stroke();
    });
    const top = spots.filter(Boolean).reduce((a, b) => (!a || b[2] > a[2] ? b : a), null), at = (top && eye(top)) || eye(centre);
    if (at) drawName(context, scene.names[i], at[0], at[1] - 10, colour);
  }
}
