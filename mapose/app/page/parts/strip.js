// The whole video as a strip: what is labelled, what waits, where one is; drag to move.
import { keepPainted } from "./canvas.js";
import { html, useEffect, useRef } from "./dom.js";

export function Strip({ labels, at, video, go }) {
  const canvas = useRef(), dragging = useRef(false);
  useEffect(() => {
    const paint = () => {
      const ratio = window.devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas.current;
      canvas.current.width = width * ratio; canvas.current.height = height * ratio;
      const context = canvas.current.getContext("2d"), style = getComputedStyle(canvas.current);
      context.scale(ratio, ratio);
      context.fillStyle = style.getPropertyValue("--edge"); context.fillRect(0, height / 2 - 1, width, 2);
      if (!at || !video || at.frame < 0) return;
      const x = (frame) => 6 + (width - 12) * frame / Math.max(1, video.frames - 1);
      for (const f of labels.frames) {
        if (f.video !== at.video || f.frame < 0) continue;
        const done = labels.isDone(f);
        context.fillStyle = style.getPropertyValue(done ? "--good" : f.marked ? "--ink" : "--soft");
        const tall = done ? 18 : f.marked ? 12 : 6;
        context.fillRect(x(f.frame) - 1, (height - tall) / 2, 2, tall);
      }
      context.fillStyle = style.getPropertyValue("--accent");
      context.beginPath(); context.moveTo(x(at.frame) - 5, 0); context.lineTo(x(at.frame) + 5, 0); context.lineTo(x(at.frame), 7); context.fill();
      context.fillRect(x(at.frame) - 1, 0, 2, height);
    };
    paint();
    return keepPainted(canvas.current, paint);
  });
  const move = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left - 6) / (box.width - 12)));
    const frame = Math.round(share * (video.frames - 1));
    if (frame !== at.frame) go(at.video, frame, "", { scrub: true });
  };
  const usable = at && video && at.frame >= 0;
  return html`<canvas class="strip" ref=${canvas} role="slider" aria-label="place in the video" aria-valuemin="0"
    aria-valuemax=${usable ? video.frames - 1 : 0} aria-valuenow=${usable ? at.frame : 0}
    onPointerDown=${(e) => { if (!usable) return; dragging.current = true; e.target.setPointerCapture(e.pointerId); move(e); }}
    onPointerMove=${(e) => dragging.current && move(e)}
    onPointerUp=${() => { if (!dragging.current) return; dragging.current = false; go(at.video, at.frame, at.image); }}></canvas>`;
}
