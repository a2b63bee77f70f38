"use strict";
function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}
function sortBy(header) {
  const down = header.getAttribute("aria-sort") === "ascending";
  const body = header.closest("table").tBodies[0];
  const rows = [...body.rows].sort((a, b) => compare(valueOf(a, header.cellIndex), valueOf(b, header.cellIndex)));
  if (down) rows.reverse();
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows);
}
for (const header of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  button.addEventListener("click", () => sortBy(header));
  header.append(button);
}
function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}
function addControls(figure) {
  const [animation] = figure.querySelector("img").getAnimations();
  const labels = figure.dataset.labels.split("|");
  if (!animation) return;
  const title = figure.querySelector("h3").textContent;
  const step = animation.effect.getComputedTiming().duration / labels.length;
  const button = element("button", { type: "button" });
  const slider = element("input", { type: "range", min: 0, max: labels.length - 1, value: 0, ariaLabel: `Frame: ${title}` });
  const label = element("span", {});
  const controls = element("div", { className: "controls" });
  controls.append(button, slider, label);
  figure.querySelector(".screen").after(controls);
  const playing = () => animation.playState === "running";
  function show() {
    const frame = Math.floor(animation.currentTime / step) % labels.length;
    label.textContent = labels[frame];
    slider.value = frame;
    slider.setAttribute("aria-valuetext", labels[frame]);
    button.textContent = playing() ? "Pause" : "Play";
    button.ariaLabel = `${button.textContent}: ${title}`;
    if (playing()) requestAnimationFrame(show);
  }
  button.addEventListener("click", () => {
    if (playing()) animation.pause(); else animation.play();
    show();
  });
  slider.addEventListener("input", () => {
    animation.pause();
    // The middle of a frame, so that no rounding shows its neighbour.
    animation.currentTime = (Number(slider.value) + 0.5) * step;
    show();
  });
  show();
}
for (const figure of document.querySelectorAll(".film")) addControls(figure);
