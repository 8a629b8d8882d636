// What can be done with a result: smooth it, track it again, draw it, write it for another tool.
import { html, useState } from "./dom.js";
import { Dialog } from "./shortcuts.js";

const FORMATS = { "dlc-h5": "DeepLabCut, h5", "dlc-csv": "DeepLabCut, csv", slp: "SLEAP, slp", coco: "COCO, json", movement: "movement, netCDF", nwb: "NWB", csv: "table, csv", trc: "OpenSim, trc" };
const IN_SPACE = ["movement", "nwb", "trc", "csv"], IN_PICTURES = ["dlc-h5", "dlc-csv", "slp", "coco", "movement", "nwb", "csv"];
const KINDS = { export: "Export", plot: "Plot", filter: "Smooth", render: "Draw into the video", track: "Track again" };
const OF_ALL = ["export", "plot", "render"]; // also of what is in space

export function ResultWork({ result, start, onClose }) {
  const [kind, setKind] = useState("export");
  const [to, setTo] = useState("csv");
  const [method, setMethod] = useState("kalman");
  const [span, setSpan] = useState({ first: "", stop: "" });
  const [animals, setAnimals] = useState("");
  const [appearance, setAppearance] = useState(false);
  const [replace, setReplace] = useState(false);
  const own = { result: result.name, replace };
  const request = {
    export: { kind, ...own, to }, plot: { kind, ...own }, filter: { kind, ...own, method },
    render: { kind, ...own, first: +span.first || 0, stop: span.stop ? +span.stop : null },
    track: { kind, result: result.name, animals: animals ? +animals : null, appearance },
  }[kind];
  const made = { export: `results/${result.name}, in the format`, plot: "figures: they are shown under Look", filter: `a result, ${result.name}.filtered`, render: `results/${result.name}.labelled.mp4`, track: `a result, ${result.name}.tracked` }[kind];
  return html`<${Dialog} title=${result.name} onClose=${onClose}><div class="form">
    <div class="row" role="group" aria-label="what to do">${Object.entries(KINDS).filter(([name]) => !result.space || OF_ALL.includes(name)).map(([name, words]) => html`
      <button aria-pressed=${String(name === kind)} onClick=${() => setKind(name)}>${words}</button>`)}</div>
    ${kind === "export" && html`<label>For <select value=${to} onChange=${(e) => setTo(e.target.value)}>${(result.space ? IN_SPACE : IN_PICTURES).map((f) => html`<option value=${f}>${FORMATS[f]}</option>`)}</select></label>`}
    ${kind === "filter" && html`<label>How <select value=${method} onChange=${(e) => setMethod(e.target.value)}><option value="kalman">Kalman smoother: learns how noisy each keypoint is</option>
      <option value="median">median</option><option value="savgol">Savitzky-Golay</option></select></label>`}
    ${kind === "render" && html`<label>From frame <input type="number" min="0" placeholder="the first" value=${span.first} onInput=${(e) => setSpan({ ...span, first: e.target.value })} /></label>
      <label>To frame <input type="number" min="1" placeholder="the last" value=${span.stop} onInput=${(e) => setSpan({ ...span, stop: e.target.value })} /></label>`}
    ${kind === "track" && html`<label>Animals <input type="number" min="1" placeholder="as many as are seen" value=${animals} onInput=${(e) => setAnimals(e.target.value)} /></label>
      <label class="check"><input type="checkbox" checked=${appearance} onChange=${() => setAppearance(!appearance)} /> learn what they look like</label>`}
    ${kind !== "track" && html`<label class="check"><input type="checkbox" checked=${replace} onChange=${() => setReplace(!replace)} /> replace one that is there already</label>`}</div>
    <div class="row"><span class="facts">Makes ${made}.</span><span class="space"></span>
      <button class="first" onClick=${() => start(request)}>${KINDS[kind]}</button></div></${Dialog}>`;
}
