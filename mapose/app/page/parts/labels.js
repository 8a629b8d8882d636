// The labels of a project as a page sees them. A change is shown at once, sent in its turn, and
// counts as saved when the server has it on its disk.
import { api, get, post, tab } from "./api.js";
import { say, sayFault, status } from "./store.js";

export const key = (individual, keypoint) => `${individual}\n${keypoint}`;
const time = () => new Date().toTimeString().slice(0, 8);
const nameImage = (frame) => `frame${String(frame).padStart(6, "0")}.png`;
const RETRY = 1500;

export class Labels {
  constructor(project, changed) {
    this.project = project;
    this.changed = changed;
    this.version = 0;
    this.frames = [];
    this.byName = new Map(); // "video\nimage" -> entry
    this.current = null; // {video, frame, image}
    this.marks = new Map(); // key -> [x, y, state, origin]
    this.proposal = new Map(); // key -> [x, y, confidence]
    this.queue = [];
    this.sending = false;
    this.conflict = null;
  }

  async load() {
    const found = await get(api(this.project, "labels"));
    Object.assign(this, { version: found.version, keypoints: found.keypoints, edges: found.edges,
      individuals: found.individuals, owned: found.owned, colours: found.colours, videos: found.videos, model: found.model, last: found.last });
    this.setFrames(found.frames);
    this.changed();
  }

  setFrames(frames) {
    this.frames = frames;
    this.byName = new Map(frames.map((f) => [`${f.video}\n${f.image}`, f]));
  }

  get wanted() { return this.owned.reduce((sum, names) => sum + names.length, 0); }
  // Landmarks belong to no animal, and a body's keypoints to no landmark.
  owns(i, k) { return this.owned[i].includes(this.keypoints[k]); }
  find(video, image) { return this.byName.get(`${video}\n${image}`); }
  isDone(entry) { return entry.marked >= this.wanted; }

  // Go to a frame; what is proposed and marked there is fetched.
  async open(video, frame, image = "") {
    const name = image || nameImage(frame);
    const place = { video, frame, image: name };
    this.current = place;
    this.marks = new Map();
    this.proposal = new Map();
    this.ready = false;
    this.changed();
    await this.refresh();
  }

  async refresh() {
    const place = this.current;
    if (!place) return;
    const found = await get(`${api(this.project, "labels", place.video)}?image=${encodeURIComponent(place.image)}&frame=${Math.max(place.frame, 0)}`);
    if (place !== this.current) return;
    this.version = Math.max(this.version, found.version);
    this.marks = new Map(found.marks.map(([i, k, mark]) => [key(i, k), mark]));
    this.proposal = new Map(found.proposal.map(([i, k, x, y, sure]) => [key(i, k), [x, y, sure]]));
    for (const waiting of this.queue) if (this.isHere(waiting)) this.apply(waiting.marks);
    this.ready = true;
    this.changed();
  }

  isHere(change) {
    return this.current && change.video === this.current.video && change.image === this.current.image;
  }

  apply(marks) {
    for (const [i, k, mark] of marks) {
      if (mark) this.marks.set(key(i, k), mark); else this.marks.delete(key(i, k));
    }
  }

  // marks: list of [individual, keypoint, [x, y, state, origin] or null].
  put(marks, place = this.current, count = null) {
    if (!marks.length || !place) return;
    const { video, frame, image } = place;
    if (place === this.current) this.apply(marks);
    let entry = this.find(video, image);
    if (!entry) {
      entry = { video, image, frame, marked: 0, proposed: 0, waits: true, reason: "" };
      const at = this.frames.findIndex((f) => f.video > video || (f.video === video && f.frame > frame));
      this.frames.splice(at < 0 ? this.frames.length : at, 0, entry);
      this.byName.set(`${video}\n${image}`, entry);
    }
    entry.marked = count ?? this.marks.size;
    entry.waits = false;
    const last = this.queue[this.queue.length - 1];
    const same = last && !last.sent && last.video === video && last.image === image &&
      marks.every(([i, k]) => last.marks.some(([a, b]) => a === i && b === k)) && last.marks.length === marks.length;
    if (same) last.marks = marks; else this.queue.push({ video, frame, image, marks, sent: false });
    this.changed();
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    while (this.queue.length) {
      status.set({ pending: this.queue.length });
      const change = this.queue[0];
      change.sent = true;
      try {
        await this.sendOne(change);
      } catch (error) {
        if (error.code === 0) {
          await new Promise((resume) => setTimeout(resume, RETRY));
          continue;
        }
        await this.refuse(change, error);
      }
    }
    this.sending = false;
    status.set({ pending: 0 });
  }

  async sendOne(change) {
    const before = this.version;
    const { video, frame, image, marks } = change;
    const found = await post(api(this.project, "labels"), { tab, version: before, video, frame, image, marks });
    this.queue.shift();
    this.last = found.last;
    status.set({ saved: time() });
    this.version = found.version;
    if (found.version > before + 1) await this.refresh();
  }

  // Somebody else has changed the same: both are shown, and the person decides.
  async refuse(change, error) {
    this.queue.shift();
    if (error.code !== 409) {
      sayFault(error);
      await this.refresh().catch(() => {});
      await this.onConflict?.(error);
      return;
    }
    const mine = change.marks;
    if (this.onConflict) { await this.onConflict(error); return; }
    if (!this.isHere(change)) await this.open(change.video, change.frame, change.image);
    else await this.refresh();
    this.conflict = { mine, text: error.message };
    this.changed();
  }

  settle(keepMine) {
    const { mine } = this.conflict;
    this.conflict = null;
    if (keepMine) this.put(mine); else this.changed();
  }

  async turn(what) {
    while (this.queue.length) await new Promise((resume) => setTimeout(resume, 20));
    try {
      const found = await post(api(this.project, what), { tab, version: this.version });
      this.version = found.version;
      status.set({ saved: time() });
      await this.load();
      const [first] = found.touched;
      const entry = first && this.find(...first);
      if (this.onTurn) await this.onTurn(entry);
      else if (entry) await this.open(entry.video, entry.frame, entry.image); else await this.refresh();
      say(found.last);
    } catch (error) {
      if (error.code === 409) await Promise.all([this.load(), this.refresh()]);
      sayFault(error);
    }
  }

  // Another tab, program or person has changed something.
  async hear(event) {
    if (event.tab === tab) return;
    if (event.kind === "hello" && event.version === this.version) return;
    if (!["hello", "labels", "waiting", "project", "results", "models"].includes(event.kind)) return;
    if (this.sending) return;
    const found = await get(api(this.project, "labels")).catch(() => null);
    if (!found) return;
    Object.assign(this, { keypoints: found.keypoints, edges: found.edges, individuals: found.individuals, owned: found.owned, colours: found.colours, model: found.model });
    this.setFrames(found.frames);
    await this.refresh().catch(() => {});
    this.changed();
  }
}
