// Names are proofread here: the doubtful moments, most doubtful first, each as a loop with both readings.
import { html, useEffect, useMemo, useRef, useState } from "../parts/dom.js";
import { api, get, listen, post, tab } from "../parts/api.js";
import { say, sayFault, status } from "../parts/store.js";
import { View } from "../parts/canvas.js";
import { drawLimb, drawName } from "../parts/marks.js";
import { Dialog, KeysHelp, useShortcuts } from "../parts/shortcuts.js";
import { Lanes, tellClock } from "../parts/lanes.js";
import { tellSize } from "../parts/folders.js";
import { Player } from "../parts/player.js";
import { Scene } from "./scene.js";
import { Poses, centre } from "../parts/poses.js";
import { Hint } from "../parts/hint.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32];
const STATISTICS = { speed: "speed", confidence: "confidence", distance: "distance to the nearest", identity: "probability of the name" };
const NUDGES = { "Alt+ArrowLeft": [-1, 0], "Alt+ArrowRight": [1, 0], "Alt+ArrowUp": [0, -1], "Alt+ArrowDown": [0, 1] };
const time = () => new Date().toTimeString().slice(0, 8);

// In a project: which result?
export function ProofreadChoice({ project, parts }) {
  const [overview, setOverview] = useState(null);
  useEffect(() => { get(api(project)).then(setOverview).catch(sayFault); }, [project]);
  if (!overview) return html`<p class="wait">Looking for results</p>`;
  const found = overview.results.find((r) => r.name === parts[0]);
  if (found) return html`<${found.space ? Scene : Proofread} key=${found.place} place=${found.place} project=${project} />`;
  return html`<div class="sheet"><h1>Which result?</h1>
    ${overview.results.length ? html`<table><tbody>${overview.results.map((r) => html`<tr><td><a href=${`#/p/${project}/proofread/${encodeURIComponent(r.name)}`}>${r.name}</a></td>
      <td class="facts">${r.space ? "in 3D" : "in the video"}</td><td class="number">${tellSize(r.size)}</td></tr>`)}</tbody></table>`
      : html`<div class="empty"><p>No result yet. Analyse a video first, on the project's page.</p><a class="button first" href=${`#/p/${project}`}>To the project</a></div>`}</div>`;
}

export function Proofread({ place }) {
  const [result, setResult] = useState(null);
  const [frame, setFrame] = useState(0);
  const [doubt, setDoubt] = useState(null);
  const [selected, setSelected] = useState([]);
  const [point, setPoint] = useState(null); // { animal, keypoint, frame } that keys are about
  const [skipped, setSkipped] = useState(new Set());
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const [panels, setPanels] = useState(true);
  const [look, setLook] = useState({ marks: true, trails: true, statistic: "speed" });
  const [dialog, setDialog] = useState("");
  const [fault, setFault] = useState("");
  const hosts = [useRef(), useRef()], canvas = useRef(), busy = useRef(false), pace = useRef([]);
  const tools = useRef({}), facts = useRef({});
  facts.current = { result, doubt, selected, look, point };

  useEffect(() => {
    let alive = true;
    const repaint = () => tools.current.views?.forEach((v) => v.repaint());
    const poses = new Poses(place, repaint);
    const views = hosts.map((host, n) => new View(host.current, (context, view) => paint(context, view, n, tools.current, facts.current)));
    const lanes = new Lanes(canvas.current, { place });
    const player = new Player(place, {
      show: (number, bitmap) => { tools.current.shown = number; for (const v of views) v.show(bitmap ?? v.bitmap); setFrame(number); lanes.follow(number); },
      failed: (error) => setFault(error.message),
    });
    tools.current = { poses, views, lanes, player, shown: 0 };
    get(`/api/r/${place}`).then((found) => {
      if (!alive) return;
      if (found.dimensions === 3) { location.replace(`#/s/${place}`); return; }
      Object.assign(player, { first: found.first, last: found.last, rate: found.rate || 25, hasVideo: !found.video.fault,
        height: Math.min(found.video.size?.[1] ?? 0, 1080) });
      if (found.video.fault) { setFault(found.video.fault); views.forEach((v) => v.show(emptyPicture(found.extent))); }
      setResult(found);
      lanes.show(found);
      player.go(found.first);
    }).catch(sayFault);
    const stop = listen(`${place}?result=1`, async (event) => {
      if (event.kind === "timelines") { lanes.fetch(); return; }
      if (event.tab === tab || event.kind === "hello" && event.version === facts.current.result?.version) return;
      if (["edits", "hello"].includes(event.kind) && facts.current.result && !busy.current) renew(await get(`/api/r/${place}`).catch(() => null));
    });
    return () => { alive = false; stop(); player.close(); lanes.close(); views.forEach((v) => v.close()); };
  }, [place]);

  const renew = (found) => {
    if (!found) return;
    const next = { ...facts.current.result, ...found };
    tools.current.poses.forget();
    setResult(next);
    facts.current.result = next;
    tools.current.lanes.show(next);
    tools.current.views.forEach((v) => v.repaint());
  };
  const doubts = useMemo(() => (result?.doubts ?? []).filter((d) => !skipped.has(keyOf(d))), [result, skipped]);
  const settled = (result?.edits ?? []).filter((e) => e.kind === "swap" || e.kind === "keep").length;

  useEffect(() => {
    const { lanes, views, player } = tools.current;
    lanes?.set({ doubt, selected });
    if (!result) return;
    player.loop = doubt ? loopOf(doubt, result, player.rate) : null;
    views.forEach((v) => v.resize());
    if (doubt) frameMoment(doubt); else views.forEach((v) => v.fit());
  }, [doubt]);
  useEffect(() => { tools.current.lanes?.set({ selected }); tools.current.views?.forEach((v) => v.repaint()); }, [selected, look, point]);

  // Bring both animals of a doubt into view, for the whole of its loop.
  const frameMoment = async (d) => {
    const { poses, views, player } = tools.current, [from, to] = player.loop;
    await Promise.all([poses.ready(from), poses.ready(to)]);
    if (facts.current.doubt !== d || !views[0].bitmap) return;
    let box = [Infinity, Infinity, -Infinity, -Infinity];
    for (let f = from; f <= to; f += Math.max(1, Math.round((to - from) / 40))) {
      const found = poses.get(f);
      for (const name of d.individuals) {
        const c = found && centre(found, facts.current.result.names.indexOf(name));
        if (c) box = [Math.min(box[0], c[0]), Math.min(box[1], c[1]), Math.max(box[2], c[0]), Math.max(box[3], c[1])];
      }
    }
    if (box[0] > box[2]) return;
    const size = views[0].bitmap, margin = 0.12 * Math.max(size.width, size.height);
    for (const v of views) {
      v.scale = Math.min(v.width / (box[2] - box[0] + 2 * margin), v.height / (box[3] - box[1] + 2 * margin), 6);
      v.left = v.width / 2 - v.scale * (box[0] + box[2]) / 2;
      v.top = v.height / 2 - v.scale * (box[1] + box[3]) / 2;
      v.fitted = false;
      v.paint();
    }
  };

  const go = (to, options) => { tools.current.player.pause(); setPlaying(false); tools.current.player.go(to, options); };
  const toggle = (on) => {
    const { player } = tools.current;
    if (on ?? !player.playing) { if (!player.playing) player.play(); } else player.pause();
    setPlaying(player.playing);
  };
  const open = (d) => {
    setDoubt(d ?? null);
    if (!d) return toggle(false);
    const i = d.individuals.map((n) => result.names.indexOf(n));
    setSelected(i);
    pace.current.begun = performance.now();
    facts.current.doubt = d;
    const { player } = tools.current;
    player.pause();
    player.go(loopOf(d, result, player.rate)[0]).then(() => toggle(true));
    return null;
  };
  const turn = (by) => {
    if (!doubts.length) return say("No moment is in doubt any more.");
    const at = doubt ? doubts.findIndex((d) => keyOf(d) === keyOf(doubt)) : by > 0 ? -1 : 0;
    return open(doubts[(at + by + doubts.length) % doubts.length]);
  };
  // What follows a decision: the doubt that takes the place of this one.
  const goOn = (at, list) => {
    if (pace.current.begun) pace.current.push(performance.now() - pace.current.begun);
    const next = list[Math.min(Math.max(at, 0), list.length - 1)];
    if (next) open(next); else { open(null); say("All doubts are settled."); }
  };
  const edit = async (kind, individuals, at, what = {}) => {
    if (busy.current) return;
    busy.current = true;
    status.set({ pending: 1 });
    const place_ = doubt ? doubts.findIndex((d) => keyOf(d) === keyOf(doubt)) : -1;
    try {
      const found = await post(`/api/r/${place}/edit`, { tab, version: result.version, kind, individuals, frame: at, ...what });
      renew(found);
      if (!["swap", "keep", "move"].includes(kind)) { setPoint(null); setSelected([]); }
      status.set({ saved: time() });
      say(found.edits[found.edits.length - 1]?.text ?? "done", { action: { text: "Undo", run: undo } });
      if (doubt && (kind === "swap" || kind === "keep")) goOn(place_, found.doubts.filter((d) => !skipped.has(keyOf(d))));
    } catch (error) {
      sayFault(error);
      if (error.code === 409) renew(await get(`/api/r/${place}`).catch(() => null));
    }
    busy.current = false;
    status.set({ pending: 0 });
  };
  const undo = async () => {
    try {
      const found = await post(`/api/r/${place}/undo`, { tab, version: facts.current.result.version });
      renew(found);
      status.set({ saved: time() });
      say(`Taken back: ${found.gone}`);
    } catch (error) {
      sayFault(error);
      if (error.code === 409) renew(await get(`/api/r/${place}`).catch(() => null));
    }
  };
  const pair = () => {
    if (doubt) return doubt.individuals;
    const two = selected.length === 2 ? selected : result.names.length === 2 ? [0, 1] : null;
    return two && two.map((i) => result.names[i]);
  };
  const settle = (kind) => {
    const names = pair();
    if (!names) return say("Select two animals first: click them, or press their numbers.");
    return edit(kind, names, doubt ? doubt.frame : tools.current.shown);
  };
  const chosen = () => selected.length === 1 ? selected[0] : result.names.length === 1 ? 0 : null;
  const joinTwo = () => {
    if (selected.length !== 2) return say("Select two tracks first; the name of the first stays.");
    return edit("join", selected.map((i) => result.names[i]), null);
  };
  const splitHere = () => {
    if (chosen() === null) return say("Select one animal first: its track is another one from this frame on.");
    return edit("split", [result.names[chosen()]], tools.current.shown);
  };
  const remove = () => {
    if (point && point.frame === tools.current.shown) {
      return edit("delete", [result.names[point.animal]], point.frame, { keypoint: result.keypoints[point.keypoint] });
    }
    if (chosen() === null) return say("Select one point or one animal first.");
    go(tools.current.shown);
    return setDialog("delete");
  };
  // By keyboard: the points of the animal one after the other, and a nudge for the one that is chosen.
  const nextPoint = (by) => {
    const there = tools.current.poses.get(tools.current.shown), animal = chosen();
    if (animal === null || !there) return say("Select one animal first.");
    const list = result.keypoints.map((_, k) => k).filter((k) => spotOf(there, animal, k));
    if (!list.length) return say("No point of it is in this frame.");
    const at = point?.animal === animal ? list.indexOf(point.keypoint) : by > 0 ? -1 : 0;
    return setPoint({ animal, keypoint: list[(at + by + list.length) % list.length], frame: tools.current.shown });
  };
  const moveTo = (p, x, y) => {
    tools.current.moving = { ...p, x, y };
    return edit("move", [result.names[p.animal]], p.frame, { keypoint: result.keypoints[p.keypoint], place: [x, y] })
      .finally(() => { tools.current.moving = null; });
  };
  const nudge = (dx, dy) => {
    if (!point || point.frame !== tools.current.shown) return say("Choose a point first, by a click or by W.");
    const spot = spotOf(tools.current.poses.get(point.frame), point.animal, point.keypoint);
    return spot && moveTo(point, spot[0] + dx, spot[1] + dy);
  };
  const skip = () => {
    if (!doubt) return;
    const at = doubts.indexOf(doubt), list = doubts.filter((d) => d !== doubt);
    setSkipped(new Set([...skipped, keyOf(doubt)]));
    goOn(at, list);
  };
  const select = (i) => setSelected((old) => (old.includes(i) ? old.filter((o) => o !== i) : [...old, i].slice(-2)));
  // Each press of a key is a step, however fast; a key that is held does not run ahead of the picture.
  const step = (by, event) => go((event?.repeat ? tools.current.shown : tools.current.player.frame) + by);
  const pick = (by) => {
    const next = SPEEDS[Math.min(Math.max(SPEEDS.indexOf(speed) + by, 0), SPEEDS.length - 1)];
    tools.current.player.speed = next; setSpeed(next);
  };

  const keys = [
    ["Space", "play or stop", () => toggle(), "Video"], ["D ArrowRight", "next frame", (e) => step(1, e), "Video"], ["A ArrowLeft", "frame before", (e) => step(-1, e), "Video"],
    ["Shift+D Shift+ArrowRight", "ten frames on", (e) => step(10, e), "Video"], ["Shift+A Shift+ArrowLeft", "ten frames back", (e) => step(-10, e), "Video"],
    ["L", "faster", () => pick(1), "Video"], ["J", "slower", () => pick(-1), "Video"],
    ["Home", "first frame", () => go(result.first), "Video"], ["End", "last frame", () => go(result.last), "Video"],
    ["PageDown", "a tenth of the view on", () => step(Math.round((tools.current.lanes.to - tools.current.lanes.from) / 10)), "Video"],
    ["PageUp", "a tenth of the view back", () => step(-Math.round((tools.current.lanes.to - tools.current.lanes.from) / 10)), "Video"],
    ["N", "next doubt", () => turn(1), "Names"], ["P", "doubt before", () => turn(-1), "Names"],
    ["K", "keep: the names are right", () => settle("keep"), "Names"], ["S", "swap the two from here on", () => settle("swap"), "Names"],
    ["U", "cannot tell: leave it for now", skip, "Names"], ["1 2 3 4 5 6 7 8 9", "select an animal", (e) => { if (+e.key <= result.names.length) select(+e.key - 1); }, "Names"],
    ["T", "give the selected animal a name", () => (selected.length ? setDialog("name") : say("Select an animal first.")), "Names"],
    ["M", "merge both tracks into the first", joinTwo, "Tracks and points"], ["/", "split: another animal from here", splitHere, "Tracks and points"],
    ["Delete Backspace", "delete the point or a span", remove, "Tracks and points"],
    ["W", "next point of the animal", () => nextPoint(1), "Tracks and points"], ["Shift+W", "point before", () => nextPoint(-1), "Tracks and points"],
    [Object.keys(NUDGES).join(" "), "move the point", (_, pressed) => nudge(...NUDGES[pressed]), "Tracks and points"],
    ["Ctrl+Z", "take the last correction back", undo, "Names"], ["Escape", "leave the point, the doubt", () => (point ? setPoint(null) : open(null)), "Names"],
    ["F", "fit the picture", () => tools.current.views.forEach((v) => v.fit()), "Picture"], ["G", "hide or show marks", () => setLook({ ...look, marks: !look.marks }), "Picture"],
    ["R", "trails", () => setLook({ ...look, trails: !look.trails }), "Picture"],
    ["+ =", "timeline nearer", () => tools.current.lanes.zoom(0.5, tools.current.lanes.x(frame)), "Picture"], ["-", "timeline farther", () => tools.current.lanes.zoom(2, tools.current.lanes.x(frame)), "Picture"],
    ["H", "panels away and back", () => { setPanels(!panels); setTimeout(() => tools.current.views.forEach((v) => v.resize()), 0); }, "Picture"], ["?", "all keys", () => setDialog("keys"), "Picture"],
  ];
  useShortcuts(result ? keys : []);

  const press = (event, n) => {
    const view = tools.current.views[n], [x, y] = view.place(event);
    const drag = { x, y, moved: false };
    const held = n === 0 && !playing && event.button === 0 ? findPoint(view, x, y, tools.current, result) : null;
    event.currentTarget.setPointerCapture(event.pointerId);
    const move = (e) => {
      const [a, b] = view.place(e);
      if (Math.hypot(a - x, b - y) > 3) drag.moved = true;
      if (drag.moved && held) {
        const [left, top] = view.toImage(a, b);
        tools.current.moving = { ...held, x: left, y: top };
        tools.current.views.forEach((v) => v.repaint());
        return;
      }
      if (drag.moved) tools.current.views.forEach((v) => v.move(a - drag.x, b - drag.y));
      drag.x = a; drag.y = b;
    };
    const lift = (e) => {
      e.currentTarget.removeEventListener("pointermove", move);
      e.currentTarget.removeEventListener("pointerup", lift);
      if (drag.moved && held) {
        const { x: left, y: top } = tools.current.moving;
        setPoint(held);
        moveTo(held, left, top);
        return;
      }
      if (drag.moved) return;
      setPoint(held);
      if (held) { if (!selected.includes(held.animal)) select(held.animal); return; }
      const found = tools.current.poses.get(tools.current.shown);
      if (!found) return;
      let best = -1, least = 40;
      result.names.forEach((_, i) => {
        const c = centre(found, i);
        if (!c) return;
        const [a, b] = view.toScreen(...c), away = Math.hypot(a - x, b - y);
        if (away < least) { least = away; best = i; }
      });
      if (best >= 0) select(best);
    };
    event.currentTarget.addEventListener("pointermove", move);
    event.currentTarget.addEventListener("pointerup", lift);
  };
  const wheel = (event) => {
    event.preventDefault();
    const view = tools.current.views.find((v) => v.host.contains(event.target));
    const at = view.place(event);
    tools.current.views.forEach((v) => v.zoom(Math.exp(-event.deltaY / 400), ...at));
  };
  const drag = useRef(null);
  const lanePress = (event) => {
    const { lanes } = tools.current, box = canvas.current.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    canvas.current.setPointerCapture(event.pointerId);
    const count = result.names.length * lanes.lane;
    const near = result.doubts.find((d) => Math.abs(lanes.x(d.frame) - x) < 7 && y < count);
    if (near) { open(near); return; }
    drag.current = { x, pan: event.button !== 0 || event.shiftKey, from: lanes.from };
    if (!drag.current.pan) go(y > count + 4 ? lanes.findPeak(x) : lanes.frame(x), { scrub: true });
  };
  const laneMove = (event) => {
    if (!drag.current) return;
    const { lanes } = tools.current, x = event.clientX - canvas.current.getBoundingClientRect().left;
    if (drag.current.pan) lanes.move(drag.current.from - (x - drag.current.x) * (lanes.to - lanes.from) / lanes.width);
    else { drag.current.moved = true; go(lanes.frame(x), { scrub: true }); }
  };
  const laneLift = () => { if (drag.current && !drag.current.pan) go(tools.current.player.frame); drag.current = null; };

  const mean = pace.current.length ? pace.current.reduce((a, b) => a + b, 0) / pace.current.length / 60000 : 0;
  const total = settled + (result?.doubts.length ?? 0);
  const names = result?.names ?? [];
  const swapped = doubt && names.length ? doubt.individuals : null;
  return html`<div class=${`proof ${panels ? "" : "bare"}`} style=${{ "--lanes": `${Lanes.height(Math.max(1, names.length))}px` }}>
    <h1 class="unseen">Proofread</h1>
    <div class=${`pair ${doubt ? "two" : ""}`}>
      ${[0, 1].map((n) => html`<div key=${n} class="half" hidden=${n === 1 && !doubt}>
        <div class="stage" ref=${hosts[n]} tabindex="0" role="application" aria-label=${n ? "the moment with the names exchanged" : "video with poses; ? lists all keys"}
          onPointerDown=${(e) => press(e, n)} onWheel=${wheel} onContextMenu=${(e) => e.preventDefault()}></div>
        ${doubt && html`<button class="reading" onClick=${() => settle(n ? "swap" : "keep")}>${n ? html`Exchanged from frame ${doubt.frame} on <kbd>S</kbd>` : html`As it is <kbd>K</kbd>`}</button>`}
      </div>`)}
      ${fault && html`<p class="note fault">${fault}</p>`}
      ${!result && html`<p class="wait over">Opening the result</p>`}
    </div>
    ${panels && html`<aside class="side" aria-label="doubts">
      <${Hint} page="proofread">N goes to the most doubtful moment, shown as it is and with the names exchanged. K keeps, S swaps. The result itself stays as it is: all of it can be taken back.</${Hint}>
      ${result && html`<div class="doubthead"><h2>${result.doubts.length ? "Doubts, worst first" : "No doubts"}</h2>
        ${total > 0 && html`<p class="facts">${settled} of ${total} settled${mean && doubts.length ? `, about ${Math.max(1, Math.round(mean * doubts.length))} min left` : ""}${skipped.size ? `, ${skipped.size} left for later` : ""}</p>`}</div>
      <ul class="points doubts">${doubts.slice(0, 400).map((d) => html`<li key=${keyOf(d)}><button class="doubt" aria-pressed=${String(!!doubt && keyOf(doubt) === keyOf(d))} onClick=${() => open(d)}>
        <span class="who">${d.individuals.map((n) => html`<span><i style=${{ background: result.colours[names.indexOf(n)] }}></i>${n}</span>`)}</span>
        <span class="facts">${result.rate ? tellClock(d.frame / result.rate, true) : `frame ${d.frame}`}</span><span class="number">${tellChance(d.probability)}</span></button></li>`)}
        ${!result.doubts.length && html`<li class="facts pad">${result.named ? "No moment is in doubt. Step through the video, select two animals, and press S where they are swapped." : "These poses have no names yet: track the result first."}</li>`}</ul>
      ${result.edits.length > 0 && html`<details class="edits"><summary>${result.edits.length} ${result.edits.length === 1 ? "correction" : "corrections"}</summary>
        <ol>${result.edits.slice(-60).reverse().map((e) => html`<li><button class="entry" onClick=${() => go(e.frame)}>${e.text}</button></li>`)}</ol></details>`}
      <div class="tools"><button onClick=${() => settle("keep")} disabled=${!doubt && !pair()}>Keep <kbd>K</kbd></button><button onClick=${() => settle("swap")} disabled=${!doubt && !pair()}>Swap <kbd>S</kbd></button>
        <button onClick=${skip} disabled=${!doubt}>Cannot tell <kbd>U</kbd></button><button onClick=${() => turn(1)} disabled=${!doubts.length}>Next <kbd>N</kbd></button>
        <button onClick=${() => setDialog("name")} disabled=${!selected.length}>Name <kbd>T</kbd></button><button onClick=${joinTwo} disabled=${selected.length !== 2}>Merge <kbd>M</kbd></button>
        <button onClick=${splitHere} disabled=${chosen() === null}>Split <kbd>/</kbd></button><button onClick=${remove} disabled=${chosen() === null && !point}>Delete <kbd>Del</kbd></button>
        <button onClick=${undo} disabled=${!result.edits.length}>Undo <kbd>Ctrl Z</kbd></button></div>`}
    </aside>`}
    <section class="below">
      <div class="bar-row"><button onClick=${() => toggle()}>${playing ? "Stop" : "Play"} <kbd>Space</kbd></button>
        <button class="quiet" onClick=${() => step(-1)} aria-label="frame before">A</button><button class="quiet" onClick=${() => step(1)} aria-label="next frame">D</button>
        <label class="facts">speed <select value=${speed} onChange=${(e) => { tools.current.player.speed = +e.target.value; setSpeed(+e.target.value); }}>${SPEEDS.map((s) => html`<option value=${s}>${s}×</option>`)}</select></label>
        <span class="number" role="status">${result ? html`frame <b>${frame}</b> of ${result.last}${result.rate ? html` <span class="facts">${tellClock(frame / result.rate, true)}</span>` : ""}` : ""}</span>
        ${swapped && html`<span class="facts">${swapped.join(" and ")}: swapped with probability ${tellChance(doubt.probability)}</span>`}
        ${point && point.frame === frame && html`<span class="facts">${result.keypoints[point.keypoint]} of ${names[point.animal]}</span>`}
        <span class="space"></span>
        <label class="facts">below <select value=${look.statistic} onChange=${(e) => { setLook({ ...look, statistic: e.target.value }); tools.current.lanes.statistic = e.target.value; tools.current.lanes.fetch(); }}>
          ${Object.entries(STATISTICS).map(([name, words]) => html`<option value=${name}>${words}</option>`)}</select></label>
        <button onClick=${() => setDialog("keys")}>Keys <kbd>?</kbd></button></div>
      <canvas class="lanes" ref=${canvas} role="img" aria-label="timeline of every animal" onPointerDown=${(e) => result && lanePress(e)} onPointerMove=${laneMove} onPointerUp=${laneLift}
        onContextMenu=${(e) => e.preventDefault()} onWheel=${(e) => { e.preventDefault(); if (!result) return; const { lanes } = tools.current;
          if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) lanes.move(lanes.from + e.deltaX * (lanes.to - lanes.from) / lanes.width);
          else lanes.zoom(Math.exp(e.deltaY / 300), e.clientX - canvas.current.getBoundingClientRect().left); }}></canvas>
    </section>
    ${dialog === "keys" && html`<${KeysHelp} keys=${[...keys, ["Click", "select an animal", null, "Mouse"], ["Drag", "move a point or the picture; scrub", null, "Mouse"], ["Wheel", "zoom the picture, or the timeline", null, "Mouse"]]} onClose=${() => setDialog("")} />`}
    ${dialog === "delete" && html`<${DeleteDialog} name=${names[chosen()]} frame=${frame} last=${result.last} onClose=${() => setDialog("")}
      onDone=${(from, to) => { setDialog(""); edit("delete", [names[chosen()]], from, { last: to }); }} />`}
    ${dialog === "name" && html`<${NameDialog} old=${names[selected[selected.length - 1]]} onClose=${() => setDialog("")}
      onDone=${(name) => { const old = names[selected[selected.length - 1]], there = tools.current.poses.get(tools.current.shown);
        setDialog(""); edit("name", [old, name], there && centre(there, selected[selected.length - 1]) ? tools.current.shown : null); }} />`}
  </div>`;
}

function NameDialog({ old, onDone, onClose }) {
  const [name, setName] = useState("");
  const done = () => name.trim() && name.trim() !== old && onDone(name.trim());
  return html`<${Dialog} title=${`Another name for ${old}`} onClose=${onClose}><div class="form">
    <label>Name <input autofocus value=${name} maxlength="100" onInput=${(e) => setName(e.target.value)} onKeyDown=${(e) => e.key === "Enter" && done()} /></label></div>
    <div class="row"><span class="facts">For the whole recording.</span><span class="space"></span><button class="first" disabled=${!name.trim()} onClick=${done}>Name it</button></div></${Dialog}>`;
}

function DeleteDialog({ name, frame, last, onDone, onClose }) {
  const [from, setFrom] = useState(frame), [to, setTo] = useState(frame);
  const fine = Number.isInteger(+from) && Number.isInteger(+to) && +from >= 0 && +to >= +from && +to <= last;
  const done = () => fine && onDone(+from, +to);
  const field = (value, set, words, first) => html`<label>${words} <input type="number" autofocus=${first} min="0" max=${last} value=${value}
    onInput=${(e) => set(e.target.value)} onKeyDown=${(e) => e.key === "Enter" && done()} /></label>`;
  return html`<${Dialog} title=${`Delete ${name} over a span`} onClose=${onClose}><div class="form">
    ${field(from, setFrom, "From frame", false)}${field(to, setTo, "Up to frame", true)}</div>
    <div class="row"><span class="facts">The result itself stays; Ctrl Z takes it back.</span><span class="space"></span>
      <button class="first" disabled=${!fine} onClick=${done}>Delete</button></div></${Dialog}>`;
}

// Where a keypoint of an animal is, or null.
function spotOf(found, animal, keypoint) {
  if (!found || animal >= found.animals) return null;
  const at = found.at + (animal * found.keypoints + keypoint) * 3, x = found.points[at], y = found.points[at + 1];
  return x === x && y === y ? [x, y] : null;
}

// The point at a place of the screen, or null.
function findPoint(view, x, y, { poses, shown }, result) {
  const found = result && poses.get(shown);
  let best = null, least = 9;
  if (found) for (let animal = 0; animal < found.animals; animal++) for (let keypoint = 0; keypoint < found.keypoints; keypoint++) {
    const spot = spotOf(found, animal, keypoint);
    if (!spot) continue;
    const [a, b] = view.toScreen(...spot), away = Math.hypot(a - x, b - y);
    if (away < least) { least = away; best = { animal, keypoint, frame: shown }; }
  }
  return best;
}

const tellChance = (p) => (p < 0.01 ? "< 0.01" : p.toFixed(2));
const keyOf = (d) => `${d.first}-${d.last}-${[...d.individuals].sort().join("/")}`;

function loopOf(d, result, rate) {
  const from = Math.max(result.first, d.first - Math.round(rate)), to = Math.min(result.last, d.last + Math.round(rate));
  return [from, Math.max(to, from + 1)];
}

// Where there is no video, poses are drawn on a grey ground of their own size.
function emptyPicture([width, height]) {
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#24272d"; context.fillRect(0, 0, width, height);
  return canvas;
}

// Poses of the frame that is shown; in the second half the names of a doubt are exchanged.
function paint(context, view, half, { poses, shown, moving }, { result, doubt, selected, look, point }) {
  if (!result || !look.marks || view.width < 2) return;
  const found = poses.get(shown);
  if (!found) return;
  const { names, colours, edges, keypoints } = result;
  const exchanged = half === 1 && doubt && shown >= doubt.frame ? doubt.individuals.map((n) => names.indexOf(n)) : null;
  const called = (i) => (exchanged?.includes(i) ? exchanged[1 - exchanged.indexOf(i)] : i);
  const pairs = edges.map(([a, b]) => [keypoints.indexOf(a), keypoints.indexOf(b)]);
  const radius = Math.min(4.5, Math.max(2, view.scale * 2.2));
  for (let i = 0; i < Math.min(names.length, found.animals); i++) {
    const as = called(i), colour = colours[as], strong = selected.includes(as);
    const faint = doubt && !doubt.individuals.includes(names[as]);
    context.globalAlpha = faint ? 0.35 : 1;
    if (look.trails) drawTrail(context, view, poses, shown, i, colour, doubt, exchanged, colours);
    const spots = [];
    for (let k = 0; k < keypoints.length; k++) {
      const held = moving && moving.frame === shown && moving.animal === i && moving.keypoint === k;
      const spot = held ? [moving.x, moving.y] : spotOf(found, i, k);
      spots.push(spot && view.toScreen(...spot));
    }
    for (const [a, b] of pairs) if (spots[a] && spots[b]) { drawLimb(context, spots[a], spots[b], colour, faint); context.globalAlpha = faint ? 0.35 : 1; }
    let top = null;
    for (const [k, s] of spots.entries()) {
      if (!s) continue;
      context.beginPath(); context.arc(s[0], s[1], radius, 0, 7);
      context.fillStyle = colour; context.fill();
      context.lineWidth = 1; context.strokeStyle = "rgba(0,0,0,.75)"; context.stroke();
      if (found.isEdited(i, k)) drawRing(context, s, radius + 2.5, 1.5);
      if (point && point.frame === shown && point.animal === i && point.keypoint === k) drawRing(context, s, radius + 5, 2);
      if (!top || s[1] < top[1]) top = s;
    }
    if (top && names.length > 1 || top && result.named) drawName(context, `${as < 9 ? `${as + 1} ` : ""}${names[as]}`, top[0], top[1] - 8, colour, strong);
  }
  context.globalAlpha = 1;
}

// A ring marks a point that a person has moved, a wider one the point that is chosen.
function drawRing(context, [x, y], radius, width) {
  context.beginPath(); context.arc(x, y, radius, 0, 7);
  context.lineWidth = width + 1.5; context.strokeStyle = "rgba(0,0,0,.7)"; context.stroke();
  context.lineWidth = width; context.strokeStyle = "#fff"; context.stroke();
}

const TRAIL = 40;

function drawTrail(context, view, poses, shown, i, colour, doubt, exchanged, colours) {
  let before = null;
  for (let f = shown - TRAIL; f <= shown; f++) {
    const found = poses.get(f);
    const c = found && centre(found, i), at = c && view.toScreen(...c);
    if (at && before) {
      // In the second half, what lies before the moment keeps its own colour.
      context.strokeStyle = exchanged?.includes(i) && doubt && f < doubt.frame ? colours[i] : colour;
      const alpha = context.globalAlpha;
      context.globalAlpha = alpha * 0.7 * (1 - (shown - f) / (TRAIL + 1));
      context.lineWidth = 2; context.beginPath(); context.moveTo(...before); context.lineTo(...at); context.stroke();
      context.globalAlpha = alpha;
    }
    before = at;
  }
}
