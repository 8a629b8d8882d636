// A list of the server's folders: a browser cannot hand over the path of a file.
import { html, useEffect, useState } from "./dom.js";
import { get } from "./api.js";
import { sayFault } from "./store.js";

const SIGNS = { folder: "▸", project: "◆", video: "▶", result: "≋" };

export function tellSize(bytes) {
  if (bytes == null) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power && bytes / 1000 ** power < 10 ? 1 : 0)} ${units[power]}`;
}

// choose(entry) is called for what is chosen; only: the kind that can be chosen.
// chosen: ids that are marked; onFolder(id, name) tells where one is.
export function Folders({ roots, choose, only, chosen = null, onFolder = () => {} }) {
  const [place, setPlace] = useState(roots[0]?.id);
  const [folder, setFolder] = useState(null);
  useEffect(() => {
    if (!place) return;
    get(`/api/folder/${place}`).then((found) => { setFolder(found); onFolder(found.id, found.name); })
      .catch(sayFault);
  }, [place]);
  if (!folder) return html`<p class="wait">Reading the folder</p>`;
  const within = roots.find((r) => folder.name === r.name || folder.name.startsWith(`${r.name}/`) || folder.name.startsWith(`${r.name}\\`));
  const shown = folder.entries.filter((e) => e.kind === "folder" || e.kind === only ||
    (e.kind === "project" && only === "project"));
  return html`<div class="folders">
    <div class="row">
      ${roots.length > 1 && html`<select aria-label="allowed folders" value=${within?.id}
        onChange=${(e) => setPlace(e.target.value)}>${roots.map((r) => html`<option value=${r.id}>${r.name}</option>`)}</select>`}
      <button disabled=${!folder.parent} onClick=${() => setPlace(folder.parent)}>↑ Up</button>
      <span class="where">${folder.name}</span></div>
    <ul>${shown.map((e) => html`<li><button class=${`entry ${e.kind}`}
        aria-pressed=${chosen ? String(chosen.has(e.id)) : null}
        onClick=${() => (e.kind === "folder" ? setPlace(e.id) : choose(e))}>
        <span class="sign" aria-hidden="true">${chosen?.has(e.id) ? "✓" : SIGNS[e.kind]}</span>
        <span class="name">${e.name}</span><span class="size">${tellSize(e.size)}</span></button></li>`)}
      ${!shown.length && html`<li class="facts">Nothing to choose here.
        Other folders are shown where the app is started with --root FOLDER.</li>`}
    </ul></div>`;
}
