// One lane per animal over time, and below them one statistic: drag moves, the wheel zooms.
import { getBytes } from "./api.js";
import { keepPainted } from "./canvas.js";
import { unpack } from "./poses.js";

const LABEL = 92, LANE = 22, PLOT = 56, AXIS = 18, VALUES = 7; // of a bin: share, then three pairs

export class Lanes {
  constructor(canvas, { place, onGo, changed }) {
    Object.assign(this, { canvas, place, onGo, changed, statistic: "speed", data: null, from: 0, to: 1, asked: 0 });
    this.leave = keepPainted(canvas, () => { this.fetch(); this.paint(); });
  }

  close() { this.leave(); cancelAnimationFrame(this.asked); clearTimeout(this.timer); }

  static height(animals) { return Math.min(animals, 8) * LANE + PLOT + AXIS + 6; }

  show(result) {
    const fresh = !this.result || this.result.name !== result.name;
    this.result = result;
    if (fresh) { this.from = result.first; this.to = result.last + 1; }
    this.lane = Math.min(LANE, (8 * LANE) / Math.max(1, result.names.length));
    this.fetch();
    this.paint();
  }

  set(facts) { Object.assign(this, facts); this.paint(); }

  get width() { return this.canvas.clientWidth; }
  x(frame) { return LABEL + (this.width - LABEL - 8) * (frame - this.from) / Math.max(1, this.to - this.from); }
  frame(x) { return Math.round(this.from + (x - LABEL) / Math.max(1, this.width - LABEL - 8) * (this.to - this.from)); }

  fetch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      if (!this.result || this.width < LABEL) return;
      const count = this.to - this.from, bins = Math.round(this.width - LABEL);
      const address = `/timeline/${this.place}?first=${Math.max(0, Math.floor(this.from))}&count=${Math.ceil(count)}&bins=${bins}&statistic=${this.statistic}`;
      const number = (this.number = (this.number ?? 0) + 1);
      try {
        const buffer = await getBytes(address);
        if (number !== this.number) return;
        const [header, at] = unpack(buffer);
        this.data = header.ready ? { ...header, values: new Float32Array(buffer, at) } : null;
      } catch { this.data = null; }
      this.paint();
    }, 60);
  }

  zoom(factor, x) {
    const at = this.frame(x), whole = this.result.last + 1 - this.result.first;
    const span = Math.min(whole, Math.max(60, (this.to - this.from) * factor));
    const share = (at - this.from) / (this.to - this.from);
    this.move(at - share * span, span);
  }

  move(from, span = this.to - this.from) {
    const { first, last } = this.result;
    this.from = Math.max(first, Math.min(from, last + 1 - span));
    this.to = this.from + span;
    this.fetch();
    this.paint();
  }

  // Keep the present frame in view.
  follow(frame) {
    const span = this.to - this.from;
    if (frame < this.from || frame >= this.to) this.move(frame - span * 0.1);
    this.at = frame;
    this.paint();
  }

  paint() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => { this.asked = 0; this.draw(); });
  }

  draw() {
    const { canvas, result } = this;
    if (!result || !canvas.isConnected) return;
    const ratio = window.devicePixelRatio || 1, width = this.width, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const [ink, soft, edge, accent] = ["--ink", "--soft", "--edge", "--accent"].map((n) => style.getPropertyValue(n));
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const count = result.names.length, lane = this.lane;
    context.save();
    context.beginPath(); context.rect(LABEL, 0, width - LABEL - 8, height); context.clip();
    for (let i = 0; i < count; i++) this.drawLane(context, i, 2 + i * lane, lane - 3, edge);
    const top = 2 + count * lane + 4, bottom = height - AXIS;
    const high = this.drawStatistic(context, top, bottom, edge);
    for (const d of result.doubts) {
      const x = this.x(d.frame);
      if (x < LABEL - 6 || x > width) continue;
      for (const name of d.individuals) {
        const y = 2 + result.names.indexOf(name) * lane + (lane - 3) / 2;
        const size = 4 + 2 * d.probability, here = d === this.doubt;
        context.beginPath(); context.moveTo(x, y - size); context.lineTo(x + size, y); context.lineTo(x, y + size); context.lineTo(x - size, y); context.closePath();
        context.fillStyle = here ? accent : ink; context.fill();
        context.lineWidth = 1.5; context.strokeStyle = style.getPropertyValue("--ground"); context.stroke();
      }
    }
    for (const e of result.edits) {
      const x = this.x(e.frame);
      context.fillStyle = soft; context.fillRect(x - 0.5, 0, 1, top);
    }
    if (this.at != null) { context.fillStyle = accent; context.fillRect(this.x(this.at) - 0.75, 0, 1.5, bottom); }
    context.restore();
    context.textAlign = "left";
    result.names.forEach((name, i) => {
      const y = 2 + i * lane + (lane - 3) / 2;
      if (lane < 12 && i % Math.ceil(12 / lane)) return;
      context.fillStyle = result.colours[i]; context.fillRect(4, y - 4, 8, 8);
      context.fillStyle = (this.selected ?? []).includes(i) ? ink : soft;
      context.fillText(clip(context, `${i < 9 ? `${i + 1} ` : ""}${name}`, LABEL - 24), 18, y);
    });
    context.fillStyle = soft;
    context.fillText(this.statistic, 4, (top + bottom) / 2 - 8);
    if (high) context.fillText(`to ${+high.toPrecision(2)}${this.statistic === "speed" ? " px" : this.statistic === "distance" ? " px" : ""}`, 4, (top + bottom) / 2 + 8);
    this.drawTicks(context, bottom, width, soft);
    if (!this.data) { context.fillStyle = soft; context.textAlign = "center"; context.fillText("reading the whole recording", (LABEL + width) / 2, 2 + count * lane / 2); }
  }

  // Height is confidence, shade the probability of the name; nothing where the animal is absent.
  drawLane(context, i, y, height, edge) {
    const { data, result } = this;
    context.fillStyle = edge;
    context.globalAlpha = 0.35; context.fillRect(LABEL, y + height - 1, this.width, 1); context.globalAlpha = 1;
    if (!data || i >= data.animals) return;
    context.fillStyle = result.colours[i];
    for (let b = 0; b < data.bins; b++) {
      const at = (i * data.bins + b) * VALUES, share = data.values[at], least = data.values[at + 1];
      if (!(share > 0)) continue;
      const x = this.x(data.first + b * data.size), next = this.x(data.first + (b + 1) * data.size);
      const name = data.values[at + 3], tall = Math.max(2, height * (least === least ? least : 1) * Math.min(1, share + 0.15));
      context.globalAlpha = name === name ? 0.2 + 0.55 * Math.max(0, (name - 0.5) * 2) : 0.7;
      context.fillRect(x, y + height - tall, Math.max(0.6, next - x + 0.2), tall);
    }
    context.globalAlpha = 1;
  }

  drawStatistic(context, top, bottom, edge) {
    const { data, result } = this;
    context.fillStyle = edge; context.globalAlpha = 0.5; context.fillRect(LABEL, bottom, this.width, 1); context.globalAlpha = 1;
    if (!data) return 0;
    const tops = [];
    for (let i = 0; i < data.animals; i++) for (let b = 0; b < data.bins; b++) {
      const v = data.values[(i * data.bins + b) * VALUES + 6];
      if (v === v) tops.push(v);
    }
    if (!tops.length) return 0;
    tops.sort((a, b) => a - b);
    const high = tops[Math.floor(tops.length * 0.998)] || tops[tops.length - 1] || 1;
    const y = (v) => bottom - 1 - (bottom - top - 2) * Math.min(1, v / high);
    for (let i = 0; i < data.animals; i++) {
      context.fillStyle = result.colours[i]; context.globalAlpha = 0.75;
      for (let b = 0; b < data.bins; b++) {
        const at = (i * data.bins + b) * VALUES, least = data.values[at + 5], most = data.values[at + 6];
        if (most !== most) continue;
        const x = this.x(data.first + b * data.size), next = this.x(data.first + (b + 1) * data.size);
        context.fillRect(x, y(most), Math.max(1, next - x), Math.max(1.2, y(least) - y(most)));
      }
    }
    context.globalAlpha = 1;
    return high;
  }

  drawTicks(context, bottom, width, soft) {
    const span = this.to - this.from, rate = this.result.rate;
    const wanted = span / Math.max(2, (width - LABEL) / 110);
    const unit = rate ? rate : 1;
    const steps = rate ? [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600] : [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5];
    const step = (steps.find((s) => s * unit >= wanted) ?? steps[steps.length - 1]) * unit;
    context.fillStyle = soft; context.textAlign = "center";
    for (let f = Math.ceil(this.from / step) * step; f < this.to; f += step) {
      const x = this.x(f);
      if (x < LABEL + 12 || x > width - 24) continue;
      context.fillText(rate ? tellClock(f / rate, step / rate < 1) : String(Math.round(f)), x, bottom + AXIS / 2);
    }
  }

  // A peak of the statistic near a place on the canvas: the frame to go to.
  findPeak(x) {
    const { data } = this;
    if (!data) return this.frame(x);
    let best = this.frame(x), most = -Infinity;
    for (let b = 0; b < data.bins; b++) {
      const middle = data.first + (b + 0.5) * data.size;
      if (Math.abs(this.x(middle) - x) > 5) continue;
      for (let i = 0; i < data.animals; i++) {
        const v = data.values[(i * data.bins + b) * VALUES + 6];
        if (v > most) { most = v; best = Math.floor(middle); }
      }
    }
    return best;
  }
}

export function tellClock(seconds, tenths = false) {
  const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
  const end = tenths ? `.${Math.floor((seconds - whole) * 10 + 1e-6)}` : "";
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}${end}`;
}

function clip(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let cut = text;
  while (cut.length > 1 && context.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}
