// One moment in all cameras: a point set in one view draws its line in the others, in two it is found in all.
import { html, showChosen, useEffect, useMemo, useRef, useState } from "../parts/dom.js";
import { api, frameAddress, get, listen, post } from "../parts/api.js";
import { say, sayFault } from "../parts/store.js";
import { View, Pictures } from "../parts/canvas.js";
import { drawLimb, drawMark, drawName } from "../parts/marks.js";
import { KeysHelp, useShortcuts } from "../parts/shortcuts.js";
import { Labels, key } from "../parts/labels.js";
import { Hint } from "../parts/hint.js";

const NEAR = 7, FAR = 3; // px on the screen; times the usual error from which a view is out of line
const pictures = new Pictures(48);
const round = (v) => Math.round(v * 100) / 100;
const nameImage = (frame) => `frame${String(frame).padStart(6, "0")}.png`;

export function Views({ project, parts }) {
  const [sessions, setSessions] = useState(null);
  useEffect(() => { get(api(project, "sessions")).then((f) => setSessions(f.sessions)).catch(sayFault); }, [project]);
  if (!sessions) return html`<p class="wait">Looking for sessions</p>`;
  const session = sessions.find((s) => s.name === parts[0]) ?? (sessions.length === 1 ? sessions[0] : null);
  if (session) return html`<${Moment} key=${session.name} project=${project} session=${session} begin=${parts[1]} />`;
  return html`<div class="sheet"><h1>Several cameras</h1>
    ${sessions.length ? html`<div class="list">${sessions.map((s) => html`<a class="button" href=${`#/p/${project}/views/${encodeURIComponent(s.name)}`}>${s.name}: ${s.cameras.map((c) => c.name).join(", ")}</a>`)}</div>`
      : html`<div class="empty"><p>No recording of several cameras yet. Group the videos that were made at the same time, on the project's page; there its cameras are calibrated from videos of a board, too.</p>
        <a class="button first" href=${`#/p/${project}`}>To the project</a></div>`}</div>`;
}

function Moment({ project, session, begin }) {
  const [, redraw] = useState(0);
  const again = () => redraw((n) => n + 1);
  const labels = useMemo(() => new Labels(project, again), [project]);
  const cameras = session.cameras;
  const [frame, setFrame] = useState(null);
  const [picked, setPicked] = useState({ i: 0, k: 0 });
  const [active, setActive] = useState(0);
  const [help, setHelp] = useState(false);
  const [panels, setPanels] = useState(true);
  const [faults, setFaults] = useState({});
  const hosts = useRef(cameras.map(() => ({ current: null }))).current;
  const data = useRef({ marks: {}, proposal: {}, points: new Map(), lines: {} }), tools = useRef({}), latest = useRef({});

  const names = labels.individuals ?? [], keypoints = labels.keypoints ?? [];
  const who = names[picked.i], what = keypoints[picked.k];
  const many = names.length > 1;
  const colour = (i, k) => (many ? labels.colours.individuals[i] : labels.colours.keypoints[k]);
  const marksOf = (camera) => data.current.marks[camera] ?? new Map();
  const mark = (camera, i, k) => marksOf(camera).get(key(names[i], keypoints[k]));
  latest.current = { names, keypoints, picked, colour, many, labels };

  useEffect(() => {
    const views = hosts.map((host, n) => new View(host.current, (context, view) => draw(context, view, cameras[n].name, data.current, latest.current)));
    tools.current.views = views;
    labels.onConflict = async (error) => { sayFault(error); await load(tools.current.frame); };
    labels.onTurn = async (entry) => go(entry?.frame >= 0 ? entry.frame : tools.current.frame);
    labels.load().then(async () => {
      const own = new Set(cameras.map((c) => c.video));
      const first = labels.frames.find((f) => own.has(f.video) && !labels.isDone(f)) ?? labels.frames.find((f) => own.has(f.video));
      const video = await get(api(project, "video", cameras[0].video)).catch(() => null);
      tools.current.last = video ? video.frames - 1 : 0;
      go(begin != null ? +begin : first?.frame ?? 0);
    }).catch(sayFault);
    const stop = listen(project, async (event) => {
      if (event.kind !== "labels" || labels.sending || event.tab === undefined) return;
      await labels.hear(event);
      if (event.tab === "") load(tools.current.frame);
    });
    return () => { stop(); views.forEach((v) => v.close()); };
  }, [project, session.name]);

  const load = async (to) => {
    const found = await get(api(project, "moment", session.name, String(to)));
    if (to !== tools.current.frame) return;
    labels.version = Math.max(labels.version, found.version);
    data.current = { marks: {}, proposal: {}, points: new Map(), lines: {} };
    for (const [camera, view] of Object.entries(found.views)) {
      data.current.marks[camera] = new Map(view.marks.map(([i, k, m]) => [key(i, k), m]));
      data.current.proposal[camera] = new Map(view.proposal.map(([i, k, x, y]) => [key(i, k), [x, y]]));
    }
    await look();
    again();
  };
  const go = (to) => {
    const frame_ = Math.min(Math.max(to, 0), tools.current.last ?? to);
    tools.current.frame = frame_;
    setFrame(frame_);
    setFaults({});
    cameras.forEach((c, n) => pictures.get(frameAddress(project, c.video, frame_)).then((b) => { if (tools.current.frame === frame_) tools.current.views[n].show(b); })
      .catch((error) => { if (tools.current.frame === frame_) { tools.current.views[n].show(null); setFaults((f) => ({ ...f, [c.name]: error.message })); } }));
    history.replaceState(null, "", `#/p/${project}/views/${encodeURIComponent(session.name)}/${frame_}`);
    load(frame_).then(() => setPicked((p) => firstMissing(p.i, -1))).catch(sayFault);
  };

  // Ask where all that is set lies in the other views.
  const look = async (chosen = latest.current.picked) => {
    if (session.fault) return;
    const { names, keypoints } = latest.current, points = new Map();
    for (const [camera, marks] of Object.entries(data.current.marks)) for (const [spot, m] of marks) {
      if (m[0] == null || m[3] === "triangulation") continue;
      if (!points.has(spot)) points.set(spot, {});
      points.get(spot)[camera] = [m[0], m[1]];
    }
    const line = [names[chosen.i], keypoints[chosen.k]];
    const number = (tools.current.asked = (tools.current.asked ?? 0) + 1);
    const found = await post(api(project, "point"), { session: session.name, frame: tools.current.frame, line, points: [...points].map(([spot, views]) => [...spot.split("\n"), views]) }).catch(sayFault);
    if (!found || number !== tools.current.asked) return;
    data.current.points = new Map(found.points.map(([i, k, facts]) => [key(i, k), facts]));
    data.current.lines = found.lines;
    tools.current.views.forEach((v) => v.repaint());
    again();
  };
  useEffect(() => { if (frame != null && labels.keypoints) look(picked); }, [picked.i, picked.k]);
  useEffect(() => tools.current.views?.forEach((v) => v.repaint()));
  useEffect(() => showChosen(".points"), [picked.i, picked.k]);

  const isSet = (i, k) => cameras.filter((c) => mark(c.name, i, k)).length;
  const firstMissing = (i, after) => {
    const { names, keypoints } = latest.current;
    for (let n = 0; n < names.length; n++) for (let m = 1; m <= keypoints.length; m++) {
      const animal = (i + n) % names.length, k = n ? m - 1 : (after + m) % keypoints.length;
      if (labels.owns(animal, k) && cameras.some((c) => !data.current.marks[c.name]?.has(key(names[animal], keypoints[k])))) return { i: animal, k };
    }
    return { i, k: Math.max(after, 0) };
  };
  const put = (camera, list) => {
    const own = data.current.marks[camera.name];
    for (const [i, k, m] of list) if (m) own.set(key(i, k), m); else own.delete(key(i, k));
    labels.put(list, { video: camera.video, frame, image: nameImage(frame) }, own.size);
    look();
  };
  const accept = () => {
    let count = 0;
    for (const c of cameras) {
      const list = [];
      for (const [spot, facts] of data.current.points) {
        const at = facts.views[c.name], [i, k] = spot.split("\n"), size = tools.current.views[cameras.indexOf(c)].bitmap;
        const inside = at && size && at[0] >= 0 && at[1] >= 0 && at[0] < size.width && at[1] < size.height;
        if (inside && !data.current.marks[c.name].has(spot)) list.push([i, k, [round(at[0]), round(at[1]), "visible", "triangulation"]]);
      }
      if (list.length) { put(c, list); count += list.length; }
    }
    if (!count) return say("Nothing is proposed: set a keypoint in two views.");
    setPicked(firstMissing(picked.i, picked.k));
    return null;
  };
  const state = (state_) => {
    const c = cameras[active], m = mark(c.name, picked.i, picked.k);
    if (state_ === "absent") put(c, [[who, what, [null, null, "absent", "person"]]]);
    else if (m && m[0] != null) put(c, [[who, what, [m[0], m[1], m[2] === "occluded" ? "visible" : "occluded", m[3] || "person"]]]);
  };
  const remove = () => { if (mark(cameras[active].name, picked.i, picked.k)) put(cameras[active], [[who, what, null]]); };
  const nudge = (event, pressed) => {
    const m = mark(cameras[active].name, picked.i, picked.k), size = pressed.includes("Ctrl") ? 50 : pressed.includes("Shift") ? 5 : 0.5;
    if (!m || m[0] == null) return say(`Enter sets ${what} in the middle of ${cameras[active].name}; arrows then move it.`);
    const dir = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    put(cameras[active], [[who, what, [round(m[0] + size * dir[0]), round(m[1] + size * dir[1]), m[2], "person"]]]);
    return null;
  };
  const pick = (by) => {
    let { k } = picked;
    do k = (k + by + keypoints.length) % keypoints.length; while (!labels.owns(picked.i, k));
    setPicked({ ...picked, k });
  };
  const moments = () => [...new Set(labels.frames.filter((f) => cameras.some((c) => c.video === f.video) && f.frame >= 0).map((f) => f.frame))].sort((a, b) => a - b);
  const turn = (by) => {
    const list = moments(), next = by > 0 ? list.find((f) => f > frame) : list.filter((f) => f < frame).pop();
    return next == null ? say("There is no other labelled or chosen moment.") : go(next);
  };
  const keys = [
    ["D", "next frame", () => go(frame + 1), "Moments"], ["A", "frame before", () => go(frame - 1), "Moments"], ["Shift+D", "ten frames on", () => go(frame + 10), "Moments"], ["Shift+A", "ten frames back", () => go(frame - 10), "Moments"],
    ["E", "next moment of the list", () => turn(1), "Moments"], ["Q", "moment before", () => turn(-1), "Moments"],
    ["S", "next keypoint", () => pick(1), "Points"], ["W", "keypoint before", () => pick(-1), "Points"],
    ["1 2 3 4 5 6 7 8 9", "animal", (e) => { if (+e.key <= names.length) setPicked(firstMissing(+e.key - 1, -1)); }, "Points"],
    ["Space", "accept what is proposed in all views", accept, "Points"],
    ["Enter", "set the keypoint in the middle of the large view", () => { const v = tools.current.views[active]; setPoint(active, ...v.toImage(v.width / 2, v.height / 2)); }, "Points"],
    ["X", "absent from the large view", () => state("absent"), "Points"], ["V", "occluded or visible there", () => state("occluded"), "Points"], ["Delete Backspace", "remove the mark there", remove, "Points"],
    ["ArrowLeft ArrowRight ArrowUp ArrowDown", "half a pixel", nudge, "Points"], ["Shift+ArrowLeft Shift+ArrowRight Shift+ArrowUp Shift+ArrowDown", "five pixels", nudge, "Points"],
    ["Ctrl+ArrowLeft Ctrl+ArrowRight Ctrl+ArrowUp Ctrl+ArrowDown", "fifty pixels", nudge, "Points"],
    ["Ctrl+Z", "undo", () => labels.turn("undo"), "Past"], ["Ctrl+Shift+Z Ctrl+Y", "redo", () => labels.turn("redo"), "Past"],
    ["M", "next view large", () => setActive((active + 1) % cameras.length), "Picture"], ["F", "fit all pictures", () => tools.current.views.forEach((v) => v.fit()), "Picture"],
    ["H", "panels away and back", () => setPanels(!panels), "Picture"], ["?", "all keys", () => setHelp(true), "Picture"],
  ];
  useShortcuts(labels.keypoints ? keys : []);

  const setPoint = (n, x, y) => {
    const view = tools.current.views[n];
    if (!view.bitmap || x < 0 || y < 0 || x > view.bitmap.width || y > view.bitmap.height) return;
    put(cameras[n], [[who, what, [round(x), round(y), "visible", "person"]]]);
  };
  const press = (event, n) => {
    const view = tools.current.views[n], [x, y] = view.place(event), camera = cameras[n];
    const drag = { x, y, moved: false, spot: null };
    if (event.button === 0) {
      let least = NEAR;
      for (const [spot, m] of marksOf(camera.name)) {
        if (m[0] == null) continue;
        const [a, b] = view.toScreen(m[0], m[1]), away = Math.hypot(a - x, b - y);
        if (away < least) { least = away; drag.spot = spot; }
      }
      if (drag.spot) { const [i, k] = drag.spot.split("\n"); setPicked({ i: names.indexOf(i), k: keypoints.indexOf(k) }); }
    }
    event.currentTarget.setPointerCapture(event.pointerId);
    const before = drag.spot && marksOf(camera.name).get(drag.spot);
    const move = (e) => {
      const [a, b] = view.place(e);
      if (Math.hypot(a - x, b - y) > 3) drag.moved = true;
      if (drag.moved && drag.spot) {
        marksOf(camera.name).set(drag.spot, [round(before[0] + (a - x) / view.scale), round(before[1] + (b - y) / view.scale), before[2], "person"]);
        look();
      } else if (drag.moved) view.move(a - drag.x, b - drag.y);
      drag.x = a; drag.y = b;
      view.repaint();
    };
    const lift = (e) => {
      e.currentTarget.removeEventListener("pointermove", move); e.currentTarget.removeEventListener("pointerup", lift);
      if (drag.moved && drag.spot) put(camera, [[...drag.spot.split("\n"), marksOf(camera.name).get(drag.spot)]]);
      else if (!drag.moved && !drag.spot && event.button === 0) setPoint(n, ...view.toImage(x, y));
    };
    event.currentTarget.addEventListener("pointermove", move); event.currentTarget.addEventListener("pointerup", lift);
  };

  const facts = data.current.points.get(key(who, what));
  const errors = facts ? Object.entries(facts.errors) : [];
  const usual = errors.length ? [...errors.map(([, e]) => e)].sort((a, b) => a - b)[Math.floor((errors.length - 1) / 2)] : 0;
  const isFar = (e) => errors.length > 2 && e > Math.max(6, FAR * usual);
  const rows = Math.max(1, cameras.length - 1);
  const proposed = [...data.current.points].some(([spot, f]) => cameras.some((c) => f.views[c.name] && !marksOf(c.name).has(spot)));
  return html`<div class=${`views ${panels ? "" : "bare"}`}>
    <h1 class="unseen">Several cameras</h1>
    <section class="middle" style=${{ gridTemplateRows: "minmax(0, 1fr) 36px" }}>
      <div class="grid" style=${cameras.length > 2 ? { gridTemplateColumns: "minmax(0, 2.4fr) minmax(0, 1fr)", gridTemplateRows: `repeat(${rows}, minmax(0, 1fr))` } : { gridTemplateColumns: "minmax(0, 1fr) minmax(0, 1fr)" }}>
        ${cameras.map((c, n) => html`<div key=${c.name} class=${`half ${n === active ? "active" : ""}`} style=${cameras.length > 2 && n === active ? { gridRow: "1 / -1", gridColumn: "1" } : { gridColumn: cameras.length > 2 ? "2" : "auto" }}>
          <div class="stage" ref=${hosts[n]} tabindex="0" role="application" aria-label=${`camera ${c.name}`} onPointerDown=${(e) => press(e, n)} onContextMenu=${(e) => e.preventDefault()} onDblClick=${() => setActive(n)}
            onWheel=${(e) => { e.preventDefault(); const v = tools.current.views[n]; v.zoom(Math.exp(-e.deltaY / 400), ...v.place(e)); }}></div>
          <span class=${`tag ${faults[c.name] ? "off" : ""}`}>${c.name}${faults[c.name] ? `: ${faults[c.name]}` : ""}</span></div>`)}
      </div>
      <p class="hint" role="status">${labels.keypoints && frame != null && html`<span>Next: <b>${what}</b>${many ? ` of ${who}` : ""}. Set it in ${isSet(picked.i, picked.k) ? "another view" : "one view"}${proposed ? "; Space accepts what is proposed" : ""}. ?: all keys</span>
        <span class="space"></span><span class="facts">${session.name}, frame ${frame}${tools.current.last ? ` of ${tools.current.last}` : ""}</span>`}</p>
      ${session.fault && html`<p class="note fault">${session.fault}</p>`}
    </section>
    ${panels && labels.keypoints && html`<aside class="side">
      <${Hint} page="views">Set a point in one view, and its line is drawn in the others. Set it in a second view, and it is proposed in all; Space accepts.</${Hint}>
      <div class="animals" role="group" aria-label="views">${cameras.map((c, n) => html`<button aria-pressed=${String(n === active)} onClick=${() => setActive(n)}>${c.name}</button>`)}</div>
      ${many && html`<div class="animals" role="group" aria-label="animals">${names.map((n, i) => html`<button aria-pressed=${String(i === picked.i)} onClick=${() => setPicked(firstMissing(i, -1))}>${i + 1} ${n}</button>`)}</div>`}
      <ul class="points">${keypoints.map((n, k) => labels.owns(picked.i, k) && html`<li><button class=${`point ${isSet(picked.i, k) ? "" : "missing"}`} aria-pressed=${String(k === picked.k)} onClick=${() => setPicked({ ...picked, k })}>
        <span class="name">${n}</span><span class="facts">${isSet(picked.i, k) ? `${isSet(picked.i, k)} of ${cameras.length}` : ""}</span></button></li>`)}</ul>
      ${errors.length > 0 && html`<div class="errors"><h3>${what}: reprojection error</h3><table><tbody>${errors.map(([c, e]) => html`<tr class=${isFar(e) ? "far" : ""}><td>${c}${isFar(e) ? " is out of line" : ""}</td><td>${e.toFixed(1)} px</td></tr>`)}</tbody></table></div>`}
      <div class="tools"><button onClick=${accept} disabled=${!proposed}>Accept <kbd>Space</kbd></button><button onClick=${() => state("absent")}>Absent <kbd>X</kbd></button>
        <button onClick=${() => state("occluded")}>Occluded <kbd>V</kbd></button><button onClick=${remove}>Remove <kbd>Del</kbd></button>
        <button onClick=${() => labels.turn("undo")}>Undo <kbd>Ctrl Z</kbd></button><button onClick=${() => setHelp(true)}>Keys <kbd>?</kbd></button></div></aside>`}
    ${help && html`<${KeysHelp} keys=${[...keys, ["Click", "set the keypoint in this view", null, "Mouse"], ["Drag", "move a point; elsewhere the picture", null, "Mouse"], ["Wheel", "zoom", null, "Mouse"], ["DoubleClick", "make a view large", null, "Mouse"]]} onClose=${() => setHelp(false)} />`}
  </div>`;
}

function draw(context, view, camera, data, { names, keypoints, picked, colour, many, labels }) {
  if (!view.bitmap || !labels.keypoints) return;
  const marks = data.marks[camera] ?? new Map(), proposal = data.proposal[camera] ?? new Map();
  drawLine(context, view, data.lines[camera]);
  const spot = (i, k) => {
    const id = key(names[i], keypoints[k]), m = marks.get(id), found = data.points.get(id)?.views[camera], p = proposal.get(id);
    if (m) return m[0] == null ? null : { at: view.toScreen(m[0], m[1]), kind: m[2] === "occluded" ? "occluded" : m[3] || "person" };
    if (found) return { at: view.toScreen(found[0], found[1]), kind: "proposed", spread: found.slice(2) };
    return p ? { at: view.toScreen(p[0], p[1]), kind: "proposed" } : null;
  };
  names.forEach((name, i) => {
    const spots = keypoints.map((_, k) => spot(i, k));
    for (const [a, b] of labels.edges) {
      const p = spots[keypoints.indexOf(a)], q = spots[keypoints.indexOf(b)];
      if (p && q) drawLimb(context, p.at, q.at, many ? colour(i, 0) : "#d5d9e0", p.kind === "proposed" || q.kind === "proposed");
    }
    spots.forEach((s, k) => {
      if (!s) return;
      const selected = i === picked.i && k === picked.k;
      if (s.spread && selected) drawEllipse(context, view, s.at, s.spread, colour(i, k));
      drawMark(context, ...s.at, { colour: colour(i, k), kind: s.kind, selected });
    });
    const top = spots.filter(Boolean).reduce((a, b) => (!a || b.at[1] < a.at[1] ? b : a), null);
    if (many && top) drawName(context, name, top.at[0], top.at[1] - 8, colour(i, 0), i === picked.i);
  });
}

// The epipolar line with the band of one standard deviation, curved where the lens is.
function drawLine(context, view, line) {
  if (!line?.length) return;
  const at = line.map(([x, y]) => view.toScreen(x, y)), left = [], right = [];
  at.forEach(([x, y], n) => {
    const a = at[Math.max(0, n - 1)], b = at[Math.min(at.length - 1, n + 1)], length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const w = line[n][2] * view.scale, nx = -(b[1] - a[1]) / length * w, ny = (b[0] - a[0]) / length * w;
    left.push([x + nx, y + ny]); right.unshift([x - nx, y - ny]);
  });
  context.beginPath();
  [...left, ...right].forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fillStyle = "rgba(92,184,245,.28)"; context.fill();
  context.beginPath();
  at.forEach(([x, y], n) => (n ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.lineWidth = 3.5; context.strokeStyle = "rgba(0,0,0,.5)"; context.stroke();
  context.lineWidth = 1.5; context.strokeStyle = "#8fd0ff"; context.stroke();
}

function drawEllipse(context, view, [x, y], [xx, xy, yy], colour) {
  const mean = (xx + yy) / 2, apart = Math.hypot((xx - yy) / 2, xy), angle = Math.atan2(2 * xy, xx - yy) / 2;
  context.beginPath();
  context.ellipse(x, y, Math.max(1, Math.sqrt(mean + apart) * view.scale), Math.max(1, Math.sqrt(Math.max(mean - apart, 0)) * view.scale), angle, 0, 7);
  context.lineWidth = 3; context.strokeStyle = "rgba(0,0,0,.5)"; context.stroke();
  context.lineWidth = 1.5; context.strokeStyle = colour; context.stroke();
}
