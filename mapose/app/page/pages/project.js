// The page of a project: where it stands, the next thing to do and why, its work in progress.
import { html, useEffect, useState } from "../parts/dom.js";
import { api, get, listen, post } from "../parts/api.js";
import { sayFault } from "../parts/store.js";
import { Dialog } from "../parts/shortcuts.js";
import { Folders, tellSize } from "../parts/folders.js";
import { Fill } from "../parts/bar.js";
import { ResultWork } from "../parts/resultwork.js";
import { Sessions } from "../parts/sessions.js";
import { JobRow } from "./job.js";

const TITLES = { videos: "Videos", frames: "Frames", labels: "Labels", model: "Model", results: "Results",
  doubts: "Doubts", space: "3D", export: "Export" };

export function ProjectPage({ project }) {
  const [overview, setOverview] = useState(null);
  const [dialog, setDialog] = useState("");
  const [work, setWork] = useState(null); // the result that something is done with
  const load = () => get(api(project)).then(setOverview).catch(sayFault);
  useEffect(() => {
    load();
    let timer = 0;
    const stop = listen(project, () => { clearTimeout(timer); timer = setTimeout(load, 200); });
    return () => { clearTimeout(timer); stop(); };
  }, [project]);
  if (!overview) return html`<p class="wait">Opening the project</p>`;
  const start = (what) => post(api(project, "jobs"), { request: what }).then(() => { setDialog(""); setWork(null); load(); }).catch(sayFault);
  const act = {
    videos: () => setDialog("videos"),
    frames: () => setDialog("extract"),
    labels: () => { location.hash = `/p/${project}/${overview.loop.advice.startsWith("Correct") ? "refine" : "label"}`; },
    model: () => setDialog("train"),
    results: () => setDialog(overview.loop.advice.startsWith("Look") ? "refine" : "analyze"),
    space: () => document.getElementById("sessions").scrollIntoView({ block: "center" }),
    export: overview.results.length ? () => setWork(overview.results[0]) : null,
    propose: () => start({ kind: "propose" }).then(() => { location.hash = `/p/${project}/refine`; }),
    doubts: () => { location.hash = `/p/${project}/proofread${overview.results.length === 1 ? `/${encodeURIComponent(overview.results[0].name)}` : ""}`; },
  };
  const here = overview.loop.action === "propose" ? "labels" : overview.loop.action;
  const working = overview.jobs.filter((j) => j.state === "running" || j.state === "queued");
  const ended = overview.jobs.filter((j) => !working.includes(j));
  return html`<div class="sheet">
    <div class="next"><div><p class="eyebrow">Next</p><h1>${overview.loop.advice}</h1><p>${overview.loop.reason}</p></div>
      <span class="space"></span><button class="first big" onClick=${act[overview.loop.action]}>${overview.loop.advice}</button></div>
    <ol class="loop">${overview.loop.steps.map((s) => html`<li>
      <button class=${s.name === here ? "here" : ""} disabled=${!act[s.name]} onClick=${act[s.name]}>
        <span class="eyebrow">${TITLES[s.name]}</span><strong>${s.text}</strong>
        ${s.total > 0 && html`<span class="bar" aria-hidden="true"><${Fill} share=${s.done / s.total} /></span>`}</button></li>`)}</ol>
    ${working.length > 0 && html`<section><h2>Working</h2>${working.map((j) => html`<${JobRow} key=${j.name} project=${project} job=${j} onChange=${load} />`)}</section>`}
    <div class="columns">
      <section><div class="row"><h2>Videos</h2><span class="space"></span><button onClick=${act.videos}>Add…</button></div>
        ${overview.videos.length ? html`<table><tbody>${overview.videos.map((v) => html`<tr><td>${v.name}
          ${v.fault && html`<span class="fault">${v.fault}</span>`}</td><td class="facts">${v.file}</td></tr>`)}</tbody></table>`
          : html`<p class="facts">No video yet.</p>`}</section>
      <section><div class="row"><h2>Models</h2><span class="space"></span>${overview.models.length > 0 && html`<button onClick=${() => start({ kind: "evaluate" })}>Evaluate</button>`}<button onClick=${act.model}>Train…</button></div>
        ${overview.models.length ? html`<table><tbody>${overview.models.slice().reverse().map((m) => html`<tr><td>
          <a href=${`#/p/${project}/job/model/${encodeURIComponent(m.name)}`}>${m.name}</a></td><td class="number">${m.error == null ? "" : `${m.error.toFixed(2)} px`}</td></tr>`)}</tbody></table>`
          : html`<p class="facts">No model yet: label some frames, then train.</p>`}</section>
      <section><div class="row"><h2>Results</h2><span class="space"></span>
          ${overview.results.length > 0 && html`<button onClick=${() => setDialog("refine")}>Worst frames…</button>`}
          <button disabled=${!overview.models.length} onClick=${() => setDialog("analyze")}>Analyse…</button></div>
        ${overview.results.length ? html`<table><tbody>${overview.results.map((r) => html`<tr><td><a href=${`#/p/${project}/proofread/${encodeURIComponent(r.name)}`}>${r.name}</a></td>
          <td class="number">${tellSize(r.size)} <button class="quiet small" aria-label=${`More… with ${r.name}`} onClick=${() => setWork(r)}>More…</button></td></tr>`)}</tbody></table>`
          : html`<p class="facts">No result yet.</p>`}</section>
      <div id="sessions"><${Sessions} project=${project} overview=${overview} start=${start} version=${overview.jobs.map((j) => j.state).join()} /></div>
      <section><h2>Keypoints</h2><p class="facts">${overview.keypoints.join(", ")}</p>
        <p class="facts">${overview.edges.length ? `${overview.edges.length} limbs` : "no limbs"}, ${overview.animals} ${overview.animals === 1 ? "animal" : "animals"}</p>
        <p class="where">${overview.where}</p></section>
    </div>
    ${ended.length > 0 && html`<section><h2>Done before</h2>${ended.slice(0, 12).map((j) => html`<${JobRow} key=${j.name} project=${project} job=${j} onChange=${load} />`)}</section>`}
    ${work && html`<${ResultWork} result=${work} start=${start} onClose=${() => setWork(null)} />`}
    ${dialog === "videos" && html`<${AddVideos} project=${project} onClose=${() => setDialog("")} onDone=${() => { setDialog(""); load(); }} />`}
    ${dialog === "extract" && html`<${Extract} overview=${overview} start=${start} onClose=${() => setDialog("")} />`}
    ${dialog === "train" && html`<${Train} overview=${overview} start=${start} onClose=${() => setDialog("")} />`}
    ${dialog === "analyze" && html`<${Analyze} overview=${overview} start=${start} onClose=${() => setDialog("")} />`}
    ${dialog === "refine" && html`<${Refine} overview=${overview} start=${start} onClose=${() => setDialog("")} />`}
  </div>`;
}


function AddVideos({ project, onClose, onDone }) {
  const [home, setHome] = useState(null);
  const [videos, setVideos] = useState(new Map());
  useEffect(() => { get("/api/home").then(setHome).catch(sayFault); }, []);
  const toggle = (entry) => setVideos((known) => {
    const next = new Map(known);
    if (!next.delete(entry.id)) next.set(entry.id, entry.name);
    return next;
  });
  const add = () => post(api(project, "videos"), { videos: [...videos.keys()] }).then(onDone).catch(sayFault);
  return html`<${Dialog} title="Add videos" onClose=${onClose}>
    ${home && html`<${Folders} roots=${home.roots} only="video" choose=${toggle} chosen=${videos} />`}
    <div class="row"><span class="facts">They stay where they are.</span><span class="space"></span>
      <button class="first" disabled=${!videos.size} onClick=${add}>Add ${videos.size || ""}</button></div></${Dialog}>`;
}

function Extract({ overview, start, onClose }) {
  const [count, setCount] = useState(20);
  const [method, setMethod] = useState("kmeans");
  return html`<${Dialog} title="Choose frames to label" onClose=${onClose}><div class="form">
    <label>Frames of each video <input type="number" min="1" value=${count} onInput=${(e) => setCount(+e.target.value)} /></label>
    <label>How <select value=${method} onChange=${(e) => setMethod(e.target.value)}>
      <option value="kmeans">one of each kind of picture</option><option value="different">most unlike what is labelled</option>
      <option value="uniform">evenly over time</option><option value="random">by chance</option></select></label></div>
    <div class="row"><span class="facts">${overview.videos.length} ${overview.videos.length === 1 ? "video" : "videos"}</span><span class="space"></span>
      <button class="first" disabled=${!(count >= 1)} onClick=${() => start({ kind: "extract", count, method })}>Choose frames</button></div></${Dialog}>`;
}

function Train({ overview, start, onClose }) {
  const [preset, setPreset] = useState("");
  const [init, setInit] = useState("");
  const [steps, setSteps] = useState("");
  return html`<${Dialog} title="Train a model" onClose=${onClose}><div class="form">
    <label>Network <select value=${preset} onChange=${(e) => setPreset(e.target.value)}>
      <option value="">the best that is installed</option><option value="small">small, from nothing</option>
      <option value="pretrained">pretrained, for few labels</option><option value="large">large, for a GPU or a night</option></select></label>
    <label>Start from <select value=${init} onChange=${(e) => setInit(e.target.value)}>
      <option value="">nothing</option>${overview.models.slice().reverse().map((m) => html`<option>${m.name}</option>`)}</select></label>
    <label>Steps <input type="number" min="1" placeholder="chosen from the labels" value=${steps} onInput=${(e) => setSteps(e.target.value)} /></label></div>
    <div class="row"><span class="facts">10 to 20 minutes on two cores; it goes on when this page is closed.</span><span class="space"></span>
      <button class="first" onClick=${() => start({ kind: "train", preset, init, steps: steps ? +steps : null })}>Train</button></div></${Dialog}>`;
}

function Analyze({ overview, start, onClose }) {
  const [model, setModel] = useState("");
  const [videos, setVideos] = useState(new Set(overview.videos.filter((v) => !v.fault && !overview.results.some((r) => r.name === v.name)).map((v) => v.name)));
  const turn = (name) => { const next = new Set(videos); if (!next.delete(name)) next.add(name); setVideos(next); };
  return html`<${Dialog} title="Analyse videos" onClose=${onClose}><div class="form">
    <label>Model <select value=${model} onChange=${(e) => setModel(e.target.value)}><option value="">the newest</option>
      ${overview.models.slice().reverse().map((m) => html`<option>${m.name}</option>`)}</select></label>
    <fieldset><legend>Videos</legend>${overview.videos.map((v) => html`<label class="check"><input type="checkbox" checked=${videos.has(v.name)}
      disabled=${!!v.fault} onChange=${() => turn(v.name)} /> ${v.name}</label>`)}</fieldset></div>
    <div class="row"><span class="space"></span><button class="first" disabled=${!videos.size || !overview.models.length}
      onClick=${() => start({ kind: "analyze", model, videos: [...videos] })}>Analyse ${videos.size}</button></div></${Dialog}>`;
}

function Refine({ overview, start, onClose }) {
  const [count, setCount] = useState(20);
  return html`<${Dialog} title="Find the worst frames" onClose=${onClose}><div class="form">
    <label>Frames in all <input type="number" min="1" value=${count} onInput=${(e) => setCount(+e.target.value)} /></label></div>
    <div class="row"><span class="facts">The model's poses wait there as proposals, to be corrected.</span><span class="space"></span>
      <button class="first" disabled=${!(count >= 1)} onClick=${() => start({ kind: "refine", count, results: overview.results.map((r) => r.name) })}>Find them</button></div></${Dialog}>`;
}
