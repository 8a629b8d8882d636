// Recordings of several cameras: made of the project's videos, calibrated from a board, brought into space.
import { html, useEffect, useState } from "./dom.js";
import { api, get, post } from "./api.js";
import { sayFault } from "./store.js";
import { Dialog } from "./shortcuts.js";
import { Folders } from "./folders.js";
import { World } from "./world.js";

const BOARDS = { charuco: "ChArUco: squares with markers in the white ones", chessboard: "chessboard", aruco: "markers on a grid" };
const MARKERS = ["4x4_50", "4x4_100", "4x4_250", "4x4_1000", "5x5_50", "5x5_100", "5x5_250", "5x5_1000", "6x6_250", "6x6_1000", "april_36h11"];

// A row for each session: its cameras, how well they are calibrated, and whether it is in space yet.
export function Sessions({ project, overview, start, version }) {
  const [sessions, setSessions] = useState(null);
  const [dialog, setDialog] = useState(null); // { kind, session }
  const load = () => get(api(project, "sessions")).then((found) => setSessions(found.sessions)).catch(sayFault);
  useEffect(() => { load(); }, [project, version]);
  const close = () => setDialog(null);
  const run = (what) => start(what).then(close);
  if (!sessions) return html`<section><h2>Several cameras</h2></section>`;
  return html`<section><div class="row"><h2>Several cameras</h2><span class="space"></span>
      <button disabled=${overview.videos.length < 2} onClick=${() => setDialog({ kind: "new" })}>Group videos…</button></div>
    ${!sessions.length && html`<p class="facts">Videos that were made at the same time are one session: a point set in two of its views is found in all.</p>`}
    ${sessions.map((s) => html`<div class="session"><div class="row"><a href=${`#/p/${project}/views/${encodeURIComponent(s.name)}`}>${s.name}</a>
        <span class="facts">${s.cameras.map((c) => c.name).join(", ")}</span><span class="space"></span>
        ${s.report && html`<button class="quiet small" onClick=${() => setDialog({ kind: "report", session: s })}>calibrated, ${s.report.mean?.toFixed(2)} px</button>`}
        ${!s.report && html`<span class="facts">${s.fault ? "not calibrated" : "calibrated"}</span>`}</div>
      <div class="row"><span class="space"></span>
        <button onClick=${() => setDialog({ kind: "calibrate", session: s })}>Calibrate…</button>
        <button disabled=${!!s.fault} title="origin, axes and floor" onClick=${() => setDialog({ kind: "world", session: s })}>${s.placed ? "World set…" : "World…"}</button>
        <button disabled=${!!s.fault || s.cameras.some((c) => !c.analysed)} title=${s.cameras.some((c) => !c.analysed) ? "analyse all its videos first" : ""}
          onClick=${() => setDialog({ kind: "triangulate", session: s })}>3D…</button></div></div>`)}
    ${dialog?.kind === "new" && html`<${NewSession} project=${project} overview=${overview} taken=${sessions} onClose=${close} onDone=${(found) => { setSessions(found.sessions); close(); }} />`}
    ${dialog?.kind === "calibrate" && html`<${Calibrate} session=${dialog.session} start=${run} onClose=${close} />`}
    ${dialog?.kind === "world" && html`<${World} project=${project} session=${dialog.session} keypoints=${overview.keypoints} start=${run} onClose=${close} />`}
    ${dialog?.kind === "triangulate" && html`<${Triangulate} session=${dialog.session} start=${run} onClose=${close} />`}
    ${dialog?.kind === "report" && html`<${Dialog} title=${`Calibration of ${dialog.session.name}`} onClose=${close} wide><div><${Report} report=${dialog.session.report} /></div></${Dialog}>`}
  </section>`;
}

function NewSession({ project, overview, taken, onClose, onDone }) {
  const used = new Set(taken.flatMap((s) => s.cameras.map((c) => c.video)));
  const free = overview.videos.filter((v) => !v.fault && !used.has(v.name)).map((v) => v.name);
  const [name, setName] = useState("");
  const [cameras, setCameras] = useState(new Map(free.map((v) => [v, v])));
  const turn = (video) => { const next = new Map(cameras); if (!next.delete(video)) next.set(video, video); setCameras(next); };
  const call = (video, camera) => setCameras(new Map(cameras).set(video, camera.trim()));
  const double = new Set(cameras.values()).size < cameras.size;
  const make = () => post(api(project, "sessions"), { name: name.trim(), cameras: Object.fromEntries([...cameras].map(([video, camera]) => [camera, video])) })
    .then(onDone).catch(sayFault);
  return html`<${Dialog} title="Videos made at the same time" onClose=${onClose}><div class="form">
    <label>Name of the session <input value=${name} placeholder="monday" onInput=${(e) => setName(e.target.value)} /></label>
    <fieldset><legend>Videos, and the cameras that made them</legend>
      ${free.map((v) => html`<div class="check"><label class="check"><input type="checkbox" checked=${cameras.has(v)} onChange=${() => turn(v)} /> ${v}</label><span class="space"></span>
        <input aria-label=${`camera of ${v}`} disabled=${!cameras.has(v)} value=${cameras.get(v) ?? v} onInput=${(e) => call(v, e.target.value)} /></div>`)}
      ${!free.length && html`<p class="facts">Every video belongs to a session already.</p>`}</fieldset></div>
    <div class="row"><span class="facts">${double ? "Two cameras have the same name." : "All have to begin at the same moment."}</span><span class="space"></span>
      <button class="first" disabled=${!name.trim() || cameras.size < 2 || double || [...cameras.values()].some((c) => !c)} onClick=${make}>Make the session</button></div></${Dialog}>`;
}

function Calibrate({ session, start, onClose }) {
  const [home, setHome] = useState(null);
  const [board, setBoard] = useState({ kind: "charuco", columns: 8, rows: 11, square: 24, marker: 18, dictionary: "4x4_1000" });
  const [videos, setVideos] = useState({}); // camera -> {id, name}
  const [fisheye, setFisheye] = useState(new Set());
  const [at, setAt] = useState(session.cameras[0].name);
  useEffect(() => { get("/api/home").then(setHome).catch(sayFault); }, []);
  const set = (what) => setBoard({ ...board, ...what });
  const number = (words, name) => html`<label>${words}<input type="number" min="0" step="any" value=${board[name]} onInput=${(e) => set({ [name]: +e.target.value })} /></label>`;
  const marked = board.kind !== "chessboard";
  const spec = [board.kind, `${board.columns}x${board.rows}`, `${board.square}mm`, ...(marked ? [`${board.marker}mm`, board.dictionary] : [])].join(":");
  const choose = (entry) => {
    const next = { ...videos, [at]: { id: entry.id, name: entry.name } };
    setVideos(next);
    setAt(session.cameras.find((c) => !next[c.name])?.name ?? at);
  };
  const turn = (name) => { const next = new Set(fisheye); if (!next.delete(name)) next.add(name); setFisheye(next); };
  const ready = session.cameras.every((c) => videos[c.name]);
  const run = () => start({ kind: "calibrate", session: session.name, board: spec, fisheye: [...fisheye], replace: !session.fault,
    videos: Object.fromEntries(Object.entries(videos).map(([camera, v]) => [camera, v.id])) });
  return html`<${Dialog} title=${`Calibrate the cameras of ${session.name}`} onClose=${onClose} wide><div class="form">
    <div class="fields"><label>Board <select value=${board.kind} onChange=${(e) => set({ kind: e.target.value })}>${Object.entries(BOARDS).map(([kind, words]) => html`<option value=${kind}>${words}</option>`)}</select></label>
      ${number(board.kind === "chessboard" ? "Inner corners across" : "Squares across", "columns")}${number(board.kind === "chessboard" ? "Inner corners down" : "Squares down", "rows")}
      ${number("Square, mm", "square")}${marked && number("Marker, mm", "marker")}
      ${marked && html`<label>Dictionary <select value=${board.dictionary} onChange=${(e) => set({ dictionary: e.target.value })}>${MARKERS.map((m) => html`<option value=${m}>${m}</option>`)}</select></label>`}</div>
    <div class="pick"><fieldset><legend>Video of the board, by camera</legend>
        ${session.cameras.map((c) => html`<div class="check"><button class="entry" aria-pressed=${String(c.name === at)} onClick=${() => setAt(c.name)}><span class="name">${c.name}</span>
          <span class=${videos[c.name] ? "video" : "facts"}>${videos[c.name]?.name ?? "not chosen"}</span></button>
          <label class="check"><input type="checkbox" checked=${fisheye.has(c.name)} onChange=${() => turn(c.name)} /> fisheye</label></div>`)}</fieldset>
      ${home && html`<${Folders} roots=${home.roots} only="video" choose=${choose} chosen=${new Set([videos[at]?.id])} />`}</div></div>
    <div class="row"><code>${spec}</code><span class="space"></span>
      <button class="first" disabled=${!ready} onClick=${run}>${session.fault ? "Calibrate" : "Calibrate again"}</button></div></${Dialog}>`;
}

function Triangulate({ session, start, onClose }) {
  const [animals, setAnimals] = useState("");
  const [rigid, setRigid] = useState(false);
  return html`<${Dialog} title=${`${session.name} in 3D`} onClose=${onClose}><div class="form">
    <label>Animals <input type="number" min="1" placeholder="as many as are seen" value=${animals} onInput=${(e) => setAnimals(e.target.value)} /></label>
    <label class="check"><input type="checkbox" checked=${rigid} onChange=${() => setRigid(!rigid)} /> no bone changes its length, as of a skull or a tool</label></div>
    <div class="row"><span class="facts">${session.cameras.length} views become ${session.result}.</span><span class="space"></span>
      <button class="first" onClick=${() => start({ kind: "triangulate", session: session.name, animals: animals ? +animals : null, rigid, replace: session.done })}>${session.done ? "Reconstruct again" : "Reconstruct"}</button></div></${Dialog}>`;
}

const tell = (value, digits = 2) => (value == null ? "" : value.toFixed(digits));

// What a calibration is worth, and what to film again.
export function Report({ report }) {
  const advice = [...(report.advice ?? []), ...report.cameras.flatMap((c) => (c.advice ?? []).map((text) => `${c.name}: ${text}`))];
  return html`<div class="form"><table><thead><tr><th>Camera</th><th>mean error, px</th><th>95 % below</th><th>views</th><th>image covered</th><th>focal length, px</th></tr></thead>
      <tbody>${report.cameras.map((c) => html`<tr><td>${c.name}</td><td>${tell(c.mean)}</td><td>${tell(c.p95)}</td><td>${c.views}</td><td>${c.coverage == null ? "" : `${Math.round(100 * c.coverage)} %`}</td>
        <td>${tell(c.focal, 0)}${c.sd?.fx == null ? "" : ` ± ${c.sd.fx.toPrecision(2)}`}</td></tr>`)}
        <tr><td>all</td><td>${tell(report.mean)}</td><td>${tell(report.p95)}</td><td></td><td></td><td></td></tr></tbody></table>
    ${advice.length > 0 && html`<ul>${advice.map((text) => html`<li>${text}</li>`)}</ul>`}
    ${report.figure && html`<img class="large" src=${`/figure/${report.figure}`} alt="where each camera saw the board, and how well it fits there" />`}</div>`;
}
