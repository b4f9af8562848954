// Who moves what, and the language.
const sections = {
  information: [drawInformation], coin: [drawCoin], policy: [drawEntropy, drawLossTerm, drawRatios],
  coefficient: [drawLossTerm], samples: [drawLikelihood], belief: [drawCrossEntropy], right: [drawDigit],
  classes: [drawClassifier], bandit: [drawBandit], rooms: [drawRooms], worlds: [drawWorlds],
};
const draw = (name) => sections[name].forEach((figure) => figure());
const drawAll = () => Object.keys(sections).forEach(draw);
const moves = (id, key, name) => {
  byId(id).value = state[key];
  byId(id).addEventListener("input", (event) => {
    state[key] = Number(event.target.value);
    draw(name);
  });
};
const presses = (selector, act, name) => document.querySelectorAll(selector).forEach((button) => {
  button.addEventListener("click", () => {
    act(JSON.parse(button.value));
    draw(name);
  });
});
const movesBars = (id, key, name) => byId(id).querySelectorAll("input").forEach((input, i) => {
  input.addEventListener("input", () => {
    state[key] = formulas.withProbability(state[key], i, Number(input.value));
    draw(name);
  });
});
const sets = (key) => (value) => {
  state[key] = value;
  for (const input of document.querySelectorAll(`input[data-state="${key}"]`)) input.value = value;
};

moves("information-p", "p", "information");
moves("coin-p", "coin", "coin");
moves("coefficient", "coefficient", "coefficient");
moves("right", "right", "right");
for (const key of ["dose", "moment", "run"]) moves(`bandit-${key}`, key, "bandit");
moves("room-moment", "roomMoment", "rooms");
for (const id of ["entropy-bars", "loss-bars", "ratio-bars"]) movesBars(id, "policy", "policy");
movesBars("belief-bars", "belief", "belief");
for (const key of ["p", "coin", "policy", "belief", "right"]) {
  const name = { p: "information" }[key] ?? key;
  presses(`button[name=${key}]`, sets(key), name);
}
presses("button[name=draw]", drawSamples, "samples");
presses("button[name=train]", trainClassifier, "classes");
presses("input[name=direction]", (value) => { state.swapped = Boolean(value); }, "samples");
presses("input[name=view]", (value) => { state.view = value; }, "rooms");

function speak(chosen) {
  document.documentElement.lang = chosen;
  document.title = byId("title").dataset[chosen];
  for (const button of document.querySelectorAll("button[name=language]")) {
    button.setAttribute("aria-pressed", JSON.parse(button.value) === chosen);
  }
}
presses("button[name=language]", (chosen) => { speak(chosen); drawAll(); }, "information");
speak(document.documentElement.lang);
drawSamples(30);
trainClassifier(0);
drawAll();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) drawAll();
  width = innerWidth;
});
addEventListener("beforeprint", () => { document.body.classList.add("printing"); drawAll(); });
addEventListener("afterprint", () => { document.body.classList.remove("printing"); drawAll(); });
