// The page of `dvc plots show` and `dvc plots diff`. DVC calls `vegaEmbed(element, specification)` once for each plot;
// this script draws them all once the page is complete: in sections, each run in one colour, with a legend of buttons.
// RUNS, the CSS variable of each run's colour, and OTHERS, those for other series, are written above by `make template`.
const embed = vegaEmbed;
const plots = [];
let revisions = []; // of all plots, the first the widest line
window.vegaEmbed = (element, specification) => plots.push({ box: document.querySelector(element), specification });

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const unique = (values) => [...new Set(values)];
const make = (tag, settings = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), settings);
  made.append(...children);
  return made;
};

// The title before the colon is the section.
function splitTitle({ text }) {
  const [, section, rest] = text.match(/^(.*?): (.*)/) ?? [, "More", text];
  return [section, rest[0].toUpperCase() + rest.slice(1)];
}

// A row for each point: x, y, name of the series, split and revision.
function rowsOf({ usermeta, data, title }) {
  return data.values
    .map((datum) => {
      const [file, field] = (datum["filename::field"] ?? datum.filename ?? "").split("::");
      const name = datum.series ?? (file.replace(/\.csv$/, "") || title.text.replace(/^.*?: |, .*/g, ""));
      const split = (field ?? usermeta.y).startsWith("train_") ? "training" : "test";
      const [x, y] = [usermeta.x, usermeta.y].map((key) => (datum[key] === "" ? NaN : Number(datum[key])));
      return { x, y, name, split, revision: datum.rev };
    })
    .filter((row) => Number.isFinite(row.x) && Number.isFinite(row.y));
}

// A run that `make template` did not know takes the next colour.
function colours({ names, runs }) {
  if (!runs) return names.map((name, index) => css(OTHERS[index % OTHERS.length]));
  for (const name of names) RUNS[name] ??= OTHERS[Object.keys(RUNS).length % OTHERS.length];
  return names.map((name) => css(RUNS[name]));
}

const FIT = { type: "fit-x", contains: "padding" };
const ERRORS = 1; // Vega's level of messages
const WIDTHS = [2.6, 1.5, 0.9];
const OPACITIES = [1, 0.75, 0.6];
const of = (levels, index) => levels[Math.min(index, levels.length - 1)];

function theme() {
  const ink = css("ink");
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: "transparent" },
    axis: { labelColor: ink, titleColor: ink, gridColor: css("line"), domainColor: ink, tickColor: ink, labelFontSize: 12, titleFontSize: 13 },
    legend: { labelColor: ink, titleColor: ink },
  };
}

function line(plot) {
  const { encoding } = plot.specification;
  const [x, y] = [encoding.x, encoding.y].map(({ title, scale }, index) => {
    const log = scale?.type === "log";
    const axis = { labelFlush: false, ...(log && { format: "~g" }) };
    return { field: "xy"[index], type: "quantitative", title, scale: { ...scale, ...(!log && { zero: false }) }, axis };
  });
  const channels = {
    color: { field: "name", type: "nominal", legend: null, scale: { domain: plot.names, range: colours(plot) } },
    strokeDash: { field: "split", type: "nominal", legend: null, scale: { domain: ["test", "training"], range: [[1, 0], [6, 4]] } },
    detail: { field: "revision" },
  };
  const scaled = (levels) => ({
    value: of(levels, 0),
    condition: revisions.slice(1).map((name, index) => ({ test: { field: "revision", equal: name }, value: of(levels, index + 1) })),
  });
  return {
    width: "container",
    height: 300,
    autosize: FIT,
    data: { values: plot.rows.filter((row) => !plot.hidden.has(row.name)) },
    encoding: { x, y },
    layer: [
      {
        params: [{ name: "zoom", bind: "scales", select: { type: "interval", zoom: "wheel![event.ctrlKey || event.shiftKey]" } }],
        mark: { type: "line", clip: true },
        encoding: { ...channels, strokeWidth: scaled(WIDTHS), opacity: scaled(OPACITIES) },
      },
      {
        params: [{ name: "near", select: { type: "point", on: "pointerover", clear: "pointerout" } }],
        mark: { type: "point", filled: true, size: 110, clip: true },
        encoding: {
          color: channels.color,
          opacity: { value: 0, condition: { param: "near", empty: false, value: 1 } },
          tooltip: [
            { field: "name", title: "series" },
            ...(plot.splits.length > 1 ? [{ field: "split" }] : []),
            { field: "revision" },
            { field: "x", title: x.title },
            { field: "y", title: y.title, format: ".5~g" },
          ],
        },
      },
    ],
  };
}

// A plot of a template of DVC's own.
function bars({ box, specification: { $schema, title, ...rest } }) {
  const { encoding } = rest;
  const legend = revisions.length > 1 ? { orient: "bottom", title: "revision" } : null;
  const color = { ...encoding.color, legend, scale: { ...encoding.color.scale, range: ["ink", "quiet", "line"].map(css) } };
  const labels = { title: null, axis: { labelLimit: box.clientWidth * 0.45 } };
  const height = { step: 10 + 6 * revisions.length, for: "position" };
  return { ...rest, width: "container", height, autosize: FIT, encoding: { ...encoding, y: { ...encoding.y, ...labels }, color } };
}

async function draw(plot) {
  const specification = plot.rows ? line(plot) : bars(plot);
  const options = { renderer: "svg", logLevel: ERRORS, actions: { source: false, compiled: false, editor: false }, config: theme() };
  await embed(plot.canvas, specification, options);
  for (const button of plot.box.querySelectorAll(".legend button")) {
    const { name } = button.dataset;
    button.style.setProperty("--colour", colours(plot)[plot.names.indexOf(name)]);
    button.setAttribute("aria-pressed", !plot.hidden.has(name));
  }
}

const swatch = (style) => make("span", { className: "swatch", style });

function legend(plot) {
  const series = plot.names.map((name) => {
    const button = make("button", { type: "button", title: `hide or show ${name}` }, swatch(""), name);
    button.dataset.name = name;
    button.addEventListener("click", () => {
      plot.hidden[plot.hidden.has(name) ? "delete" : "add"](name);
      draw(plot);
    });
    return button;
  });
  const splits = plot.splits.length > 1 ? [["test", "solid"], ["training", "dashed"]] : [];
  const shown = splits.map(([name, style]) => make("span", {}, swatch(`border-top-style: ${style}`), name));
  const compared = revisions.flatMap((name, index) => {
    const style = `border-top-width: ${2 * of(WIDTHS, index)}px; opacity: ${of(OPACITIES, index)}`;
    return plot.revisions.includes(name) ? [make("span", {}, swatch(style), name)] : [];
  });
  return make("div", { className: "legend" }, ...series, ...shown, ...(revisions.length > 1 ? compared : []));
}

function arrange() {
  revisions = unique(plots.flatMap(({ specification }) => specification.data.values.map((datum) => datum.rev)));
  const main = document.getElementById("content");
  document.getElementById("revisions").textContent =
    revisions.length > 1 ? `Compared: ${revisions.join(", ")}; the first is the widest line.` : `Revision: ${revisions[0] ?? "none"}.`;
  const sections = new Map();
  const section = (name) => {
    if (!sections.has(name)) {
      const folded = name === "Single runs" || name === "Figures";
      const body = make("div", { className: "plots" });
      const heading = make("h2", {}, name);
      sections.set(name, body);
      const made = folded ? make("details", {}, make("summary", {}, heading), body) : make("section", {}, heading, body);
      made.addEventListener("toggle", () => plots.filter((plot) => body.contains(plot.box)).forEach(draw));
      main.append(made);
    }
    return sections.get(name);
  };
  for (const plot of plots) {
    const { specification } = plot;
    if (specification.usermeta) {
      plot.rows = rowsOf(specification);
      plot.runs = !specification.data.values.some((datum) => "series" in datum);
      for (const [key, field] of [["names", "name"], ["splits", "split"], ["revisions", "revision"]]) {
        plot[key] = unique(plot.rows.map((row) => row[field]));
      }
      plot.hidden = new Set();
    }
    plot.box.dataset.title = specification.title.text;
    plot.canvas = make("div", { className: "canvas" });
    const [name, title] = splitTitle(specification.title);
    plot.box.replaceChildren(make("h3", {}, title), plot.canvas, ...(plot.rows ? [legend(plot)] : []));
    section(name).append(plot.box);
  }
  for (const picture of document.querySelectorAll("#plots > div")) {
    for (const image of picture.querySelectorAll("img")) image.alt = picture.querySelector("p").textContent;
    section("Figures").append(picture);
  }
  const redraw = () => plots.filter((plot) => !plot.box.closest("details:not([open])")).forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
}
document.addEventListener("DOMContentLoaded", arrange);
