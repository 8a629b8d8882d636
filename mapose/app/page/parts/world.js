// Where the world begins: three points, clicked in two or more views, or three keypoints.
import { html, useEffect, useRef, useState } from "./dom.js";
import { frameAddress } from "./api.js";
import { View, Pictures } from "./canvas.js";
import { drawMark } from "./marks.js";
import { Dialog } from "./shortcuts.js";

const CORNERS = [["origin", "origin", "#ffd23f"], ["x", "on the x axis", "#ff6b6b"], ["y", "on the side of y", "#6be08c"]];
const pictures = new Pictures(16);
const round = (v) => Math.round(v * 100) / 100;

export function World({ project, session, keypoints, start, onClose }) {
  const [by, setBy] = useState("pixels");
  const [corners, setCorners] = useState({ origin: {}, x: {}, y: {} }); // camera -> pixel
  const [names, setNames] = useState({ origin: "", x: "", y: "" });
  const [animal, setAnimal] = useState("");
  const [frame, setFrame] = useState(0);
  const [length, setLength] = useState("");
  const [unit, setUnit] = useState("mm");
  const clicked = CORNERS.every(([corner]) => Object.keys(corners[corner]).length > 1);
  const named = CORNERS.every(([corner]) => names[corner]) && new Set(Object.values(names)).size === 3;
  const run = () => start({ kind: "world", session: session.name, ...(by === "pixels" ? { ...corners, frame } : { ...names, animal: animal.trim() }),
    length: length ? `${length}${unit}` : "" });
  return html`<${Dialog} title=${`The world of ${session.name}`} onClose=${onClose} wide><div class="form">
    <div class="animals" role="group" aria-label="how the points are given"><button aria-pressed=${String(by === "pixels")} onClick=${() => setBy("pixels")}>Click three points</button>
      <button aria-pressed=${String(by === "names")} disabled=${!session.done} title=${session.done ? "" : "reconstruct it in 3D first"} onClick=${() => setBy("names")}>Three keypoints</button></div>
    ${by === "pixels" ? html`<${Clicks} project=${project} session=${session} corners=${corners} setCorners=${setCorners} frame=${frame} setFrame=${setFrame} />`
      : html`<div class="fields">${CORNERS.map(([corner, words]) => html`<label>${words}<select value=${names[corner]} onChange=${(e) => setNames({ ...names, [corner]: e.target.value })}>
          <option value="">choose</option>${keypoints.map((k) => html`<option value=${k}>${k}</option>`)}</select></label>`)}
        <label>Animal<input value=${animal} placeholder="the only one" onInput=${(e) => setAnimal(e.target.value)} /></label></div>`}
    <div class="fields"><label>True distance from the origin to x<input type="number" min="0" step="any" placeholder="as calibrated" value=${length} onInput=${(e) => setLength(e.target.value)} /></label>
      <label>Its unit<select value=${unit} onChange=${(e) => setUnit(e.target.value)}>${["mm", "cm", "m", "in"].map((u) => html`<option value=${u}>${u}</option>`)}</select></label></div></div>
    <div class="row"><span class="facts">The floor is the plane of the three; z is up if they turn anticlockwise seen from above.${session.done ? " Reconstruct again afterwards." : ""}</span><span class="space"></span>
      <button class="first" disabled=${by === "pixels" ? !clicked : !named} onClick=${run}>Set the world</button></div></${Dialog}>`;
}

// All views of one frame: a click sets the point that is chosen, a drag moves the picture, the wheel zooms.
function Clicks({ project, session, corners, setCorners, frame, setFrame }) {
  const [at, setAt] = useState("origin");
  const [faults, setFaults] = useState({});
  const hosts = useRef(session.cameras.map(() => ({ current: null }))).current, views = useRef([]), latest = useRef({});
  latest.current = { corners, at };
  useEffect(() => {
    views.current = hosts.map((host, n) => new View(host.current, (context, view) => draw(context, view, session.cameras[n].name, latest.current)));
    return () => views.current.forEach((view) => view.close());
  }, [session.name]);
  useEffect(() => {
    let gone = false;
    setFaults({});
    session.cameras.forEach((c, n) => pictures.get(frameAddress(project, c.video, frame)).then((bitmap) => { if (!gone) views.current[n].show(bitmap); })
      .catch((error) => { if (!gone) { views.current[n].show(null); setFaults((f) => ({ ...f, [c.name]: error.message })); } }));
    return () => { gone = true; };
  }, [project, session.name, frame]);
  useEffect(() => views.current.forEach((view) => view.repaint()));
  const set = (n, x, y) => {
    const view = views.current[n], camera = session.cameras[n].name;
    if (!view.bitmap || x < -0.5 || y < -0.5 || x > view.bitmap.width - 0.5 || y > view.bitmap.height - 0.5) return;
    setCorners({ ...corners, [at]: { ...corners[at], [camera]: [round(x), round(y)] } });
  };
  const press = (event, n) => {
    const view = views.current[n], target = event.currentTarget, [x, y] = view.place(event), drag = { x, y, moved: false };
    target.setPointerCapture(event.pointerId);
    const move = (e) => {
      const [a, b] = view.place(e);
      if (Math.hypot(a - x, b - y) > 3) drag.moved = true;
      if (drag.moved) view.move(a - drag.x, b - drag.y);
      drag.x = a; drag.y = b;
    };
    const lift = () => {
      target.removeEventListener("pointermove", move); target.removeEventListener("pointerup", lift);
      if (!drag.moved && event.button === 0) set(n, ...view.toImage(x, y));
    };
    target.addEventListener("pointermove", move); target.addEventListener("pointerup", lift);
  };
  const nudge = (event, n) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], view = views.current[n];
    if (event.key !== "Enter" && !step) return;
    event.preventDefault();
    const old = corners[at][session.cameras[n].name], size = event.ctrlKey ? 50 : event.shiftKey ? 5 : 0.5;
    if (event.key === "Enter") set(n, ...view.toImage(view.width / 2, view.height / 2));
    else if (old) set(n, old[0] + size * step[0], old[1] + size * step[1]);
  };
  return html`<div class="row"><div class="animals" role="group" aria-label="point">${CORNERS.map(([corner, words, colour]) => html`<button aria-pressed=${String(corner === at)} onClick=${() => setAt(corner)}>
        <span style=${{ color: colour }}>●</span> ${words} <span class="facts">${Object.keys(corners[corner]).length} of ${session.cameras.length}</span></button>`)}
        <button class="quiet" disabled=${!Object.keys(corners[at]).length} onClick=${() => setCorners({ ...corners, [at]: {} })}>Clear</button></div>
      <span class="space"></span><label class="check">Frame <input type="number" min="0" style=${{ width: "96px" }} value=${frame} onInput=${(e) => setFrame(Math.max(0, Math.round(+e.target.value)))} /></label></div>
    <div class="shots">${session.cameras.map((c, n) => html`<div key=${c.name} class="half"><div class="stage" ref=${hosts[n]} tabindex="0" role="application" aria-label=${`camera ${c.name}`}
        onPointerDown=${(e) => press(e, n)} onKeyDown=${(e) => nudge(e, n)} onWheel=${(e) => { e.preventDefault(); views.current[n].zoom(Math.exp(-e.deltaY / 400), ...views.current[n].place(e)); }}></div>
      <span class=${`tag ${faults[c.name] ? "off" : ""}`}>${c.name}${faults[c.name] ? `: ${faults[c.name]}` : ""}</span></div>`)}</div>
    <p class="facts">Each point in two views or more. The wheel zooms, a drag moves the picture; in a view Enter sets the point in its middle, arrows move it.</p>`;
}

function draw(context, view, camera, { corners, at }) {
  if (!view.bitmap) return;
  const spots = CORNERS.map(([corner, , colour]) => [corner, colour, corners[corner][camera]]).filter(([, , pixel]) => pixel);
  for (const [corner, colour, pixel] of spots) drawMark(context, ...view.toScreen(...pixel), { colour, kind: "person", selected: corner === at });
}
