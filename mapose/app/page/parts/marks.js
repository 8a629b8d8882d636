// The signs of marks, the same on every page: set by a person filled, proposed hollow,
// triangulated a diamond, occluded a dashed ring.
export const RADIUS = 5;

function shape(context, x, y, radius, diamond) {
  context.beginPath();
  if (diamond) {
    context.moveTo(x, y - radius * 1.25); context.lineTo(x + radius * 1.25, y);
    context.lineTo(x, y + radius * 1.25); context.lineTo(x - radius * 1.25, y);
    context.closePath();
  } else context.arc(x, y, radius, 0, 7);
}

export function drawMark(context, x, y, { colour, kind = "person", selected = false, radius = RADIUS }) {
  const diamond = kind === "triangulation";
  context.setLineDash([]);
  if (selected) {
    shape(context, x, y, radius + 4, diamond);
    context.lineWidth = 3.5; context.strokeStyle = "rgba(0,0,0,.75)"; context.stroke();
    context.lineWidth = 1.75; context.strokeStyle = "#fff"; context.stroke();
  }
  shape(context, x, y, radius, diamond);
  if (kind === "proposed") {
    context.lineWidth = 4; context.strokeStyle = "rgba(0,0,0,.55)"; context.stroke();
    context.lineWidth = 2; context.strokeStyle = colour; context.stroke();
    return;
  }
  if (kind === "occluded") {
    context.lineWidth = 4; context.strokeStyle = "rgba(0,0,0,.55)"; context.stroke();
    context.setLineDash([3, 2.5]);
    context.lineWidth = 2.25; context.strokeStyle = colour; context.stroke();
    context.setLineDash([]);
    return;
  }
  context.fillStyle = colour; context.fill();
  context.lineWidth = 1.25; context.strokeStyle = "rgba(0,0,0,.8)"; context.stroke();
  if (kind === "model") {
    shape(context, x, y, radius * 0.35, false);
    context.fillStyle = "#fff"; context.fill();
  }
}

export function drawLimb(context, a, b, colour, faint = false) {
  context.lineCap = "round";
  context.globalAlpha = faint ? 0.5 : 0.9;
  context.beginPath(); context.moveTo(...a); context.lineTo(...b);
  context.lineWidth = 3.5; context.strokeStyle = "rgba(0,0,0,.4)"; context.stroke();
  context.lineWidth = 1.75; context.strokeStyle = colour; context.stroke();
  context.globalAlpha = 1;
}

// A name at a body, legible on any picture.
export function drawName(context, text, x, y, colour, strong = false) {
  context.font = `${strong ? 600 : 500} 12px system-ui, sans-serif`;
  const width = context.measureText(text).width + 14;
  context.fillStyle = "rgba(12,14,18,.82)";
  context.beginPath(); context.roundRect(x - width / 2, y - 20, width, 18, 4); context.fill();
  context.fillStyle = colour;
  context.fillRect(x - width / 2 + 1, y - 5, width - 2, 2);
  context.fillStyle = "#fff";
  context.textAlign = "center"; context.textBaseline = "middle";
  context.fillText(text, x, y - 11.5);
}
