// Moves the adversarial bench: everything it shows was computed by the pipeline.
const bench = document.getElementById("bench");
const runs = JSON.parse(document.getElementById("probabilities").textContent);
const classes = JSON.parse(document.getElementById("classes").textContent);
const slider = bench.querySelector("input[type=range]");
const picker = bench.querySelector("select");
const rows = [...bench.querySelectorAll(".bars tr")];
const [WIDTH, HEIGHT] = [bench.dataset.width, bench.dataset.height].map(Number);

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
// A name that is read from right to left turns no number beside it around.
const named = (index) => `\u2068${classes[index]}\u2069`;
const largest = (values) => values.indexOf(Math.max(...values));

function view(selector, run, x, y, words) {
  const picture = bench.querySelector(selector);
  picture.setAttribute("viewBox", `${x} ${y} ${WIDTH} ${HEIGHT}`);
  picture.setAttribute("aria-label", words);
  picture.querySelector("use").setAttribute("href", `#${run}`);
}

function show() {
  const run = bench.querySelector("input[name=run]:checked").value;
  const { epsilons, images, probabilities } = runs[run];
  const step = Number(slider.value);
  const image = Number(picker.value);
  const given = probabilities[image][step];
  const clean = probabilities[image][0];
  const epsilon = epsilons[step].toFixed(3);
  const top = largest(given);
  const words = `${named(top)}, ${percent(given[top])}`;
  view(".clean", `sheet-${run}`, 0, HEIGHT * image, `${images[image]}, unmoved`);
  view(".moves", `sheet-${run}-direction`, 0, HEIGHT * image, "what is added: ε red, −ε blue");
  view(".moved", `sheet-${run}`, WIDTH * step, HEIGHT * image, `${images[image]}, moved by ε = ${epsilon}`);
  bench.querySelector(".moves use").style.opacity = epsilons[step] / epsilons.at(-1);
  bench.querySelector(".clean-words").textContent = `${named(largest(clean))}, ${percent(Math.max(...clean))}`;
  bench.querySelector(".moves-words").textContent = `± ${epsilon}`;
  bench.querySelector(".moved-words").textContent = words;
  bench.querySelector("output").textContent = epsilon;
  slider.setAttribute("aria-valuetext", `ε = ${epsilon}: ${words}`);
  rows.forEach((row, index) => {
    row.classList.toggle("true", classes[index] === images[image]);
    row.classList.toggle("top", index === top);
    row.querySelector(".bar").style.width = `${100 * given[index]}%`;
    row.lastElementChild.textContent = percent(given[index]);
  });
}

document.documentElement.classList.add("scripted");
bench.hidden = false;
bench.addEventListener("input", show);
show();
