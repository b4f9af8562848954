"use strict";
for (const slider of document.querySelectorAll(".slider")) {
  const range = slider.querySelector("input[type=range]");
  const show = () => {
    const view = slider.querySelector("input[type=radio]:checked").value;
    for (const frame of slider.querySelectorAll("figure")) {
      frame.hidden = frame.dataset.moment !== range.value || frame.dataset.view !== view;
      if (!frame.hidden) range.setAttribute("aria-valuetext", frame.querySelector("figcaption").textContent);
    }
  };
  slider.addEventListener("input", show);
  show();
}
