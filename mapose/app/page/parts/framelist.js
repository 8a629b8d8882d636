// The frames that are labelled or wait: only those in view are drawn, however many there are.
import { html, useEffect, useRef, useState } from "./dom.js";
import { stillAddress } from "./api.js";

const ROW = 64;
const FILTERS = {
  all: ["All", () => true],
  unfinished: ["Unfinished", (labels, f) => !labels.isDone(f)],
  proposed: ["Proposed", (labels, f) => f.proposed > 0 && !labels.isDone(f)],
  done: ["Complete", (labels, f) => labels.isDone(f)],
};

const tell = (labels, f) => (labels.isDone(f) ? "complete" : f.marked ? `${f.marked} of ${labels.wanted}`
  : f.proposed ? "proposed" : "empty");

export function FrameList({ project, labels, at, go, begin = "all", asked, propose }) {
  const [filter, setFilter] = useState(begin);
  const [top, setTop] = useState(0);
  const list = useRef();
  const frames = labels.frames.filter((f) => FILTERS[filter][1](labels, f));
  const here = at ? frames.findIndex((f) => f.video === at.video && f.image === at.image) : -1;
  useEffect(() => {
    if (here < 0 || !list.current) return;
    const { scrollTop, clientHeight } = list.current;
    if (here * ROW < scrollTop || (here + 1) * ROW > scrollTop + clientHeight) {
      list.current.scrollTop = Math.max(0, here * ROW - clientHeight / 2);
    }
  }, [here, filter]);
  const again = filter === "proposed"; // with a newer model, of what nobody has touched
  const ask = labels.frames.filter((f) => f.waits && !f.marked && again === f.proposed > 0);
  const first = Math.max(0, Math.floor(top / ROW) - 4);
  const shown = frames.slice(first, first + Math.ceil((list.current?.clientHeight ?? 800) / ROW) + 8);
  const many = new Set(labels.frames.map((f) => f.video)).size > 1;
  const done = labels.keypoints ? labels.frames.filter((f) => labels.isDone(f)).length : 0;
  return html`<aside class="frames" aria-label="frames">
    <div class="row"><select aria-label="which frames" value=${filter} onChange=${(e) => setFilter(e.target.value)}>
      ${Object.entries(FILTERS).map(([name, [words]]) => html`<option value=${name}>${words}</option>`)}</select>
      <span class="facts">${done} of ${labels.frames.length} complete</span>
      ${asked ? html`<p class="facts" role="status">${labels.model} proposes: ${asked.progress.total ? `${asked.progress.done ?? 0} of ${asked.progress.total} frames` : "starting"}</p>`
        : labels.model && ask.length > 0 && html`<button onClick=${() => propose(ask)}>${again ? `Propose again in ${ask.length}` : `Propose in ${ask.length} empty`}</button>`}</div>
    <div class="scroll" ref=${list} onScroll=${(e) => setTop(e.target.scrollTop)}>
      <div style=${{ height: `${frames.length * ROW}px`, position: "relative" }}>
        ${shown.map((f, n) => html`<button key=${`${f.video}/${f.image}`} class="frame" style=${{ top: `${(first + n) * ROW}px` }}
          aria-current=${first + n === here ? "true" : null} onClick=${() => go(f.video, f.frame, f.image)}>
          <img src=${stillAddress(project, f.video, f.image, 96)} alt="" loading="lazy" fetchpriority="low" />
          <span><b>${f.frame >= 0 ? f.frame : f.image}</b>${many && html`<span class="facts">${f.video}</span>`}
          <span class="facts">${tell(labels, f)}</span></span></button>`)}
      </div>
      ${!frames.length && html`<p class="facts">No frame here${filter === "all" ? " yet: choose some on the project's page" : ""}.</p>`}
    </div></aside>`;
}
