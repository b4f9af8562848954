"use strict";

// Maps: each strip moves behind its frame.
for (const slider of document.querySelectorAll(".slider")) {
  const range = slider.querySelector("input[type=range]");
  const captions = JSON.parse(slider.dataset.captions);
  const checked = (kind) => [...slider.querySelectorAll(`input[type=${kind}]:checked`)].map((input) => input.value);
  const offered = (kind) => slider.querySelector(`input[type=${kind}]`) !== null;
  const show = () => {
    const moment = Number(range.value);
    slider.querySelector("output").textContent = captions[moment];
    range.setAttribute("aria-valuetext", captions[moment]);
    for (const figure of slider.querySelectorAll("figure")) {
      const { arm, view } = figure.dataset;
      figure.hidden = (offered("radio") && !checked("radio").includes(view)) ||
        (offered("checkbox") && !checked("checkbox").includes(arm));
    }
    for (const map of slider.querySelectorAll("svg")) {
      map.setAttribute("aria-label", JSON.parse(map.dataset.words)[moment]);
      map.firstElementChild.setAttribute("y", -moment * map.viewBox.baseVal.height);
    }
  };
  slider.addEventListener("input", show);
  show();
}

// Pictures that the page holds compressed.
for (const image of document.querySelectorAll("img[data-gzip]")) {
  const bytes = Uint8Array.from(atob(image.dataset.gzip), (character) => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  new Response(unpacked).text().then((svg) => {
    image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  });
}

// Sections that fold: a link opens the one it leads into, and paper shows all.
const experiments = [...document.querySelectorAll("details.experiment")];
const fold = (open) => experiments.forEach((section) => { section.open = open; });
const openTarget = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const section = target?.closest("details");
  if (section) {
    section.open = true;
    target.scrollIntoView();
  }
};
for (const row of document.querySelectorAll(".folding")) {
  row.hidden = false;
  row.addEventListener("click", (event) => {
    if (event.target.matches("button")) fold("open" in event.target.dataset);
  });
}
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = experiments.filter((section) => section.open);
  fold(true);
});
addEventListener("afterprint", () => experiments.forEach((section) => { section.open = unfolded.includes(section); }));
addEventListener("hashchange", openTarget);
openTarget();
