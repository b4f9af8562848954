// Plain SVG, drawn in the pixels of the screen: text keeps its size on a telephone.
const page = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const minus = (value) => String(value).replace(/-(?=\d)/g, "−");
const language = () => (document.documentElement.lang === "ko" ? 1 : 0);
const say = (key, ...values) => page.words[key][language()].replace(/\{(\d)\}/g, (_, i) => minus(values[i]));
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function add(parent, tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return parent.appendChild(element);
}

// An empty picture, and in words what it will show.
function canvas(id, words) {
  const svg = byId(id);
  const [width, height] = [svg.clientWidth || 640, svg.clientHeight || 240];
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", words);
  return {
    width, height,
    mark: (tag, attributes) => add(svg, tag, attributes),
    text: (x, y, words, kind = "", anchor = "middle") =>
      add(svg, "text", { x, y, class: kind, "text-anchor": anchor }, minus(words)),
    rect: (x, y, width, height, kind) =>
      add(svg, "rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: kind }),
    line: (points, kind) => add(svg, "polyline", { points: points.map((p) => p.join(",")).join(" "), class: kind }),
  };
}

// A canvas with axes. x, y: { from, to, ticks, label, at }, where `at` maps values (a logarithm, say).
const share = (label) => ({ from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], label });
function axes(id, words, x, y, left = 46) {
  const plot = canvas(id, words);
  const [right, top, bottom] = [24, 34, 46];
  const place = ({ from, to, at = (value) => value }, low, high) =>
    (value) => low + ((at(value) - at(from)) / (at(to) - at(from))) * (high - low);
  plot.x = place(x, left, plot.width - right);
  plot.y = place(y, plot.height - bottom, top);
  for (const tick of y.ticks) {
    plot.line([[plot.x(x.from), plot.y(tick)], [plot.x(x.to), plot.y(tick)]], "grid");
    plot.text(left - 6, plot.y(tick) + 4, tick, "tick", "end");
  }
  for (const tick of x.ticks) {
    plot.line([[plot.x(tick), plot.y(y.from)], [plot.x(tick), plot.y(y.from) + 4]], "axis");
    plot.text(plot.x(tick), plot.y(y.from) + 18, tick, "tick");
  }
  plot.line([[plot.x(x.from), plot.y(y.from)], [plot.x(x.to), plot.y(y.from)]], "axis");
  plot.text(4, 14, y.label, "label", "start");
  plot.text(plot.width - right, plot.height - 8, x.label, "label", "end");
  plot.dot = (at, value, kind, radius = 6) =>
    plot.mark("circle", { cx: plot.x(at), cy: plot.y(value), r: radius, class: kind });
  plot.curve = (points, kind) => plot.line(points.map(([a, b]) => [plot.x(a).toFixed(1), plot.y(b).toFixed(1)]), kind);
  return plot;
}

// Horizontal bars, one below the other; each row is { label, parts: [[length, kind]], end }.
function horizontalBars(id, words, rows, longest) {
  const plot = canvas(id, words);
  const height = plot.height / rows.length;
  rows.forEach(({ label, parts, end }, i) => {
    plot.text(0, i * height + 16, label, "label", "start");
    plot.text(plot.width, i * height + 16, end, "value", "end");
    let from = 0;
    for (const [length, kind] of parts) {
      plot.rect(from, i * height + 22, (length / longest) * plot.width, Math.min(22, height - 30), kind);
      from += (length / longest) * plot.width;
    }
  });
  return plot;
}

// The sliders of a distribution: `lines(i)` is what stands below the i-th, `ghost` a second one, as marks.
function showBars(id, p, lines, ghost) {
  byId(id).querySelectorAll("label").forEach((label, i) => {
    const input = label.querySelector("input");
    input.value = p[i];
    input.style.setProperty("--level", p[i]);
    if (ghost) input.style.setProperty("--ghost", ghost[i]);
    input.setAttribute("aria-valuetext", [p[i].toFixed(3), ...lines(i)].join(", "));
    label.querySelector("output").replaceChildren(...lines(i).map((line) => {
      const element = document.createElement("span");
      element.textContent = line;
      return element;
    }));
  });
}
