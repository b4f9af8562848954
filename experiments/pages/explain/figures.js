// One function per figure. `state` is all that can be moved; each function draws its figure from it.
const { sure, undecided, coin, digit } = page.text;
const uniform = [0.25, 0.25, 0.25, 0.25], uniformNats = formulas.entropy(uniform);
const state = {
  p: coin[0], coin: coin[0], policy: sure, coefficient: 0.1, swapped: false, drawn: [], belief: undecided,
  right: digit.q[digit.right], weights: null, course: [],
};
const bits = (nats) => formulas.bits(nats).toFixed(3);
const inBits = (nats) => say("bits", bits(nats));
const inNats = (nats) => (Number.isFinite(nats) ? say("nats", nats.toFixed(4)) : "∞");
const surprise = (p) => (p > 0 ? say("bits", formulas.bits(formulas.information(p)).toFixed(2)) : "∞");
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
const range = (from, to, steps) => Array.from({ length: steps + 1 }, (_, i) => from + ((to - from) * i) / steps);

function drawInformation() {
  const nats = formulas.information(state.p);
  const words = say("information_is", state.p.toFixed(3), formulas.bits(nats).toFixed(4), nats.toFixed(4));
  const y = { from: 0, to: 10, ticks: [0, 2, 4, 6, 8, 10], label: say("information_bits") };
  const plot = axes("information-plot", words, share("p"), y);
  plot.curve(range(0.001, 1, 400).map((p) => [p, formulas.bits(formulas.information(p))]), "curve");
  plot.dot(state.p, formulas.bits(nats), "moved");
  byId("information-out").textContent = words;
}

function drawCoin() {
  const entropyOf = (p) => formulas.entropy([p, 1 - p]);
  const words = say("coin_is", state.coin.toFixed(2), inBits(entropyOf(state.coin)), inNats(entropyOf(state.coin)));
  const plot = axes("coin-plot", words, share(say("heads")), share(say("entropy_bits")));
  plot.curve(range(0, 1, 200).map((p) => [p, formulas.bits(entropyOf(p))]), "curve");
  [[coin[0], "unfair", "end", -12], [0.5, "fair", "middle", 0]].forEach(([p, key, anchor, shift]) => {
    plot.dot(p, formulas.bits(entropyOf(p)), "neither", 4);
    plot.text(plot.x(p) + shift, plot.y(formulas.bits(entropyOf(p))) + (shift ? 4 : 22), say(key), "label", anchor);
  });
  plot.dot(state.coin, formulas.bits(entropyOf(state.coin)), "moved");
  byId("coin-out").textContent = words;
}

function drawEntropy() {
  const { policy } = state, nats = formulas.entropy(policy);
  showBars("entropy-bars", policy, (i) => [policy[i].toFixed(3), surprise(policy[i])]);
  const words = say("entropy_is", inBits(nats), inNats(nats), formulas.effectiveActions(policy).toFixed(2));
  const plot = canvas("entropy-scale", words);
  const x = (p) => 24 + (formulas.bits(formulas.entropy(p)) / 2) * (plot.width - 48);
  plot.line([[24, 46], [plot.width - 24, 46]], "axis");
  const marks = [[[1, 0, 0, 0], "sure", "start"], [sure, "a"], [undecided, "b"], [uniform, "uniform", "end"]];
  marks.forEach(([p, key, anchor]) => {
    plot.line([[x(p), 38], [x(p), 54]], "axis");
    const end = { start: 0, end: plot.width }[anchor] ?? x(p) - 4;
    if (key !== "b") plot.text(end, 74, say(key), "label", anchor);
    else plot.text(x(p), 28, say(key), "label");
  });
  plot.mark("circle", { cx: x(policy), cy: 46, r: 8, class: "moved" });
  byId("entropy-out").textContent = words;
}

function drawLossTerm() {
  const { policy, coefficient } = state, pulls = formulas.entropyGradient(policy);
  showBars("loss-bars", policy, (i) => [policy[i].toFixed(3)]);
  const words = say("pulls_are", pulls.map(signed).join(", "));
  const plot = canvas("pull-plot", words), middle = plot.height / 2, scale = (middle - 26) / 0.35;
  plot.line([[0, middle], [plot.width, middle]], "axis");
  pulls.forEach((pull, i) => {
    const x = (plot.width * (i + 0.5)) / 4, tip = middle - pull * scale, back = tip + Math.sign(pull) * 9;
    if (Math.abs(pull) > 0.004) {
      plot.line([[x, middle], [x, tip]], "arrow");
      plot.mark("polygon", { points: `${x},${tip} ${x - 6},${back} ${x + 6},${back}`, class: "head" });
    }
    plot.text(x, pull < 0 ? middle - 8 : middle + 18, signed(pull), "value");
  });
  const row = (label, p) => {
    const term = formulas.lossTerm(p, coefficient);
    return { label, parts: [[-term, "with"]], end: say("nats", term.toFixed(4)) };
  };
  const rows = [row(say("moved_policy"), policy), row(say("a_long"), sure), row(say("b_long"), undecided)];
  horizontalBars("loss-plot", rows.map((r) => `${r.label}: ${r.end}`).join("; "), rows, 0.5 * uniformNats);
  byId("coefficient-out").textContent = coefficient.toFixed(2);
  byId("loss-out").textContent = words;
}

function drawRatios() {
  const p = state.policy, q = undecided, ratios = formulas.likelihoodRatios(p, q);
  showBars("ratio-bars", p, (i) => [p[i].toFixed(3), `p/q ${ratios[i].toFixed(2)}`], q);
  const [best, spent] = [formulas.entropy(p), formulas.crossEntropy(p, q)];
  const rows = [
    { label: say("code_for_p"), parts: [[best, "entropy"]], end: inBits(best) },
    { label: say("code_for_q"), parts: [[best, "entropy"], [spent - best, "lost"]], end: inBits(spent) },
  ];
  const words = say("code_is", inBits(best), inBits(spent), inBits(spent - best));
  horizontalBars("code-plot", words, rows, Math.max(spent, uniformNats));
  const [there, back] = [formulas.klDivergence(p, q), formulas.klDivergence(q, p)];
  byId("ratio-out").textContent = say("kl_is", inNats(there), inNats(back), inBits(spent - best));
}

// Samples come from a small generator with a fixed seed (mulberry32): the page is the same at every visit.
function sampler(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const directions = [[sure, undecided, "without"], [undecided, sure, "with"]];
let uniforms = sampler(1);
function drawSamples(count) {
  if (!count) [state.drawn, uniforms] = [[], sampler(1)];
  for (let i = 0; i < count && state.drawn.length < 10000; i++) {
    const u = uniforms();
    state.drawn.push(directions.map(([p]) => Math.min(3, p.findIndex((_, a) => u < sum(p.slice(0, a + 1))))));
  }
}

function drawLikelihood() {
  const n = state.drawn.length, from = state.swapped ? 1 : 0, [p, q] = directions[from];
  const y = { from: -1.5, to: 2.5, ticks: [-1, 0, 1, 2], label: say("mean_log_ratio") };
  const x = { from: 1, to: 10000, ticks: [1, 10, 100, 1000, 10000], label: say("samples"), at: Math.log };
  const logs = directions.map(([p, q]) => formulas.likelihoodRatios(p, q).map(Math.log));
  const ratio = (i) => Math.exp(logs[from][i]), total = sum(state.drawn.map((pair) => logs[from][pair[from]]));
  const last = state.drawn.slice(-8).map((pair) => say("sample", pair[from] + 1, ratio(pair[from]).toFixed(2)));
  const power = Math.abs(total) < 7 ? 0 : Math.floor(total / Math.LN10), product = Math.exp(total - power * Math.LN10).toFixed(3);
  const numbers = [n, last.join("; "), power ? `${product} × 10^${power}` : product, total.toFixed(3), (total / n).toFixed(4)];
  const words = n ? say("samples_are", ...numbers) : say("no_samples");
  const plot = axes("sample-plot", words, x, y);
  directions.forEach(([p, q, kind], direction) => {
    const kl = formulas.klDivergence(p, q), label = say(direction ? "kl_back" : "kl_there", kl.toFixed(4));
    plot.curve([[1, kl], [10000, kl]], `target ${kind}`);
    plot.text(plot.x(10000), plot.y(kl) + (direction ? -8 : 18), label, "label", "end");
    let total = 0;
    const means = state.drawn.map((pair, i) => [i + 1, (total += logs[direction][pair[direction]]) / (i + 1)]);
    plot.curve(means.filter(([i]) => i < 200 || i % 25 === 0 || i === n), `curve ${kind}`);
  });
  byId("sample-out").textContent = words;
}

function drawCrossEntropy() {
  const p = sure, q = state.belief, [own, extra] = [formulas.entropy(p), formulas.klDivergence(p, q)];
  showBars("belief-bars", q, (i) => [q[i].toFixed(3)], p);
  const end = inNats(own + extra), shown = Math.min(extra, 2.5 - own);
  const row = { label: "H(p) + KL(p‖q)", parts: [[own, "entropy"], [shown, "lost"]], end };
  horizontalBars("stack-plot", `H(p) + KL(p‖q) = ${end}`, [row], 2.5);
  const learnt = Number.isFinite(extra) ? extra.toFixed(4) : "∞";
  byId("stack-out").textContent = say("stack_is", own.toFixed(4), learnt, end);
}

function drawDigit() {
  const q = formulas.withProbability(digit.q, digit.right, state.right), loss = formulas.crossEntropy(digit.p, q);
  const words = say("digit_is", state.right.toFixed(2), inNats(loss), inBits(loss));
  const digits = q.map((_, i) => i);
  const x = { from: -0.6, to: 9.6, ticks: digits, label: say("class") };
  const bars = axes("digit-plot", words, x, share(say("belief")));
  q.forEach((value, i) => {
    const kind = i === digit.right ? "with" : "entropy", width = (bars.x(1) - bars.x(0)) * 0.7;
    bars.rect(bars.x(i) - width / 2, bars.y(value), width, bars.y(0) - bars.y(value), kind);
  });
  const y = { from: 0, to: 5, ticks: [0, 1, 2, 3, 4, 5], label: say("loss_nats") };
  const curve = axes("log-plot", words, share(say("right_class")), y);
  curve.curve(range(0.007, 1, 300).map((value) => [value, formulas.information(value)]), "curve");
  curve.dot(state.right, loss, "moved");
  byId("digit-out").textContent = words;
}

function drawClassifier() {
  const { points, targets } = page.classes, steps = state.course.length - 1, lowest = page.classes.entropy;
  const loss = state.course[steps], parts = [loss, lowest, loss - lowest].map((nats) => nats.toFixed(4));
  const words = say("classifier_is", steps, ...parts), plane = (label) => ({ from: -3, to: 3, ticks: [-2, 0, 2], label });
  const scatter = axes("class-plot", words, plane("x₁"), plane("x₂"));
  points.forEach((point, n) => {
    const likeliest = (p) => p.indexOf(Math.max(...p));
    const best = likeliest(formulas.classify(state.weights, point)), truth = likeliest(targets[n]);
    const [x, y] = [scatter.x(point[0]), scatter.y(point[1])];
    const shape = [[[-5, -5], [5, -5], [5, 5], [-5, 5]], [[0, -7], [6, 5], [-6, 5]], [[0, -7], [7, 0], [0, 7], [-7, 0]]][truth];
    scatter.mark("polygon", { points: shape.map(([right, down]) => [x + right, y + down]).join(" "), class: `class${best}` });
  });
  const x = { from: 0, to: 200, ticks: [0, 50, 100, 150, 200], label: say("gradient_steps") };
  const plot = axes("course-plot", words, x, { from: 0, to: 1.2, ticks: [0, 0.4, 0.8, 1.2], label: say("mean_nats") });
  plot.curve([[0, lowest], [200, lowest]], "target entropy");
  plot.text(plot.x(200), plot.y(lowest) + 16, say("entropy_fixed"), "label", "end");
  plot.curve(state.course.map((value, i) => [i, value]), "curve with");
  plot.curve(state.course.map((value, i) => [i, value - lowest]), "curve without");
  plot.dot(steps, loss, "with", 4);
  plot.dot(steps, loss - lowest, "without", 4);
  byId("class-out").textContent = words;
}

function trainClassifier(steps) {
  const { points, targets } = page.classes;
  const lossAt = (x, n) => formulas.crossEntropy(targets[n], formulas.classify(state.weights, x));
  const loss = () => sum(points.map(lossAt)) / points.length;
  if (!steps) [state.weights, state.course] = [targets[0].map(() => [0, 0, 0]), []];
  for (let i = 0; i < steps && state.course.length <= 200; i++) {
    const gradient = formulas.classifierGradient(state.weights, points, targets);
    state.weights = state.weights.map((w, k) => w.map((value, j) => value - 0.5 * gradient[k][j]));
    state.course.push(loss());
  }
  if (!state.course.length) state.course.push(loss());
}
