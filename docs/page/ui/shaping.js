// The three sliders that reshape what the next token is drawn from.

import { byId } from "./dom.js";

const KEPT = [1, 2, 3, 5, 10, 20, 50, 100, null]; // the steps of top-k; null keeps all

/** Calls `changed({temperature, topK, topP})` at every movement of a slider, and once at the beginning. */
export function shaping(changed) {
  const [temperature, topK, topP] = ["temperature", "top-k", "top-p"].map(byId);
  const tell = (slider, words) => {
    slider.setAttribute("aria-valuetext", words);
    slider.parentElement.querySelector("output").textContent = words;
  };
  const read = () => {
    const shape = { temperature: Number(temperature.value), topK: KEPT[topK.value], topP: Number(topP.value) };
    tell(temperature, shape.temperature === 0 ? "0, greedy" : shape.temperature.toFixed(2));
    tell(topK, shape.topK === null ? "off" : String(shape.topK));
    tell(topP, shape.topP >= 1 ? "off" : shape.topP.toFixed(2));
    if (shape.topP >= 1) shape.topP = null;
    changed(shape);
  };
  for (const slider of [temperature, topK, topP]) slider.addEventListener("input", read);
  byId("unshaped").addEventListener("click", () => {
    [temperature.value, topK.value, topP.value] = [1, KEPT.length - 1, 1];
    read();
  });
  read();
}
