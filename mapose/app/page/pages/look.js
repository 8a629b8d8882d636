// Figures that training, evaluation and plotting have made; models side by side.
import { html, useEffect, useState } from "../parts/dom.js";
import { api, get } from "../parts/api.js";
import { sayFault } from "../parts/store.js";
import { Dialog, useShortcuts } from "../parts/shortcuts.js";

export function Look({ project }) {
  const [groups, setGroups] = useState(null);
  const [large, setLarge] = useState(null);
  useEffect(() => { get(api(project, "figures")).then((f) => setGroups(f.groups)).catch(sayFault); }, [project]);
  const all = (groups ?? []).flatMap((g) => g.figures);
  const turn = (by) => setLarge((old) => old && all[(all.findIndex((f) => f.id === old.id) + by + all.length) % all.length]);
  useShortcuts([["ArrowRight", "", () => turn(1)], ["ArrowLeft", "", () => turn(-1)]]);
  if (!groups) return html`<p class="wait">Looking for figures</p>`;
  const models = groups.filter((g) => g.kind === "model");
  return html`<div class="sheet"><h1 class="unseen">Look</h1>
    ${!groups.length && html`<div class="empty"><p>No figure yet. A training makes the first one; <code>mapose evaluate</code> and <code>mapose plot</code> make more.</p>
      <a class="button first" href=${`#/p/${project}`}>To the project</a></div>`}
    ${models.length > 1 && html`<section><h2>Models side by side</h2><table><tbody>${models.map((m) => html`<tr><td>
      <a href=${`#/p/${project}/job/model/${encodeURIComponent(m.name)}`}>${m.name}</a></td><td>${m.facts.figures ?? ""}</td><td>${m.facts.frames ?? ""}</td></tr>`)}</tbody></table></section>`}
    ${groups.map((g) => html`<section key=${g.name}><div class="row"><h2>${g.kind === "model" ? `Model ${g.name}` : g.name === "labels" ? "Sheets of labelled frames" : "Results"}</h2>
      <span class="facts">${g.facts.figures ?? ""}</span></div>
      ${g.figures.length ? html`<div class="figures">${g.figures.map((f) => html`<button class="card" onClick=${() => setLarge(f)}>
        <img src=${`/figure/${f.id}`} alt="" loading="lazy" /><span class="facts">${f.name}</span></button>`)}</div>`
        : html`<p class="facts">No figure yet: evaluate the model on the project's page.</p>`}</section>`)}
    ${large && html`<${Dialog} key=${large.id} title=${large.name} wide onClose=${() => setLarge(null)}><img class="large" src=${`/figure/${large.id}`} alt=${large.name} />
      ${large.frame && html`<div class="row"><span class="space"></span><a class="button" href=${`#/p/${project}/label/${large.frame.map(encodeURIComponent).join("/")}`}>Open in Label</a></div>`}</${Dialog}>`}
  </div>`;
}
