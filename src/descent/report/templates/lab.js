// The page around network.js: choose, draw, attack, show.
const contents = JSON.parse(document.getElementById("contents").textContent);
const { classes, labels, width, height } = contents;
const SIZE = width * height;
const form = document.getElementById("lab");
const field = (name) => form.elements[name];
const named = (id) => document.getElementById(id);
const allPixels = bytesOf(contents.pixels);
const networks = {};

const sampleImage = (index) => Float32Array.from(allPixels.subarray(index * SIZE, (index + 1) * SIZE), (byte) => byte / 255);
// Decodes the weights of a classifier when it is chosen for the first time.
const classifier = (run) => (networks[run] ??= networkOf(contents.networks[run]));
const largest = (values) => values.indexOf(Math.max(...values));
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

const drawing = new Float32Array(SIZE);
const brush = { x: Math.floor(width / 2), y: Math.floor(height / 2) };
// `label` is the true class of a test image, and of a drawing the class predicted for it.
const state = { sample: 0, clean: sampleImage(0), adversarial: null, taken: 0 };

const network = () => classifier(field("run").value);
const epsilon = () => Number(field("epsilon").value);
const steps = () => (field("attack").value === "fgsm" ? 1 : Number(field("steps").value));
const labelOf = () => (state.sample === null ? largest(probabilitiesOf(network(), state.clean)) : labels[state.sample]);

function paint(canvas, colourOf) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let index = 0; index < SIZE; index++) image.data.set([...colourOf(index), 255], 4 * index);
  context.putImageData(image, 0, 0);
}

const grey = (pixels) => (index) => Array(3).fill(Math.round(255 * pixels[index]));
// +ε is red, −ε blue and 0 white.
function signed(clean, adversarial, scale) {
  return (index) => {
    const share = scale ? Math.max(-1, Math.min(1, (adversarial[index] - clean[index]) / scale)) : 0;
    const end = share > 0 ? [178, 24, 43] : [33, 102, 172];
    return end.map((value) => Math.round(255 + Math.abs(share) * (value - 255)));
  };
}

function show() {
  const { clean, adversarial, taken } = state;
  const [before, after] = [clean, adversarial].map((image) => probabilitiesOf(network(), image));
  const [first, top, label] = [largest(before), largest(after), labelOf()];
  const words = (given, index) => `${classes[index]}, ${percent(given[index])}`;
  paint(named("clean"), grey(clean));
  paint(named("change"), signed(clean, adversarial, epsilon()));
  paint(named("adversarial"), grey(adversarial));
  const most = clean.reduce((found, value, index) => Math.max(found, Math.abs(adversarial[index] - value)), 0);
  named("clean-words").textContent = words(before, first);
  named("change-words").textContent = `largest ${most.toFixed(3)}; +ε red, −ε blue`;
  named("adversarial-words").textContent = words(after, top);
  named("status").textContent = taken
    ? `After ${taken} of ${steps()} step${steps() === 1 ? "" : "s"}: ${words(after, top)}${top === first ? "" : ` (was ${classes[first]})`}.`
    : `Predicted class: ${words(before, first)}.`;
  document.querySelectorAll(".bars tr").forEach((row, index) => {
    row.classList.toggle("true", index === label);
    row.classList.toggle("top", index === top);
    row.querySelector(".bar").style.width = `${100 * after[index]}%`;
    row.lastElementChild.textContent = percent(after[index]);
  });
  field("epsilon-shown").value = epsilon().toFixed(3);
  field("steps-shown").value = steps();
  field("steps").disabled = field("attack").value === "fgsm";
  named("step").disabled = named("all").disabled = taken >= steps();
}

function reset() {
  Object.assign(state, { adversarial: state.clean, taken: 0 });
  show();
}

function attack(count) {
  const target = field("target").value;
  const step = field("attack").value === "fgsm" ? epsilon() : (2.5 * epsilon()) / steps();
  const label = target === "" ? labelOf() : Number(target);
  for (let taken = 0; taken < count && state.taken < steps(); taken++, state.taken++) {
    const settings = { label, targeted: target !== "", step, epsilon: epsilon() };
    state.adversarial = attackStep(network(), state.clean, state.adversarial, settings);
  }
  show();
}

function showDrawing(cursor = false) {
  paint(named("drawing"), (index) =>
    cursor && index === brush.y * width + brush.x ? [255, 143, 77] : grey(drawing)(index),
  );
}

// A soft brush, three pixels wide.
function stroke({ x, y }) {
  for (let row = Math.max(0, Math.floor(y) - 2); row < Math.min(height, y + 3); row++)
    for (let column = Math.max(0, Math.floor(x) - 2); column < Math.min(width, x + 3); column++) {
      const light = Math.max(0, Math.min(1, 1.9 - Math.hypot(column - x, row - y)));
      drawing[row * width + column] = Math.max(drawing[row * width + column], light);
    }
  useDrawing();
}

function useDrawing() {
  for (const input of form.querySelectorAll("[name=sample]")) input.checked = false;
  Object.assign(state, { sample: null, clean: drawing.slice() });
  reset();
}

const place = ({ clientX, clientY }) => {
  const box = named("drawing").getBoundingClientRect();
  return { x: ((clientX - box.left) / box.width) * width - 0.5, y: ((clientY - box.top) / box.height) * height - 0.5 };
};
let last = null;
named("drawing").addEventListener("pointerdown", (event) => {
  event.target.setPointerCapture(event.pointerId);
  stroke((last = place(event)));
  showDrawing();
});
named("drawing").addEventListener("pointermove", (event) => {
  if (!last) return;
  const [from, to] = [last, place(event)];
  const parts = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
  for (let part = 1; part <= parts; part++)
    stroke({ x: from.x + ((to.x - from.x) * part) / parts, y: from.y + ((to.y - from.y) * part) / parts });
  last = to;
  showDrawing();
});
for (const end of ["pointerup", "pointercancel"]) named("drawing").addEventListener(end, () => (last = null));
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
named("drawing").addEventListener("keydown", (event) => {
  if (!(event.key in MOVES) && event.key !== " ") return;
  event.preventDefault();
  const [right, down] = MOVES[event.key] ?? [0, 0];
  brush.x = Math.min(Math.max(brush.x + right, 0), width - 1);
  brush.y = Math.min(Math.max(brush.y + down, 0), height - 1);
  if (event.key === " ") stroke(brush);
  showDrawing(true);
});
named("drawing").addEventListener("focus", () => showDrawing(true));
named("drawing").addEventListener("blur", () => showDrawing());
named("clear").addEventListener("click", () => {
  drawing.fill(0);
  showDrawing();
  useDrawing();
});

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", ({ target }) => {
  if (target.name === "sample") Object.assign(state, { sample: Number(target.value), clean: sampleImage(Number(target.value)) });
  reset();
});
named("step").addEventListener("click", () => attack(1));
named("all").addEventListener("click", () => attack(steps()));
named("reset").addEventListener("click", reset);

// The story’s bag, or the first image of all.
state.sample = Math.max(0, labels.indexOf(classes.indexOf("Bag")));
state.clean = sampleImage(state.sample);
field("sample")[state.sample].checked = true;
showDrawing();
reset();
