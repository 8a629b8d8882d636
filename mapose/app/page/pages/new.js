// A new project: choose videos, name keypoints by clicking them on a frame, connect them.
import { html, useEffect, useRef, useState } from "../parts/dom.js";
import { get, post } from "../parts/api.js";
import { say, sayFault } from "../parts/store.js";
import { Folders } from "../parts/folders.js";
import { View, Pictures } from "../parts/canvas.js";
import { drawLimb, drawMark, drawName } from "../parts/marks.js";
import { hue } from "../parts/palette.js";

const STEPS = ["Videos", "Keypoints", "Limbs", "Animals"];
const pictures = new Pictures(8);

export function NewProject() {
  const [home, setHome] = useState(null);
  const [step, setStep] = useState(0);
  const [videos, setVideos] = useState(new Map());
  const [points, setPoints] = useState([]); // {name, x, y}
  const [edges, setEdges] = useState([]);
  const [animals, setAnimals] = useState(1);
  const [names, setNames] = useState("");
  const [title, setTitle] = useState("");
  const [place, setPlace] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => { get("/api/home").then(setHome).catch(sayFault); }, []);
  if (!home) return html`<p class="wait">Looking for folders</p>`;
  const faults = [videos.size ? "" : "Choose at least one video.",
    points.length ? "" : "Name at least one keypoint.", "", title.trim() ? "" : "Give the project a name."];
  const toggle = (entry) => setVideos((known) => {
    const next = new Map(known);
    if (!next.delete(entry.id)) next.set(entry.id, entry.name);
    return next;
  });
  const create = async () => {
    setBusy(true);
    const listed = names.split(",").map((n) => n.trim()).filter(Boolean);
    try {
      const { project } = await post("/api/new", {
        place, name: title.trim(), keypoints: points.map((p) => p.name), edges,
        individuals: listed.length ? listed : animals, videos: [...videos.keys()],
      });
      location.hash = `/p/${project}`;
    } catch (error) { sayFault(error); setBusy(false); }
  };
  return html`<div class="sheet wizard">
    <div class="row"><h1>New project</h1></div>
    <ol class="steps">${STEPS.map((words, n) => html`<li><button aria-current=${n === step ? "step" : null}
      disabled=${faults.slice(0, n).some(Boolean)} onClick=${() => setStep(n)}>${n + 1} ${words}
      <span class="facts">${[videos.size || "", points.length || "", edges.length || "", ""][n]}</span></button></li>`)}</ol>
    ${step === 0 && html`<p>Which videos? They stay where they are.</p>
      <${Folders} roots=${home.roots} only="video" choose=${toggle} chosen=${videos} />`}
    ${step === 1 && html`<p>Click a keypoint on the animal, and type its name. Right or middle button moves the picture, the wheel zooms.</p>
      <${Body} video=${[...videos.keys()][0]} points=${points} setPoints=${setPoints} edges=${edges} setEdges=${setEdges} />`}
    ${step === 2 && html`<p>Click two keypoints to connect them; click them again to part them. Limbs help to tell animals apart.</p>
      <${Body} video=${[...videos.keys()][0]} points=${points} setPoints=${setPoints} edges=${edges} setEdges=${setEdges} joining />`}
    ${step === 3 && html`<div class="form">
      <label>How many animals are there at most?
        <input type="number" min="1" max="1000" value=${animals} onInput=${(e) => setAnimals(Math.max(1, +e.target.value || 1))} /></label>
      <label>Their names, if they have any, separated by commas
        <input value=${names} placeholder="Anna, Bea" onInput=${(e) => setNames(e.target.value)} /></label>
      <label>Name of the project
        <input value=${title} placeholder="mice" onInput=${(e) => setTitle(e.target.value)} /></label>
      <p>In which folder?</p>
      <${Folders} roots=${home.roots} only="none" choose=${() => {}} onFolder=${(id) => setPlace(id)} /></div>`}
    <div class="row">
      <button disabled=${!step} onClick=${() => setStep(step - 1)}>Back</button>
      <span class="space"></span><span class="facts">${faults[step]}</span>
      ${step < 3 ? html`<button class="first" disabled=${!!faults[step]} onClick=${() => setStep(step + 1)}>Next: ${STEPS[step + 1]}</button>`
        : html`<button class="first" disabled=${!!faults[3] || busy} onClick=${create}>${busy ? "Making the project" : "Make the project"}</button>`}
    </div></div>`;
}

function Body({ video, points, setPoints, edges, setEdges, joining = false }) {
  const host = useRef(), view = useRef(), latest = useRef();
  const [facts, setFacts] = useState(null);
  const [frame, setFrame] = useState(0);
  const [picked, setPicked] = useState(null);
  latest.current = { points, edges, picked, joining };
  useEffect(() => {
    view.current = new View(host.current, draw);
    get(`/api/video/${video}`).then((f) => { setFacts(f); setFrame(Math.floor(f.frames / 2)); }).catch(sayFault);
    return () => view.current.close();
  }, [video]);
  useEffect(() => {
    if (!facts) return;
    let wanted = true;
    pictures.get(`/peek/${video}/${frame}`).then((b) => wanted && view.current.show(b)).catch(sayFault);
    return () => { wanted = false; };
  }, [facts, frame]);
  useEffect(() => view.current.repaint(), [points, edges, picked, joining]);

  function draw(context, at) {
    const { points, edges, picked } = latest.current;
    const spot = Object.fromEntries(points.map((p) => [p.name, at.toScreen(p.x, p.y)]));
    for (const [a, b] of edges) if (spot[a] && spot[b]) drawLimb(context, spot[a], spot[b], "#cfd3da");
    points.forEach((p, n) => {
      const [x, y] = spot[p.name];
      drawMark(context, x, y, { colour: hue(n, points.length), selected: p.name === picked });
      drawName(context, p.name, x, y - 8, hue(n, points.length));
    });
  }
  const nearest = (event) => {
    const [x, y] = view.current.place(event);
    const away = points.map((p) => { const [a, b] = view.current.toScreen(p.x, p.y); return Math.hypot(a - x, b - y); });
    const least = Math.min(...away);
    return least < 16 ? points[away.indexOf(least)].name : null;
  };
  const join = (name) => {
    if (!name) return setPicked(null);
    if (!picked || picked === name) return setPicked(picked === name ? null : name);
    const same = ([a, b]) => (a === picked && b === name) || (a === name && b === picked);
    setEdges(edges.some(same) ? edges.filter((e) => !same(e)) : [...edges, [picked, name]]);
    setPicked(name);
  };
  const add = (x, y) => {
    const free = Array.from({ length: 999 }, (_, n) => `point${n + 1}`).find((n) => !points.some((p) => p.name === n));
    setPoints([...points, { name: free, x, y }]);
    setTimeout(() => { const inputs = document.querySelectorAll(".bodylist input"); inputs[inputs.length - 1]?.select(); }, 0);
  };
  const rename = (n, name) => {
    const clean = name.replace(/[,\s>-]+/g, "_");
    if (points.some((p, m) => m !== n && p.name === clean)) return say(`There is a ${clean} already.`);
    const old = points[n].name;
    setPoints(points.map((p, m) => (m === n ? { ...p, name: clean } : p)));
    setEdges(edges.map((e) => e.map((k) => (k === old ? clean : k))));
    return null;
  };
  const remove = (n) => {
    setEdges(edges.filter((e) => !e.includes(points[n].name)));
    setPoints(points.filter((_, m) => m !== n));
  };
  const drag = useRef(null);
  const press = (event) => {
    event.preventDefault();
    const place = view.current.place(event);
    if (event.button !== 0) { drag.current = place; view.current.marks.setPointerCapture(event.pointerId); return; }
    const name = nearest(event);
    if (joining) join(name);
    else if (!name) add(...view.current.toImage(...place));
  };
  const pull = (event) => {
    if (!drag.current) return;
    const place = view.current.place(event);
    view.current.move(place[0] - drag.current[0], place[1] - drag.current[1]);
    drag.current = place;
  };
  return html`<div class="body">
    <div class="stage" ref=${host} role="application" aria-label="picture" onPointerDown=${press} onPointerMove=${pull}
      onPointerUp=${() => { drag.current = null; }} onContextMenu=${(e) => e.preventDefault()}
      onWheel=${(e) => { e.preventDefault(); view.current.zoom(Math.exp(-e.deltaY / 400), ...view.current.place(e)); }}></div>
    <aside class="bodylist">
      ${facts && html`<label>Frame ${frame} of ${facts.frames - 1}
        <input type="range" min="0" max=${facts.frames - 1} value=${frame} onInput=${(e) => setFrame(+e.target.value)} /></label>`}
      <ol>${points.map((p, n) => html`<li key=${n}>
        ${joining ? html`<button class="entry" aria-pressed=${String(picked === p.name)} onClick=${() => join(p.name)}>${p.name}</button>`
          : html`<input aria-label=${`name of keypoint ${n + 1}`} value=${p.name} maxlength="100" onChange=${(e) => rename(n, e.target.value)} />
            <button class="quiet" aria-label=${`remove ${p.name}`} onClick=${() => remove(n)}>✕</button>`}</li>`)}</ol>
      ${joining ? html`<ul>${edges.map((e) => html`<li><span>${e[0]} – ${e[1]}</span>
          <button class="quiet" aria-label=${`part ${e[0]} and ${e[1]}`} onClick=${() => setEdges(edges.filter((o) => o !== e))}>✕</button></li>`)}</ul>`
        : html`<button onClick=${() => { const v = view.current; if (v.bitmap) add(v.bitmap.width * (0.3 + 0.05 * points.length), v.bitmap.height / 2); }}>Add a keypoint</button>`}
    </aside></div>`;
}
