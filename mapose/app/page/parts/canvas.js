// A picture that can be zoomed and moved, and the marks above it on a canvas of their own.
const MARGIN = 8;

// Paint a canvas anew when its size changes, or the page turns dark or light; gives what ends it.
export function keepPainted(canvas, paint) {
  const size = new ResizeObserver(paint), scheme = matchMedia("(prefers-color-scheme: dark)");
  size.observe(canvas);
  scheme.addEventListener("change", paint);
  return () => { size.disconnect(); scheme.removeEventListener("change", paint); };
}

export class View {
  // draw(context, view) paints the marks; it is called at most once per frame of the screen.
  constructor(host, draw) {
    this.host = host;
    this.draw = draw;
    this.picture = document.createElement("canvas");
    this.marks = document.createElement("canvas");
    this.picture.className = "picture";
    this.marks.className = "marks";
    host.append(this.picture, this.marks);
    this.bitmap = null;
    this.scale = 1; // screen pixels per image pixel
    this.left = 0; // of the image's corner, screen pixels
    this.top = 0;
    this.fitted = true;
    this.asked = 0;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.asked);
    this.picture.remove();
    this.marks.remove();
  }

  get width() { return this.host.clientWidth; }
  get height() { return this.host.clientHeight; }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.picture, this.marks]) {
      canvas.width = Math.max(1, Math.round(this.width * ratio));
      canvas.height = Math.max(1, Math.round(this.height * ratio));
    }
    this.ratio = ratio;
    if (this.fitted) this.fit();
    this.paint();
  }

  show(bitmap) {
    const other = !this.bitmap || !bitmap || bitmap.width !== this.bitmap.width ||
      bitmap.height !== this.bitmap.height;
    this.bitmap = bitmap;
    if (other) { this.fitted = true; this.fit(); }
    this.paint();
  }

  fit() {
    if (!this.bitmap) return;
    const space = [this.width - 2 * MARGIN, this.height - 2 * MARGIN];
    this.scale = Math.max(0.01, Math.min(space[0] / this.bitmap.width, space[1] / this.bitmap.height));
    this.left = (this.width - this.scale * this.bitmap.width) / 2;
    this.top = (this.height - this.scale * this.bitmap.height) / 2;
    this.fitted = true;
    this.paint();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const scale = Math.min(64, Math.max(0.02, this.scale * factor));
    this.left = x - (x - this.left) * (scale / this.scale);
    this.top = y - (y - this.top) * (scale / this.scale);
    this.scale = scale;
    this.fitted = false;
    this.paint();
  }

  move(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.fitted = false;
    this.paint();
  }

  // The centre of the top-left pixel is (0, 0) in the image.
  toScreen(x, y) { return [this.left + (x + 0.5) * this.scale, this.top + (y + 0.5) * this.scale]; }
  toImage(x, y) { return [(x - this.left) / this.scale - 0.5, (y - this.top) / this.scale - 0.5]; }

  place(event) {
    const box = this.marks.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // Paint everything anew; repaint() does the marks only.
  paint() { this.stale = true; this.repaint(); }

  repaint() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      if (this.stale) this.paintPicture();
      const context = this.marks.getContext("2d");
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      this.draw(context, this);
    });
  }

  paintPicture() {
    this.stale = false;
    const context = this.picture.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    if (!this.bitmap) return;
    context.imageSmoothingEnabled = this.scale < 3;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, this.left, this.top,
      this.scale * this.bitmap.width, this.scale * this.bitmap.height);
  }

  // A round glass at a place of the screen that shows the picture enlarged.
  drawLoupe(context, x, y, radius = 88, power = 4) {
    if (!this.bitmap) return;
    const scale = Math.max(this.scale * power, 6);
    const [ix, iy] = this.toImage(x, y);
    const cx = Math.min(Math.max(x, radius + 4), this.width - radius - 4);
    const cy = y - radius - 28 > 0 ? y - radius - 28 : y + radius + 28;
    context.save();
    context.beginPath();
    context.arc(cx, cy, radius, 0, 7);
    context.fillStyle = "#000";
    context.fill();
    context.clip();
    context.imageSmoothingEnabled = false;
    context.drawImage(this.bitmap, cx - (ix + 0.5) * scale, cy - (iy + 0.5) * scale,
      this.bitmap.width * scale, this.bitmap.height * scale);
    context.strokeStyle = "#fff";
    context.globalCompositeOperation = "difference";
    context.beginPath();
    for (const [a, b] of [[-radius, -4], [4, radius]]) {
      context.moveTo(cx + a, cy); context.lineTo(cx + b, cy);
      context.moveTo(cx, cy + a); context.lineTo(cx, cy + b);
    }
    context.stroke();
    context.restore();
    context.beginPath();
    context.arc(cx, cy, radius, 0, 7);
    context.strokeStyle = "rgba(255,255,255,.85)";
    context.lineWidth = 1.5;
    context.stroke();
  }
}

// Decoded pictures by address: a few are kept, what is no longer wanted is not fetched.
export class Pictures {
  constructor(most = 48) {
    this.most = most;
    this.kept = new Map();
  }

  get(address, signal) {
    const known = this.kept.get(address);
    if (known) {
      this.kept.delete(address);
      this.kept.set(address, known);
      return known;
    }
    const coming = fetch(address, { signal }).then(async (answer) => {
      if (!answer.ok) {
        let told = "";
        try { told = (await answer.json()).error; } catch { /* not in words */ }
        throw Object.assign(new Error(told || "This picture cannot be shown."), { code: answer.status });
      }
      return createImageBitmap(await answer.blob());
    });
    this.kept.set(address, coming);
    coming.catch(() => this.kept.delete(address));
    while (this.kept.size > this.most) {
      const [oldest, picture] = this.kept.entries().next().value;
      this.kept.delete(oldest);
      void picture;
    }
    return coming;
  }
}
