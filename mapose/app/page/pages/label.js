// Frames are labelled here: by mouse and keyboard, every change saved as it is made.
import { html, showChosen, useEffect, useMemo, useRef, useState } from "../parts/dom.js";
import { api, frameAddress, get, listen, post, stillAddress } from "../parts/api.js";
import { say, sayFault } from "../parts/store.js";
import { View, Pictures } from "../parts/canvas.js";
import { drawLimb, drawMark, drawName } from "../parts/marks.js";
import { KeysHelp, useShortcuts } from "../parts/shortcuts.js";
import { Labels, key } from "../parts/labels.js";
import { FrameList } from "../parts/framelist.js";
import { Strip } from "../parts/strip.js";
import { Hint } from "../parts/hint.js";

const NEAR = 8; // screen pixels within which a click is on a mark
const pictures = new Pictures(64);

export function Label({ project, parts }) {
  const [, redraw] = useState(0);
  const labels = useMemo(() => new Labels(project, () => redraw((n) => n + 1)), [project]);
  const [picked, setPicked] = useState({ i: 0, k: 0 });
  const [help, setHelp] = useState(false);
  const [panels, setPanels] = useState(true);
  const [light, setLight] = useState(null);
  const [hidden, setHidden] = useState(false);
  const [video, setVideo] = useState(null); // {frames, size, rate}
  const [fault, setFault] = useState("");
  const [asked, setAsked] = useState(null); // the job in which a model proposes
  const host = useRef(), view = useRef(), act = useRef({}), pointer = useRef({}), wanted = useRef(null);
  const at = labels.current;
  const refining = useMemo(() => location.hash.split("/")[3] === "refine", [project]);

  useEffect(() => {
    view.current = new View(host.current, (context, v) => act.current.draw?.(context, v));
    labels.load().then(() => {
      const [name, image] = parts;
      const proposed = refining && labels.frames.find((f) => f.proposed && !labels.isDone(f));
      const first = labels.find(name, image) ?? (proposed || null) ?? nextUnfinished(labels, null, 1) ?? labels.frames[0];
      if (first) go(first.video, first.frame, first.image);
      else if (labels.videos.some((v) => !v.fault)) go(labels.videos.find((v) => !v.fault).name, 0);
    }).catch(sayFault);
    const stop = listen(project, (event) => { labels.hear(event); if (event.kind === "jobs") act.current.lookAtJob?.(); });
    const stay = (event) => { if (labels.queue.length) event.preventDefault(); };
    window.addEventListener("beforeunload", stay);
    return () => { window.removeEventListener("beforeunload", stay); stop(); view.current.close(); };
  }, [project]);

  const address = (name, frame, image) => (labels.find(name, image)
    ? stillAddress(project, name, image) : frameAddress(project, name, frame));

  // Show a frame: the picture, then what is marked in it; what comes next is fetched ahead.
  const go = (name, frame, image = "", { scrub = false } = {}) => {
    labels.open(name, frame, image).then(() => setPicked(firstMissing(labels, 0))).catch(sayFault);
    const place = labels.current;
    wanted.current?.abort();
    wanted.current = new AbortController();
    setFault("");
    const source = scrub ? `${frameAddress(project, name, frame)}?scrub=label` : address(name, frame, place.image);
    pictures.get(source, wanted.current.signal).then((bitmap) => {
      if (labels.current === place) view.current.show(bitmap);
    }).catch((error) => {
      if (labels.current !== place || error.name === "AbortError" || error.code === 410) return;
      view.current.show(null); setFault(error.message);
    });
    history.replaceState(null, "", `#/p/${project}/label/${encodeURIComponent(name)}/${encodeURIComponent(place.image)}`);
    const ahead = [nextUnfinished(labels, place, 1), neighbour(labels, place, 1)];
    for (const entry of ahead) if (entry) pictures.get(stillAddress(project, entry.video, entry.image)).catch(() => {});
    const known = labels.videos?.some((v) => v.name === name && !v.fault);
    if (frame >= 0 && known) get(api(project, "video", name)).then(setVideo).catch(() => setVideo(null));
    else setVideo(null);
  };
  const goTo = (entry, words) => (entry ? go(entry.video, entry.frame, entry.image) : say(words));
  const step = (by) => {
    if (!at) return;
    if (!video || at.frame < 0) return goTo(neighbour(labels, at, Math.sign(by)), "There is no other frame.");
    const frame = Math.min(Math.max(at.frame + by, 0), video.frames - 1);
    if (frame !== at.frame) go(at.video, frame);
    return null;
  };

  const names = labels.individuals ?? [], keypoints = labels.keypoints ?? [];
  const who = names[picked.i], what = keypoints[picked.k];
  const many = names.length > 1;
  const colour = (i, k) => (many ? labels.colours.individuals[i] : labels.colours.keypoints[k]);
  const mark = (i, k) => labels.marks.get(key(names[i], keypoints[k]));
  const put = (list) => labels.put(list);
  const advance = () => setPicked(firstMissing(labels, picked.i, picked.k));
  const setPoint = (x, y) => {
    if (!at || !labels.ready || !view.current.bitmap) return;
    const { width, height } = view.current.bitmap;
    if (x < -0.5 || y < -0.5 || x > width - 0.5 || y > height - 0.5) return;
    put([[who, what, [round(x), round(y), "visible", "person"]]]);
    advance();
  };
  const accept = () => {
    const list = [];
    for (const [spot, [x, y]] of labels.proposal) {
      const [i, k] = spot.split("\n");
      if (!labels.marks.has(spot)) list.push([i, k, [x, y, "visible", "model"]]);
    }
    if (!list.length) return say("Nothing is proposed here that is not set already.");
    put(list);
    setPicked(firstMissing(labels, 0));
    return null;
  };
  // A model looks at frames in a job of its own; what it finds comes with the events.
  const propose = (frames) => {
    if (!labels.model) return say("No model yet: label some frames and train one, then it proposes the rest.");
    if (asked) return say(`${labels.model} is at it already.`);
    post(api(project, "jobs"), { request: { kind: "propose", frames: frames.map((f) => `${f.video}:${labels.find(f.video, f.image) ? f.image : f.frame}`) } }).then(setAsked).catch(sayFault);
    return null;
  };
  const lookAtJob = async () => {
    if (!asked) return;
    const job = await get(api(project, "jobs", asked.name)).catch(() => null);
    if (job && ["queued", "running"].includes(job.state)) { setAsked(job); return; }
    setAsked(null);
    if (job?.state === "failed") say(job.fault, { kind: "fault" });
    else if (job) say((job.log ?? "").trim().split("\n").find((l) => l.includes(" has found ")) ?? "Nothing was proposed.");
  };
  const copy = async () => {
    const before = labels.frames.filter((f) => f.video === at.video && f.marked && f.frame < at.frame).pop();
    if (!before) return say("No labelled frame before this one.");
    const place = labels.current;
    const found = await get(`${api(project, "labels", before.video)}?image=${encodeURIComponent(before.image)}&frame=${Math.max(before.frame, 0)}`);
    if (place !== labels.current) return null;
    const list = found.marks.filter(([i, k, m]) => m[0] != null && !labels.marks.has(key(i, k)))
      .map(([i, k, m]) => [i, k, [m[0], m[1], m[2], "copy"]]);
    if (!list.length) return say("Everything is set already.");
    put(list);
    return null;
  };
  const absent = (all) => {
    const list = keypoints.map((k, n) => [n, k]).filter(([n]) => labels.owns(picked.i, n) && (all ? !mark(picked.i, n) : n === picked.k))
      .map(([, k]) => [who, k, [null, null, "absent", "person"]]);
    put(list); advance();
  };
  const occlude = () => {
    const m = mark(picked.i, picked.k);
    if (!m || m[0] == null) return say(`Set ${what} first, then say that it is occluded.`);
    put([[who, what, [m[0], m[1], m[2] === "occluded" ? "visible" : "occluded", m[3] || "person"]]]);
    return null;
  };
  const remove = () => { if (mark(picked.i, picked.k)) put([[who, what, null]]); };
  const nudge = (event, pressed) => {
    const size = pressed.includes("Ctrl") ? 50 : pressed.includes("Shift") ? 5 : 0.5;
    const dir = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const m = mark(picked.i, picked.k);
    if (!m || m[0] == null) return say(`Enter sets ${what} in the middle of the view; arrows then move it.`);
    put([[who, what, [round(m[0] + size * dir[0]), round(m[1] + size * dir[1]), m[2], "person"]]]);
    return null;
  };
  const pick = (by) => {
    let { k } = picked;
    do k = (k + by + keypoints.length) % keypoints.length; while (!labels.owns(picked.i, k));
    setPicked({ ...picked, k });
  };
  const zoomKey = (factor) => view.current.zoom(factor);

  const keys = [
    ["D", "next frame of the video", () => step(1), "Frames"], ["A", "frame before", () => step(-1), "Frames"],
    ["Shift+D", "ten frames on", () => step(10), "Frames"], ["Shift+A", "ten frames back", () => step(-10), "Frames"],
    ["E", "next unfinished frame", () => goTo(nextUnfinished(labels, at, 1), "No other frame is unfinished."), "Frames"],
    ["Q", "unfinished frame before", () => goTo(nextUnfinished(labels, at, -1), "No other frame is unfinished."), "Frames"],
    ["Shift+E", "next frame of the list", () => goTo(neighbour(labels, at, 1), "This is the last one."), "Frames"],
    ["Shift+Q", "frame of the list before", () => goTo(neighbour(labels, at, -1), "This is the first one."), "Frames"],
    ["S", "next keypoint", () => pick(1), "Points"], ["W", "keypoint before", () => pick(-1), "Points"],
    ["1 2 3 4 5 6 7 8 9", "animal", (e) => { if (+e.key <= names.length) setPicked(firstMissing(labels, +e.key - 1)); }, "Points"],
    ["Enter", "set the keypoint in the middle of the view", () => setPoint(...view.current.toImage(view.current.width / 2, view.current.height / 2)), "Points"],
    ["Space", "accept all that is proposed", accept, "Points"], ["P", "let the model propose in this frame", () => at && propose([at]), "Points"], ["C", "copy from the labelled frame before", copy, "Points"],
    ["X", "absent from the picture", () => absent(false), "Points"], ["Shift+X", "all that is left of the animal is absent", () => absent(true), "Points"],
    ["V", "occluded or visible", occlude, "Points"], ["Delete Backspace", "remove the mark", remove, "Points"],
    ["ArrowLeft ArrowRight ArrowUp ArrowDown", "half a pixel", nudge, "Points"],
    ["Shift+ArrowLeft Shift+ArrowRight Shift+ArrowUp Shift+ArrowDown", "five pixels", nudge, "Points"],
    ["Ctrl+ArrowLeft Ctrl+ArrowRight Ctrl+ArrowUp Ctrl+ArrowDown", "fifty pixels", nudge, "Points"],
    ["Ctrl+Z", "undo, back to the first change", () => labels.turn("undo"), "Past"],
    ["Ctrl+Shift+Z Ctrl+Y", "redo", () => labels.turn("redo"), "Past"],
    ["F", "fit the picture", () => view.current.fit(), "Picture"], ["G", "hide or show marks", () => setHidden(!hidden), "Picture"],
    ["+ =", "nearer", () => zoomKey(1.25), "Picture"], ["-", "farther", () => zoomKey(0.8), "Picture"],
    ["B", "brightness and contrast", () => setLight(light ? null : { brightness: 1, contrast: 1 }), "Picture"],
    ["H", "panels away and back", () => setPanels(!panels), "Picture"], ["?", "all keys", () => setHelp(true), "Picture"],
  ];
  useShortcuts(keys);
  useEffect(() => {
    const turn = (event) => { if (event.key === "Shift") { pointer.current.loupe = event.type === "keydown"; view.current.repaint(); } };
    window.addEventListener("keydown", turn); window.addEventListener("keyup", turn);
    return () => { window.removeEventListener("keydown", turn); window.removeEventListener("keyup", turn); };
  }, []);
  useEffect(() => {
    view.current.picture.style.filter = light ? `brightness(${light.brightness}) contrast(${light.contrast})` : "";
  }, [light]);

  act.current = { lookAtJob, ...makeMouse({ view, labels, names, keypoints, picked, setPicked, setPoint, put, pointer, accept: (i, k) => {
    const [x, y] = labels.proposal.get(key(i, k)); put([[i, k, [x, y, "visible", "model"]]]); setPicked(firstMissing(labels, names.indexOf(i))); } }),
    draw: (context, v) => draw(context, v, { labels, names, keypoints, picked, colour, many, hidden, pointer: pointer.current }) };
  useEffect(() => view.current?.repaint());
  useEffect(() => showChosen(".points"), [picked.i, picked.k, panels]);

  const state = (i, k) => {
    const m = mark(i, k);
    if (m) return m[2] === "absent" ? "absent" : m[2] === "occluded" ? "occluded" : m[3] === "model" ? "model" : "set";
    return labels.proposal.has(key(names[i], keypoints[k])) ? "proposed" : "missing";
  };
  const complete = labels.ready && labels.marks.size >= labels.wanted;
  const entry = at && labels.find(at.video, at.image);
  return html`<div class=${`label ${panels ? "" : "bare"}`}>
    <h1 class="unseen">Label</h1>
    ${panels && html`<${FrameList} project=${project} labels=${labels} at=${at} go=${go} begin=${refining ? "proposed" : "all"}
      asked=${asked} propose=${propose} />`}
    <section class="middle">
      <div class="stage" ref=${host} tabindex="0" role="application" aria-label="picture with marks; ? lists all keys"
        onPointerDown=${(e) => act.current.press(e)} onPointerMove=${(e) => act.current.move(e)} onPointerUp=${(e) => act.current.lift(e)}
        onPointerLeave=${() => { pointer.current.x = null; view.current.repaint(); }}
        onContextMenu=${(e) => e.preventDefault()} onWheel=${(e) => act.current.wheel(e)}></div>
      ${fault && html`<p class="over fault">${fault}</p>`}
      ${!fault && labels.keypoints && !at && html`<div class="over empty"><p>No frame and no video yet. Choose frames to label on the project's page.</p>
        <a class="button first" href=${`#/p/${project}`}>To the project</a></div>`}
      ${labels.conflict && html`<div class="over conflict" role="alert"><p>${labels.conflict.text}</p>
        <div class="row"><button onClick=${() => labels.settle(false)}>Keep theirs, as shown</button>
        <button onClick=${() => labels.settle(true)}>Put mine in its place</button></div></div>`}
      ${light && html`<div class="over lights">
        ${["brightness", "contrast"].map((n) => html`<label>${n}<input type="range" min="0.3" max="3" step="0.05" value=${light[n]}
          onInput=${(e) => setLight({ ...light, [n]: +e.target.value })} /></label>`)}
        <button onClick=${() => setLight({ brightness: 1, contrast: 1 })}>Reset</button></div>`}
      <${Strip} labels=${labels} at=${at} video=${video} go=${go} />
      <p class="hint" role="status"><span>${!at ? "" : complete ? html`<b>Complete.</b> <button class="small" onClick=${() => goTo(nextUnfinished(labels, at, 1), "No other frame is unfinished.")}>Next unfinished frame <kbd>E</kbd></button>`
        : html`Next: <b>${what}</b>${many ? ` of ${who}` : ""}. Click sets it${[...labels.proposal.keys()].some((s) => !labels.marks.has(s)) ? "; Space accepts what is proposed" : ""}. ?: all keys`}</span>
        <span class="space"></span><span class="facts">${at ? `${at.video}${at.frame >= 0 ? `, frame ${at.frame}${video ? ` of ${video.frames - 1}` : ""}` : `, ${at.image}`}` : ""}
        ${entry?.reason ? ` (${entry.reason})` : ""}</span></p>
    </section>
    ${panels && labels.keypoints && html`<aside class="side" aria-label="animals and keypoints">
      <${Hint} page="label">A click sets the keypoint in bold and goes on to the next. Drag moves a point, the wheel zooms, the right button moves the picture.</${Hint}>
      ${many && html`<div class="animals" role="group" aria-label="animals">${names.map((n, i) => html`<button aria-pressed=${String(i === picked.i)}
        onClick=${() => setPicked(firstMissing(labels, i))}><${Dot} colour=${labels.colours.individuals[i]} /> ${i < 9 ? `${i + 1} ` : ""}${n}</button>`)}</div>`}
      <ul class="points">${keypoints.map((n, k) => labels.owns(picked.i, k) && html`<li><button class=${`point ${state(picked.i, k)}`} aria-pressed=${String(k === picked.k)}
        onClick=${() => setPicked({ ...picked, k })}><${Sign} state=${state(picked.i, k)} colour=${colour(picked.i, k)} />
        <span class="name">${n}</span><span class="facts">${tellState(state(picked.i, k), labels.proposal.get(key(names[picked.i], n)))}</span></button></li>`)}</ul>
      <div class="tools">
        <button onClick=${accept} disabled=${![...labels.proposal.keys()].some((s) => !labels.marks.has(s))}>Accept <kbd>Space</kbd></button>
        <button onClick=${() => at && propose([at])} disabled=${!!asked}>Propose <kbd>P</kbd></button>
        <button onClick=${copy}>Copy <kbd>C</kbd></button><button onClick=${() => absent(false)}>Absent <kbd>X</kbd></button>
        <button onClick=${occlude}>Occluded <kbd>V</kbd></button><button onClick=${remove}>Remove <kbd>Del</kbd></button>
        <button onClick=${() => labels.turn("undo")}>Undo <kbd>Ctrl Z</kbd></button>
        <button onClick=${() => labels.turn("redo")}>Redo</button><button class="wide" onClick=${() => setHelp(true)}>All keys <kbd>?</kbd></button></div>
    </aside>`}
    ${help && html`<${KeysHelp} keys=${[...keys, ["Drag", "move a point", null, "Mouse"], ["Alt+Drag", "move the whole animal", null, "Mouse"],
      ["Alt+Wheel", "turn the whole animal", null, "Mouse"], ["Wheel", "zoom", null, "Mouse"], ["RightDrag", "move the picture", null, "Mouse"],
      ["Shift", "loupe, while it is held", null, "Mouse"]]} onClose=${() => setHelp(false)} />`}
  </div>`;
}

const round = (v) => Math.round(v * 100) / 100;
const tellState = (state, proposal) => ({ set: "", model: "accepted", occluded: "occluded", absent: "absent", missing: "",
  proposed: proposal?.[2] != null ? html`<span class="unseen">proposed </span>${proposal[2].toFixed(2)}` : "proposed" })[state];
const Dot = ({ colour }) => html`<svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="5" fill=${colour} /></svg>`;

function Sign({ state, colour }) {
  const common = { cx: 8, cy: 8, r: 5, stroke: colour, "stroke-width": 2, fill: "none" };
  return html`<svg width="16" height="16" aria-hidden="true">
    ${state === "set" && html`<circle ...${common} fill=${colour} />`}
    ${state === "model" && html`<circle ...${common} fill=${colour} /><circle cx="8" cy="8" r="2" fill="#fff" />`}
    ${state === "proposed" && html`<circle ...${common} />`}
    ${state === "occluded" && html`<circle ...${common} stroke-dasharray="3 2.2" />`}
    ${state === "absent" && html`<path d="M3 8h10" stroke=${colour} stroke-width="2" />`}
    ${state === "missing" && html`<circle cx="8" cy="8" r="1.5" fill=${colour} />`}</svg>`;
}

// The next keypoint without a mark, from a place on; then of the next animal.
function firstMissing(labels, i, after = -1) {
  const { individuals, keypoints, marks } = labels;
  if (!keypoints) return { i: 0, k: 0 };
  for (let n = 0; n < individuals.length; n++) {
    const animal = (i + n) % individuals.length;
    for (let m = 1; m <= keypoints.length; m++) {
      const k = n ? m - 1 : (after + m) % keypoints.length;
      if (labels.owns(animal, k) && !marks.has(key(individuals[animal], keypoints[k]))) return { i: animal, k };
    }
  }
  return { i, k: Math.max(after, keypoints.findIndex((_, k) => labels.owns(i, k))) };
}

const position = (labels, at) => {
  const exact = labels.frames.findIndex((f) => f.video === at.video && f.image === at.image);
  if (exact >= 0) return exact;
  const later = labels.frames.findIndex((f) => f.video > at.video || (f.video === at.video && f.frame > at.frame));
  return (later < 0 ? labels.frames.length : later) - 0.5;
};

function neighbour(labels, at, by) {
  return at ? labels.frames[by > 0 ? Math.floor(position(labels, at) + 1) : Math.ceil(position(labels, at) - 1)] : labels.frames[0];
}

function nextUnfinished(labels, at, by) {
  const count = labels.frames.length;
  let n = at ? (by > 0 ? Math.floor(position(labels, at)) : Math.ceil(position(labels, at))) : -1;
  for (let tried = 0; tried < count; tried++) {
    n = (n + by + count) % count;
    const entry = labels.frames[n];
    if (!labels.isDone(entry) && !(at && entry.video === at.video && entry.image === at.image)) return entry;
  }
  return null;
}

// What the mouse does: a click sets, a drag moves a point, with Alt the animal, the rest the view.
function makeMouse({ view, labels, names, keypoints, picked, setPicked, setPoint, put, pointer, accept }) {
  const hit = (x, y) => {
    let best = null, least = NEAR;
    const look = (spots, proposed) => {
      for (const [spot, m] of spots) {
        if (m[0] == null || (proposed && labels.marks.has(spot))) continue;
        const [a, b] = view.current.toScreen(m[0], m[1]);
        const away = Math.hypot(a - x, b - y);
        if (away < least) { least = away; best = { spot, proposed }; }
      }
    };
    look(labels.marks, false);
    if (!best) look(labels.proposal, true);
    return best;
  };
  const animal = () => keypoints.map((k) => [names[picked.i], k, labels.marks.get(key(names[picked.i], k))]).filter(([, , m]) => m && m[0] != null);
  return {
    press(event) {
      const [x, y] = view.current.place(event);
      event.currentTarget.setPointerCapture(event.pointerId);
      const drag = { x, y, from: [x, y], moved: false, kind: "pan", before: new Map(labels.marks) };
      if (event.button === 0) {
        const found = hit(x, y);
        drag.kind = event.altKey ? "animal" : found && !found.proposed ? "point" : "click";
        drag.found = found;
        if (found && !found.proposed && !event.altKey) {
          const [i, k] = found.spot.split("\n");
          setPicked({ i: names.indexOf(i), k: keypoints.indexOf(k) });
        }
      }
      pointer.current.drag = drag;
    },
    move(event) {
      const [x, y] = view.current.place(event);
      Object.assign(pointer.current, { x, y });
      const { drag } = pointer.current;
      if (drag) {
        if (Math.hypot(x - drag.from[0], y - drag.from[1]) > 3) drag.moved = true;
        if (drag.moved) {
          const by = [(x - drag.from[0]) / view.current.scale, (y - drag.from[1]) / view.current.scale];
          if (drag.kind === "pan" || drag.kind === "click") view.current.move(x - drag.x, y - drag.y);
          else for (const [spot, m] of drag.before) {
            const own = drag.kind === "point" ? spot === drag.found.spot : spot.startsWith(`${names[picked.i]}\n`);
            if (own && m[0] != null) labels.marks.set(spot, [round(m[0] + by[0]), round(m[1] + by[1]), m[2], "person"]);
          }
        }
        drag.x = x; drag.y = y;
      }
      view.current.repaint();
    },
    lift(event) {
      const { drag } = pointer.current;
      pointer.current.drag = null;
      if (!drag) return;
      if (drag.moved && (drag.kind === "point" || drag.kind === "animal")) {
        const list = [...labels.marks].filter(([spot, m]) => drag.before.get(spot) !== m).map(([spot, m]) => [...spot.split("\n"), m]);
        labels.marks = drag.before;
        put(list);
      } else if (!drag.moved && drag.kind === "click") {
        if (drag.found) accept(...drag.found.spot.split("\n"));
        else setPoint(...view.current.toImage(drag.x, drag.y));
      }
    },
    wheel(event) {
      event.preventDefault();
      const place = view.current.place(event);
      if (!event.altKey) { view.current.zoom(Math.exp(-event.deltaY / 400), ...place); return; }
      const own = animal();
      if (!own.length) return;
      const cx = own.reduce((s, [, , m]) => s + m[0], 0) / own.length, cy = own.reduce((s, [, , m]) => s + m[1], 0) / own.length;
      const angle = (event.deltaY > 0 ? 1 : -1) * Math.PI / 90, c = Math.cos(angle), s = Math.sin(angle);
      put(own.map(([i, k, m]) => [i, k, [round(cx + c * (m[0] - cx) - s * (m[1] - cy)), round(cy + s * (m[0] - cx) + c * (m[1] - cy)), m[2], "person"]]));
    },
  };
}

function draw(context, v, { labels, names, keypoints, picked, colour, many, hidden, pointer }) {
  if (!labels.ready || hidden || !v.bitmap) return;
  const spot = (i, k) => {
    const id = key(names[i], keypoints[k]), m = labels.marks.get(id), p = labels.proposal.get(id);
    if (m) return m[0] == null ? null : { at: v.toScreen(m[0], m[1]), kind: m[2] === "occluded" ? "occluded" : m[3] || "person" };
    return p ? { at: v.toScreen(p[0], p[1]), kind: "proposed" } : null;
  };
  names.forEach((name, i) => {
    const spots = keypoints.map((_, k) => spot(i, k));
    for (const [a, b] of labels.edges) {
      const [p, q] = [spots[keypoints.indexOf(a)], spots[keypoints.indexOf(b)]];
      if (p && q) drawLimb(context, p.at, q.at, many ? colour(i, 0) : "#d5d9e0", p.kind === "proposed" || q.kind === "proposed");
    }
    spots.forEach((s, k) => s && drawMark(context, ...s.at, { colour: colour(i, k), kind: s.kind, selected: i === picked.i && k === picked.k }));
    const there = spots.filter(Boolean);
    if (many && there.length) {
      const top = there.reduce((a, b) => (a.at[1] < b.at[1] ? a : b));
      drawName(context, `${i < 9 ? `${i + 1} ` : ""}${name}`, top.at[0], top.at[1] - 8, colour(i, 0), i === picked.i);
    }
  });
  const s = spot(picked.i, picked.k);
  if (s) {
    context.font = "500 12px system-ui, sans-serif"; context.textAlign = "left"; context.textBaseline = "middle";
    const text = keypoints[picked.k], width = context.measureText(text).width;
    context.fillStyle = "rgba(12,14,18,.82)"; context.beginPath(); context.roundRect(s.at[0] + 12, s.at[1] - 10, width + 12, 20, 4); context.fill();
    context.fillStyle = "#fff"; context.fillText(text, s.at[0] + 18, s.at[1]);
  }
  if (pointer.loupe && pointer.x != null) v.drawLoupe(context, pointer.x, pointer.y);
}
