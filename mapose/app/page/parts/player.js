// Frames of a result's video, shown one by one or played; frame i is always frame i of the decoder.
import { Pictures } from "./canvas.js";

const AHEAD = 10;

export class Player {
  // show(frame, bitmap) puts a frame on the screen; failed(error) says why one cannot be shown.
  constructor(place, { show, failed }) {
    Object.assign(this, { place, show, failed, frame: 0, playing: false, speed: 1, rate: 25, first: 0, last: 0, height: 0, loop: null });
    this.pictures = new Pictures(40);
  }

  close() { this.pause(); this.wanted?.abort(); }

  address(frame) { return `/result-frame/${this.place}/${frame}?height=${this.height}`; }

  get(frame, signal) {
    return this.hasVideo ? this.pictures.get(this.address(frame), signal) : Promise.resolve(null);
  }

  async go(frame, { scrub = false } = {}) {
    const to = Math.min(Math.max(Math.round(frame), this.first), this.last);
    this.frame = to;
    this.wanted?.abort();
    this.wanted = new AbortController();
    try {
      const source = scrub ? `${this.address(to)}&scrub=proofread` : this.address(to);
      const bitmap = this.hasVideo ? await this.pictures.get(source, this.wanted.signal) : null;
      if (this.frame === to) this.show(to, bitmap);
    } catch (error) {
      if (this.frame !== to || error.name === "AbortError" || error.code === 410) return;
      this.show(to, null);
      this.failed(error);
    }
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  pause() {
    this.playing = false;
    cancelAnimationFrame(this.tick);
  }

  play() {
    this.playing = true;
    let due = performance.now(), waiting = false;
    const tick = async (now) => {
      if (!this.playing) return;
      this.tick = requestAnimationFrame(tick);
      if (waiting || now < due) return;
      const pace = this.rate * this.speed, stride = Math.max(1, Math.round(pace / 60));
      let next = this.frame + stride;
      if (this.loop && (next > this.loop[1] || next < this.loop[0])) [next] = this.loop;
      if (next > this.last) { this.pause(); return; }
      waiting = true;
      for (let n = 1; n <= AHEAD; n++) if (next + n * stride <= this.last) this.get(next + n * stride).catch(() => {});
      try {
        const bitmap = await this.get(next);
        if (this.playing) { this.frame = next; this.show(next, bitmap); }
      } catch (error) { this.failed(error); this.pause(); }
      waiting = false;
      due = Math.max(due + 1000 * stride / pace, performance.now() - 100);
    };
    this.tick = requestAnimationFrame(tick);
  }
}
