// Work in progress: how far, how long still, the log; of a training its curve.
import { html, useEffect, useRef, useState } from "../parts/dom.js";
import { api, get, listen, post } from "../parts/api.js";
import { keepPainted } from "../parts/canvas.js";
import { sayFault } from "../parts/store.js";
import { drawCurves } from "../parts/plot.js";
import { Fill } from "../parts/bar.js";
import { Report } from "../parts/sessions.js";

const WORDS = { queued: "waits for its turn", running: "running", done: "done", failed: "failed", stopped: "stopped", lost: "interrupted" };

const MAKES = ["filter", "render", "export", "track", "triangulate", "calibrate"]; // of these the file is named

export function tellTime(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min left` : `about ${(seconds / 3600).toFixed(1)} h left`;
}

function Actions({ project, job, onChange }) {
  const act = (what) => post(api(project, "jobs", what), { job: job.name }).then(onChange).catch(sayFault);
  const runs = job.state === "running" || job.state === "queued";
  return html`${runs && html`<button onClick=${() => act("stop")}>Stop</button>`}
    ${!runs && job.state !== "done" && html`<button onClick=${() => act("resume")}>Go on</button>`}
    ${!runs && html`<button class="quiet" aria-label=${`take ${job.title} off the list`} onClick=${() => act("remove")}>✕</button>`}`;
}

export function JobRow({ project, job, onChange }) {
  const { done, total, left, note } = job.progress;
  const share = total ? done / total : 0;
  return html`<div class=${`job ${job.state}`}>
    <div class="row"><a href=${`#/p/${project}/job/${encodeURIComponent(job.name)}`}>${job.title}</a>
      <span class="facts">${WORDS[job.state]}${job.state === "running" ? ` ${[note, tellTime(left)].filter(Boolean).join(", ")}` : ""}</span>
      <span class="space"></span><${Actions} project=${project} job=${job} onChange=${onChange} /></div>
    ${job.state === "running" && html`<div class="bar" role="progressbar" aria-valuenow=${Math.round(100 * share)} aria-valuemin="0" aria-valuemax="100"><${Fill} share=${share} /></div>`}
    ${job.said && MAKES.includes(job.kind) && html`<p class="where">${job.said}</p>`}
    ${job.fault && html`<p class="fault">${job.fault}</p>`}</div>`;
}

export function JobPage({ project, parts }) {
  const [job, setJob] = useState(null);
  const isModel = parts[0] === "model";
  const load = () => (isModel
    ? get(api(project, "curve", parts[1])).then((curve) => setJob({ title: parts[1], curve, progress: {} }))
    : get(api(project, "jobs", parts[0])).then(setJob)).catch(sayFault);
  useEffect(() => {
    load();
    const stop = listen(project, (event) => { if (["jobs", "models", "hello"].includes(event.kind)) load(); });
    return stop;
  }, [project, parts.join("/")]);
  if (!job) return html`<p class="wait">Looking at the job</p>`;
  const share = job.progress.total ? job.progress.done / job.progress.total : 0;
  return html`<div class="sheet">
    <div class="row"><h1>${job.title}</h1><span class="facts">${WORDS[job.state] ?? ""}</span><span class="space"></span>
      ${job.state && html`<${Actions} project=${project} job=${job} onChange=${(found) => { if (found?.jobs) location.hash = `/p/${project}`; else load(); }} />`}</div>
    ${job.state === "running" && html`<div class="bar tall"><${Fill} share=${share} /></div>
      <p>${[job.progress.what, job.progress.note, tellTime(job.progress.left)].filter(Boolean).join(", ")}</p>`}
    ${job.fault && html`<p class="fault">${job.fault}</p>`}
    ${job.report && html`<section><h2>Calibration</h2><${Report} report=${job.report} /></section>`}
    ${job.curve && html`<${Curve} curve=${job.curve} />`}
    ${job.log && html`<section><h2>Log</h2><pre class="log" tabindex="0">${job.log}</pre></section>`}
    ${job.command && html`<p class="facts">The same by the command line: <code>${job.command}</code></p>`}
  </div>`;
}

function Curve({ curve }) {
  const errors = useRef(), losses = useRef();
  const steps = curve.step ?? [];
  const held = curve.validation_error ?? curve.test_error ?? []; // an older mapose looked at test frames
  useEffect(() => {
    const draw = () => {
      drawCurves(errors.current, { x: steps, unit: "px", lines: [
        { name: "training", y: curve.train_error ?? [], colour: "#8a919e", dash: [5, 4] },
        { name: "validation", y: held, colour: "#d6409f" }] });
      drawCurves(losses.current, { x: steps, lines: [{ name: "loss", y: curve.loss ?? [], colour: "#1890cc" }] });
    };
    draw();
    return keepPainted(errors.current, draw);
  }, [curve]);
  const end = (list) => [...(list ?? [])].reverse().find((v) => v != null);
  const test = end(held), train = end(curve.train_error);
  return html`<section>
    ${!steps.length && html`<p class="facts">The curve begins with the first look at the validation frames.</p>`}
    <div class="columns"><figure><figcaption>Error, px over steps${train != null ? `: now ${test != null ? `${test.toFixed(2)} on validation frames, ` : ""}${train.toFixed(2)} on training frames` : ""}</figcaption>
      <canvas ref=${errors} class="curve" role="img" aria-label="error over steps"></canvas></figure>
      <figure><figcaption>Loss over steps</figcaption><canvas ref=${losses} class="curve" role="img" aria-label="loss over steps"></canvas></figure></div>
    ${test != null && train > 0 && test > 4 * train && html`<p>The validation error is ${(test / train).toFixed(0)} times the training error: label more different frames.</p>`}
  </section>`;
}
