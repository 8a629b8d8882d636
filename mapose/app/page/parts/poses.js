// Poses of a result in windows of frames; about twenty windows are kept, neighbours are fetched ahead.
import { getBytes } from "./api.js";

const WINDOW = 512, KEPT = 20;

export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return [header, 4 + length];
}

export class Poses {
  constructor(place, changed) {
    this.place = place;
    this.changed = changed;
    this.windows = new Map();
  }

  // After an edit what is shown stays until the new poses are there.
  forget() {
    this.old = this.windows;
    this.windows = new Map();
  }

  fetch(number) {
    if (number < 0 || this.windows.has(number)) return;
    const slot = { data: null };
    this.windows.set(number, slot);
    slot.coming = getBytes(`/poses/${this.place}?first=${number * WINDOW}&count=${WINDOW}`).then((buffer) => {
      const [header, at] = unpack(buffer);
      const size = header.count * header.animals * header.keypoints * 3;
      slot.data = { ...header, edited: new Set(header.edited.map((e) => e.join())), points: new Float32Array(buffer, at, size),
        sure: new Float32Array(buffer, at + 4 * size, header.count * header.animals) };
      this.changed();
    }).catch(() => this.windows.delete(number));
    while (this.windows.size > KEPT) this.windows.delete(this.windows.keys().next().value);
  }

  // Give a frame: where its points begin in an array of x, y, confidence; null while it is fetched.
  get(frame) {
    const number = Math.floor(frame / WINDOW);
    this.fetch(number);
    if (frame - number * WINDOW > WINDOW / 2) this.fetch(number + 1);
    else if (number) this.fetch(number - 1);
    const data = this.windows.get(number)?.data ?? this.old?.get(number)?.data;
    if (!data) return null;
    const row = frame - data.first;
    return { points: data.points, at: row * data.animals * data.keypoints * 3, sure: data.sure,
      sureAt: row * data.animals, animals: data.animals, keypoints: data.keypoints,
      isEdited: (animal, keypoint) => data.edited.has(`${row},${animal},${keypoint}`) };
  }

  async ready(frame) {
    const number = Math.floor(frame / WINDOW);
    this.fetch(number);
    await this.windows.get(number)?.coming;
  }
}

// The mean place of an animal in a frame, or null.
export function centre(found, animal) {
  let x = 0, y = 0, n = 0;
  const start = found.at + animal * found.keypoints * 3;
  for (let k = 0; k < found.keypoints; k++) {
    const a = found.points[start + 3 * k], b = found.points[start + 3 * k + 1];
    if (a === a && b === b) { x += a; y += b; n++; }
  }
  return n ? [x / n, y / n] : null;
}
