// Shows the painting over its photograph: a knob draws the line between them, and a click, or the button,
// shows the pixels as they are (100 %), to be scrolled and dragged.
export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const [frame, view, sheet, before] = ["#frame", "#window", "#sheet", "#before"].map(find);
  const [slider, zoom] = [find("input"), find("#zoom")];
  frame.style.setProperty("--ratio", data.width / data.height);
  frame.style.setProperty("--width", `${data.width}px`);
  frame.style.setProperty("--height", `${data.height}px`);
  if (before.src !== data.before) before.src = data.before;
  if (find("#after").src !== data.after) find("#after").src = data.after;

  const draw = () => {
    const at = (slider.value / 100) * view.clientWidth; // in the window, whatever is scrolled into it
    const [box, outer] = [sheet.getBoundingClientRect(), view.getBoundingClientRect()];
    frame.style.setProperty("--at", `${at}px`);
    const shown = Math.max(0, at + outer.left - box.left);
    before.style.clipPath = `inset(0 ${Math.max(0, box.width - shown)}px 0 0)`;
  };
  // x and y: the place, in shares of the window, that stays where it is.
  const zoomTo = (zoomed, x = 0.5, y = 0.5) => {
    frame.classList.toggle("zoomed", zoomed);
    zoom.setAttribute("aria-pressed", zoomed);
    view.scrollLeft = x * (sheet.clientWidth - view.clientWidth);
    view.scrollTop = y * (sheet.clientHeight - view.clientHeight);
    draw();
  };
  const zoomed = () => frame.classList.contains("zoomed");
  slider.oninput = view.onscroll = draw;
  zoom.onclick = () => zoomTo(!zoomed());

  let grip = null; // where a mouse holds the picture; fingers scroll by themselves
  view.onpointerdown = (event) => {
    const { clientX: x, clientY: y } = event;
    grip = { x, y, left: view.scrollLeft, top: view.scrollTop, moved: false };
    if (event.pointerType === "mouse") view.setPointerCapture(event.pointerId);
  };
  view.onpointermove = ({ clientX, clientY, pointerType }) => {
    if (!grip) return;
    grip.moved ||= Math.hypot(clientX - grip.x, clientY - grip.y) > 4;
    if (!grip.moved || pointerType !== "mouse") return;
    view.scrollLeft = grip.left - clientX + grip.x;
    view.scrollTop = grip.top - clientY + grip.y;
  };
  view.onpointercancel = () => (grip = null);
  view.onpointerup = ({ clientX, clientY }) => {
    const box = view.getBoundingClientRect();
    if (grip && !grip.moved) {
      zoomTo(!zoomed(), (clientX - box.left) / box.width, (clientY - box.top) / box.height);
    }
    grip = null;
  };
  if (!frame.observer) (frame.observer = new ResizeObserver(draw)).observe(view);
  draw();
}
