// The frame of all pages: where one is, what is saved, and which page the address names.
import { html, render, useEffect, useState } from "./parts/dom.js";
import { status, useStore, say } from "./parts/store.js";
import { api, get } from "./parts/api.js";
import { Home } from "./pages/home.js";
import { NewProject } from "./pages/new.js";
import { ProjectPage } from "./pages/project.js";
import { Label } from "./pages/label.js";
import { JobPage } from "./pages/job.js";
import { Live } from "./pages/live.js";
import { Look } from "./pages/look.js";
import { Scene } from "./pages/scene.js";
import { Views } from "./pages/views.js";
import { Proofread, ProofreadChoice } from "./pages/proofread.js";

const PAGES = { "": ProjectPage, label: Label, refine: Label, views: Views, look: Look, proofread: ProofreadChoice, job: JobPage };
const TABS = [["", "Project"], ["label", "Label"], ["views", "Cameras"], ["proofread", "Proofread"], ["look", "Look"]];

const readAddress = () => location.hash.slice(1).split("/").filter(Boolean).map(decodeURIComponent);

function App() {
  const [parts, setParts] = useState(readAddress());
  useEffect(() => {
    const turn = () => setParts(readAddress());
    window.addEventListener("hashchange", turn);
    return () => window.removeEventListener("hashchange", turn);
  }, []);
  const inside = parts[0] === "p" && parts[1];
  const page = inside ? parts[2] ?? "" : "";
  const Page = inside ? PAGES[page] ?? ProjectPage : parts[0] === "new" ? NewProject : Home;
  if (parts[0] === "s" && parts[1]) return html`<${Top} project="" page="scene" /><main id="main" tabindex="-1"><${Scene} key=${parts[1]} place=${parts[1]} /></main><${Bottom} />`;
  if (parts[0] === "r" && parts[1]) return html`<${Top} project="" page="proofread" /><main id="main" tabindex="-1"><${Proofread} key=${parts[1]} place=${parts[1]} /></main><${Bottom} />`;
  if (parts[0] === "live") return html`<${Top} project="" page="live" /><main id="main" tabindex="-1"><${Live} /></main><${Bottom} />`;
  const key = inside ? `${parts[1]}/${page}` : parts[0] ?? "home";
  return html`
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>To the page</a>
    <${Top} project=${inside ? parts[1] : ""} page=${page} />
    <main id="main" tabindex="-1"><${Page} key=${key} project=${parts[1]} parts=${parts.slice(3)} /></main>
    <${Bottom} />`;
}

function Top({ project, page }) {
  const { saved, pending, gone } = useStore(status);
  const [title, setTitle] = useState("");
  useEffect(() => {
    setTitle("");
    if (project) get(api(project, "name")).then((found) => setTitle(found.name)).catch(() => {});
  }, [project]);
  useEffect(() => { document.title = title ? `${title} – mapose` : "mapose"; }, [title]);
  return html`<header class="top">
    <a class="home" href="#/" aria-label="mapose: all projects"><img src="/page/icon.svg" alt="" width="20" height="20" /> mapose</a>
    ${project && html`<nav aria-label="pages">
      <span class="title">${title}</span>
      ${TABS.map(([name, words]) => html`<a href=${`#/p/${project}${name && `/${name}`}`}
        aria-current=${page === name ? "page" : null}>${words}</a>`)}
    </nav>`}
    <span class="space"></span>
    ${project && html`<${Working} key=${project} project=${project} />`}
    <span class=${`saved ${gone ? "bad" : ""}`} role="status">
      ${gone ? `The server has stopped. ${saved ? `Everything up to ${saved} is saved.` : ""} Start mapose app again.`
        : pending ? "saving" : saved ? `saved ${saved}` : ""}</span>
  </header>`;
}

// Work that goes on wherever one is; its end is told.
const LOOK = 4000;
function Working({ project }) {
  const [jobs, setJobs] = useState([]);
  useEffect(() => {
    let known = null;
    const look = async () => {
      if (document.hidden) return;
      const found = (await get(api(project, "jobs")).catch(() => null))?.jobs;
      if (!found) return;
      const ended = [];
      for (const job of found) {
        // A short one may begin and end between two looks.
        const before = known ? known.get(job.name) ?? "queued" : null;
        if (before !== "running" && before !== "queued") continue;
        if (job.state === "done" && job.kind !== "propose") ended.push(`Done: ${job.title}.`); // Label tells what was found
        if (job.state === "failed") ended.push(`Failed: ${job.title}. ${job.fault}`);
      }
      const failed = ended.some((words) => words.startsWith("Failed"));
      if (ended.length) say(ended.join(" "), { kind: failed ? "fault" : "info" });
      known = new Map(found.map((job) => [job.name, job.state]));
      setJobs(found.filter((job) => job.state === "running"));
    };
    look();
    const timer = setInterval(look, LOOK);
    return () => clearInterval(timer);
  }, [project]);
  if (!jobs.length) return null;
  const [{ name, title, progress }] = jobs, more = jobs.length > 1 ? ` and ${jobs.length - 1} more` : "";
  return html`<a class="working" href=${`#/p/${project}/job/${encodeURIComponent(name)}`}>${title}${progress.total ? `, ${Math.round(100 * progress.done / progress.total)} %` : ""}${more}</a>`;
}

function Bottom() {
  const { line } = useStore(status);
  if (!line) return null;
  return html`<div class=${`line ${line.kind}`} role=${line.kind === "fault" ? "alert" : "status"}>
    <span>${line.text}</span>
    ${line.action && html`<button onClick=${() => { status.set({ line: null }); line.action.run(); }}>${line.action.text}</button>`}
    <button class="quiet" aria-label="close" onClick=${() => status.set({ line: null })}>✕</button>
  </div>`;
}

window.addEventListener("error", (event) => say(`The page has a fault: ${event.message}`, { kind: "fault" }));
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name !== "AbortError") say(event.reason?.message ?? "The page has a fault.", { kind: "fault" });
});

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
