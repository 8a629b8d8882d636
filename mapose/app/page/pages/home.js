// The first page: projects lately used, open another one, begin a new one.
import { html, useEffect, useState } from "../parts/dom.js";
import { get, post, stillAddress } from "../parts/api.js";
import { sayFault } from "../parts/store.js";
import { Folders } from "../parts/folders.js";
import { Dialog } from "../parts/shortcuts.js";

const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

export function Home() {
  const [home, setHome] = useState(null);
  const [opening, setOpening] = useState(false);
  useEffect(() => { get("/api/home").then(setHome).catch(sayFault); }, []);
  const open = (place) => post("/api/open", { place })
    .then(({ project }) => { location.hash = `/p/${project}`; }).catch(sayFault);
  if (!home) return html`<p class="wait">Looking for projects</p>`;
  return html`<div class="sheet">
    <div class="row"><h1>Projects</h1><span class="space"></span>
      <button onClick=${() => setOpening(true)}>Open…</button>
      <a class="button first" href="#/new">New project</a></div>
    ${!home.recent.length && html`<div class="empty">
      <p>No project yet. Choose videos, name the keypoints on a frame, and label.</p>
      <a class="button first" href="#/new">New project</a></div>`}
    <div class="cards">${home.recent.map((p) => html`<button class="card" onClick=${() => open(p.id)}>
      <span class="cover">${p.still
        ? html`<img src=${stillAddress(p.id, p.still[0], p.still[1], 200)} alt="" loading="lazy" />`
        : html`<span class="blank">no frame yet</span>`}</span>
      <strong>${p.name}</strong>
      ${p.fault ? html`<span class="fault">${p.fault}</span>` : html`<span class="facts">
        ${count(p.animals, "animal")} · ${count(p.keypoints, "keypoint")} · ${count(p.labels, "label")}
        ${p.error != null && ` · ${p.error.toFixed(1)} px`}</span>`}
      <span class="where">${p.where}</span></button>`)}
    </div>
    ${opening && html`<${Dialog} title="Open a project" onClose=${() => setOpening(false)}>
      <${Folders} roots=${home.roots} choose=${(e) => e.kind === "project" && open(e.id)} only="project" />
    </${Dialog}>`}
  </div>`;
}
