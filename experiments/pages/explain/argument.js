// What was trained: runs of the bandit at many coefficients, the two rooms, and the effects elsewhere.
const doses = page.bandit.doses, moments = page.bandit.updates, runs = page.bandit.runs;
const policies = bytes(page.bandit.policy), entropies = bytes(page.bandit.entropy); // [dose][moment][run], [action]
Object.assign(state, { dose: page.bandit.shown, moment: moments.length - 1, run: 0 });
Object.assign(state, { roomMoment: page.rooms.updates.length - 1, view: 0 });
const place = (dose, moment, run) => (dose * moments.length + moment) * runs + run;
const policyOf = (dose) => uniform.map((_, a) => policies[place(dose, state.moment, state.run) * 4 + a] / 255);
const entropyOf = (dose, moment, run) => (entropies[place(dose, moment, run)] * 2) / 255;

function drawPolicies() {
  const words = [0, state.dose].map((dose) => policyOf(dose).map((p) => p.toFixed(2)).join(", "));
  const x = { from: 0.4, to: 4.6, ticks: [1, 2, 3, 4], label: say("action") };
  const plot = axes("policy-plot", say("policies_are", ...words), x, share(say("probability")));
  const width = plot.x(0.34) - plot.x(0);
  [[0, "without", -0.36], [state.dose, "with", 0.02]].forEach(([dose, kind, shift]) => {
    policyOf(dose).forEach((p, a) => plot.rect(plot.x(a + 1 + shift), plot.y(p), width, plot.y(0) - plot.y(p), kind));
  });
}

function drawEntropies() {
  const last = moments[moments.length - 1];
  const x = { from: 0, to: last, ticks: [0, 10, 100, 1000], label: say("update"), at: Math.log1p };
  const y = { from: 0, to: 2, ticks: [0, 0.5, 1, 1.5, 2], label: say("entropy_bits") };
  const plot = axes("entropies-plot", say("entropies_are", runs, doses[state.dose]), x, y);
  const curve = (dose, run) => moments.map((update, m) => [update, entropyOf(dose, m, run)]);
  for (const [dose, kind] of [[0, "without"], [state.dose, "with"]]) {
    for (let run = 0; run < runs; run++) plot.curve(curve(dose, run), `thin ${kind}`);
    plot.curve(curve(dose, state.run), `curve ${kind}`);
  }
  const now = plot.x(moments[state.moment]);
  plot.line([[now, plot.y(0)], [now, plot.y(2)]], "cursor");
}

function drawDoses() {
  const x = { from: -0.3, to: doses.length - 0.7, ticks: [], label: say("coefficient") };
  const words = say("dose_is", doses[state.dose], page.bandit.best[state.dose], page.bandit.stuck[state.dose], runs,
    page.bandit.reward[state.dose].toFixed(3));
  const plot = axes("dose-plot", words, x, share(say("fraction_of_runs")));
  doses.forEach((dose, i) => {
    if (plot.width > 560 || i === 0 || (i > 2 && i % 2 === 1)) plot.text(plot.x(i), plot.y(0) + 18, dose, "tick");
  });
  [["best", "with", runs], ["stuck", "without", runs], ["reward", "reward", 1]].forEach(([name, kind, whole]) => {
    plot.curve(page.bandit[name].map((value, i) => [i, value / whole]), `curve ${kind}`);
    page.bandit[name].forEach((value, i) => plot.dot(i, value / whole, kind, i === state.dose ? 7 : 3));
  });
  byId("dose-out").textContent = words;
}

function drawBandit() {
  drawPolicies();
  drawEntropies();
  drawDoses();
  byId("dose-value").textContent = doses[state.dose];
  byId("moment-value").textContent = say("update_of", moments[state.moment], moments[moments.length - 1] + 1);
  byId("run-value").textContent = page.bandit.first_seed + state.run;
}

function drawRoom(arm, id, kind) {
  const { rooms } = page, cells = rooms.cells, policy = bytes(rooms.policy), entropy = bytes(rooms.entropy);
  const index = ((state.roomMoment * 2 + state.view) * 2 + arm) * cells.length;
  const mean = sum(cells.map((_, s) => entropy[index + s])) / cells.length * (2 / 255);
  const plot = canvas(id, say("room_is", say(kind), mean.toFixed(2)));
  const side = Math.min(plot.width / rooms.width, plot.height / rooms.height), left = (plot.width - side * rooms.width) / 2;
  const corner = ([row, column]) => [left + column * side, row * side];
  for (const wall of rooms.walls) plot.rect(...corner(wall), side, side, "wall");
  cells.forEach((cell, s) => {
    const [x, y] = corner(cell);
    const goal = rooms.goals.find(([row, column]) => row === cell[0] && column === cell[1]);
    const box = plot.rect(x, y, side, side, goal ? "goal" : `cell ${kind}`);
    if (goal) return plot.text(x + side / 2, y + side / 2 + 5, goal[2], "value");
    box.setAttribute("fill-opacity", (1 - entropy[index + s] / 255).toFixed(3));
    if (s === rooms.start) plot.mark("circle", { cx: x + side / 2, cy: y + side / 2, r: side * 0.42, class: "ring" });
    rooms.vectors.forEach(([down, right], a) => {
      const reach = (policy[(index + s) * 4 + a] / 255) * side * 0.48, [cx, cy] = [x + side / 2, y + side / 2];
      if (reach > 1) plot.line([[cx, cy], [cx + right * reach, cy + down * reach]], "arrow");
    });
  });
}

function drawRooms() {
  ["without", "with"].forEach((kind, arm) => drawRoom(arm, `room-${kind}`, kind));
  const updates = page.rooms.updates;
  byId("room-value").textContent = say("update_of", updates[state.roomMoment], updates[updates.length - 1] + 1);
}

function drawWorlds() {
  const rows = page.worlds, forIt = rows.filter((row) => row.verdict === "supported" && row.low > 0);
  const plot = canvas("worlds-plot", say("worlds_are", rows.length, forIt.length));
  const narrow = plot.width < 560, left = narrow ? 8 : 300, height = (plot.height - 52) / rows.length;
  const x = (value) => left + ((value + 1) / 2) * (plot.width - left - 16);
  const ticks = [[-1, "−1", "start"], [-0.5, "−0.5", "middle"], [0, "0", "middle"], [0.5, "+0.5", "middle"], [1, "+1", "end"]];
  for (const [tick, words, anchor] of ticks) {
    plot.line([[x(tick), 0], [x(tick), plot.height - 48]], tick ? "grid" : "axis");
    plot.text(x(tick), plot.height - 30, words, "tick", anchor);
  }
  plot.text(plot.width, plot.height - 8, say("difference"), "label", "end");
  rows.forEach((row, i) => {
    const y = (i + 0.5) * height + (narrow ? 8 : 0), decided = row.verdict !== "inconclusive";
    const kind = decided && row.low > 0 ? "with" : decided && row.high < 0 ? "without" : "neither";
    plot.text(narrow ? 0 : left - 12, narrow ? y - 9 : y + 4, row.label[language()], "label", narrow ? "start" : "end");
    for (const [value, right, down, side] of i === page.family.row ? page.family.dots : [])
      plot.mark("circle", { cx: x(value) + right, cy: y + down, r: 1.8, "fill-opacity": 0.6, class: `world ${side}` });
    plot.line([[x(row.low), y], [x(row.high), y]], `interval ${kind}`);
    plot.mark("circle", { cx: x(row.effect), cy: y, r: 5, class: kind });
  });
}
