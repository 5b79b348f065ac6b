// Lets the user paint regions over the photograph. They are kept as strokes
// [style, width, [x, y, x, y, ...]], in fractions of the picture's sides, so that Python can draw
// them at any size.
const COLORS = ["#9e9e9e", "", "#e0562b", "#1f8a70", "#3a62c9"]; // none, first (no paint), others
const CLOSE = 0.004; // points closer than this to the previous one are skipped

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement;
  const canvas = root.querySelector("canvas");
  if (canvas.dataset.key === data.key) return; // already drawn by this browser
  canvas.dataset.key = data.key;

  const photo = Object.assign(new Image(), { src: data.url });
  const layer = document.createElement("canvas");
  const strokes = data.strokes.map(([style, width, points]) => [style, width, [...points]]);
  let style = 2;
  let current = null;

  const draw = () => {
    const { width, height } = canvas;
    const paint = layer.getContext("2d");
    paint.clearRect(0, 0, width, height);
    paint.lineCap = paint.lineJoin = "round";
    for (const [number, thickness, points] of strokes) {
      paint.globalCompositeOperation = number === 1 ? "destination-out" : "source-over";
      paint.strokeStyle = COLORS[number] || "black";
      paint.lineWidth = Math.max(1, thickness * width);
      paint.beginPath();
      paint.moveTo(points[0] * width, points[1] * height);
      for (let i = 0; i < points.length; i += 2) paint.lineTo(points[i] * width, points[i + 1] * height);
      paint.stroke();
    }
    const context = canvas.getContext("2d");
    context.globalAlpha = 1;
    context.drawImage(photo, 0, 0, width, height);
    context.globalAlpha = 0.6;
    context.drawImage(layer, 0, 0);
  };
  photo.onload = () => {
    for (const one of [canvas, layer]) [one.width, one.height] = [photo.width, photo.height];
    draw();
  };

  const brushes = root.querySelector("#brushes");
  const choose = (number) => {
    style = number;
    for (const button of brushes.children) {
      button.setAttribute("aria-pressed", Number(button.dataset.style) === number);
    }
  };
  brushes.replaceChildren(
    ...data.brushes.map(({ style: number, name }) => {
      const button = document.createElement("button");
      const spot = document.createElement("i");
      spot.style.background = COLORS[number];
      button.dataset.style = number;
      button.append(spot, name);
      button.onclick = () => choose(number);
      return button;
    }),
  );
  choose(style);

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const share = (value) => Math.round(1e4 * Math.min(1, Math.max(0, value))) / 1e4;
    return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
  };
  const size = root.querySelector("input");
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    current = [style, size.value / 100, at(event)];
    strokes.push(current);
    draw();
  };
  canvas.onpointermove = (event) => {
    if (!current) return;
    const points = current[2];
    const [x, y] = at(event);
    if (Math.hypot(x - points.at(-2), y - points.at(-1)) < CLOSE) return;
    points.push(x, y);
    draw();
  };
  const send = () => {
    current = null;
    draw();
    setStateValue("strokes", strokes.map((stroke) => [...stroke]));
  };
  canvas.onpointerup = canvas.onpointercancel = () => current && send();
  root.querySelector("#undo").onclick = () => strokes.pop() && send();
  root.querySelector("#clear").onclick = () => strokes.splice(0).length && send();
}
