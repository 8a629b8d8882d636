// Curves over steps, on a canvas: a logarithmic axis, a legend by name at the line's end.
export function drawCurves(canvas, { x, lines, unit = "" }) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const ink = style.getPropertyValue("--ink"), faint = style.getPropertyValue("--edge"), soft = style.getPropertyValue("--soft");
  const values = lines.flatMap((l) => l.y.filter((v) => v != null && v > 0));
  if (x.length < 1 || !values.length) return;
  const left = 56, right = width - 92, top = 12, bottom = height - 32;
  const low = Math.log10(Math.min(...values) * 0.9), high = Math.log10(Math.max(...values) * 1.1);
  const first = Math.min(0, x[0]), last = Math.max(x[x.length - 1], first + 1);
  const px = (v) => left + (right - left) * (v - first) / (last - first);
  const py = (v) => bottom - (bottom - top) * (Math.log10(v) - low) / Math.max(high - low, 1e-9);
  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  context.textBaseline = "middle"; context.textAlign = "right";
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      const y = py(value);
      if (y < top || y > bottom) continue;
      context.strokeStyle = faint; context.beginPath(); context.moveTo(left, y); context.lineTo(right, y); context.stroke();
      context.fillStyle = soft; context.fillText(`${+value.toPrecision(3)} ${unit}`.trim(), left - 8, y);
    }
  }
  context.textAlign = "center"; context.textBaseline = "top";
  const step = niceStep((last - first) / 6);
  for (let v = Math.ceil(first / step) * step; v <= last; v += step) {
    context.fillStyle = soft; context.fillText(String(Math.round(v)), px(v), bottom + 8);
  }
  const ends = [];
  for (const line of lines) {
    context.strokeStyle = line.colour; context.lineWidth = 2;
    context.setLineDash(line.dash ?? []);
    context.beginPath();
    let end = null;
    line.y.forEach((v, n) => {
      if (v == null || v <= 0) return;
      const at = [px(x[n]), py(v)];
      if (end) context.lineTo(...at); else context.moveTo(...at);
      end = at;
    });
    context.stroke(); context.setLineDash([]);
    if (end) { context.beginPath(); context.arc(...end, 3, 0, 7); context.fillStyle = line.colour; context.fill(); ends.push([end, line]); }
  }
  ends.sort((a, b) => a[0][1] - b[0][1]);
  let above = -Infinity;
  context.textAlign = "left"; context.textBaseline = "middle"; context.fillStyle = ink;
  for (const [[ex, ey], line] of ends) {
    const y = Math.max(ey, above + 16); above = y;
    context.fillText(line.name, ex + 10, y);
  }
}

function niceStep(step) {
  const power = 10 ** Math.floor(Math.log10(Math.max(step, 1)));
  return Math.max(1, [1, 2, 5, 10].map((f) => f * power).find((f) => f >= step));
}
