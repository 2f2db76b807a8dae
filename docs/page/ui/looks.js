// Where the position that predicts a token looked: arcs in the story, and the same weights as a table.

import { largest, make, percent, spoken, visible } from "./dom.js";

const ARCS = 8; // at most so many, and none below
const LEAST = 0.03;
const LISTED = 5;
const NS = "http://www.w3.org/2000/svg";

/** The mean of arrays of equal length. */
function mean(arrays) {
  const sum = new Float32Array(arrays[0].length);
  for (const one of arrays) for (let i = 0; i < sum.length; i++) sum[i] += one[i] / arrays.length;
  return sum;
}

export class Looks {
  /** `frame` holds the story's box, over which the arcs are drawn; `table` the place of the list. */
  constructor(frame, table, pickers, facts) {
    Object.assign(this, { frame, table, ...pickers });
    this.svg = document.createElementNS(NS, "svg");
    this.svg.setAttribute("class", "arcs");
    this.svg.setAttribute("aria-hidden", "true");
    const fill = (select, count, all) => select.replaceChildren(
      make("option", { value: "" }, all), ...Array.from({ length: count }, (_, i) => make("option", { value: i }, String(i))));
    fill(this.layer, facts.layers, "average");
    fill(this.head, facts.heads, "average");
    for (const picker of [this.layer, this.head, this.arcs]) picker.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  /**
   * attention: [layer][head] -> weights of each position; at: the token that was predicted.
   * options: the elements of the positions, in order; labels: how they read.
   */
  show(attention, at, options, labels) {
    Object.assign(this, { attention, at, options, labels });
    this.draw();
  }

  hide() {
    this.attention = null;
    this.draw();
  }

  weights() {
    const layers = this.layer.value === "" ? this.attention : [this.attention[this.layer.value]];
    const heads = layers.flatMap((layer) => (this.head.value === "" ? [...layer] : [layer[this.head.value]]));
    return mean(heads);
  }

  draw() {
    for (const one of this.frame.querySelectorAll(".looked")) {
      one.classList.remove("looked");
      one.style.removeProperty("--weight");
    }
    this.svg.replaceChildren();
    this.svg.remove();
    if (!this.attention) return this.table.replaceChildren();
    const weights = this.weights();
    const strongest = largest(weights, ARCS).filter((i) => weights[i] >= LEAST);
    this.list(weights, strongest.length ? strongest : largest(weights, LISTED));
    if (!this.arcs.checked) return;
    const box = this.frame.firstElementChild;
    box.append(this.svg);
    const origin = this.svg.parentElement.getBoundingClientRect();
    const [right, down] = [origin.left - box.scrollLeft + box.clientLeft, origin.top - box.scrollTop + box.clientTop];
    this.svg.setAttribute("width", box.clientWidth);
    this.svg.setAttribute("height", box.scrollHeight);
    const middle = (one) => {
      const place = one.getClientRects()[0];
      return { x: (place.left + place.right) / 2 - right, top: place.top - down, bottom: place.bottom - down };
    };
    const from = middle(this.at);
    for (const i of strongest.reverse()) {
      const target = this.options[i];
      if (!target || target === this.at) continue;
      target.classList.add("looked");
      target.style.setProperty("--weight", weights[i].toFixed(3));
      this.arc(from, middle(target), weights[i]);
    }
  }

  arc(from, to, weight) {
    const path = document.createElementNS(NS, "path");
    const dot = document.createElementNS(NS, "circle");
    const lines = Math.abs(from.top - to.top);
    const sameLine = lines < 4;
    const end = sameLine ? to.top : to.bottom;
    const rise = sameLine ? Math.min(26, 8 + Math.abs(from.x - to.x) / 8) : Math.min(60, 14 + lines / 3);
    path.setAttribute("d", sameLine
      ? `M${from.x},${from.top} C${from.x},${from.top - rise} ${to.x},${to.top - rise} ${to.x},${end}`
      : `M${from.x},${from.top} C${from.x},${from.top - rise} ${to.x},${end + rise} ${to.x},${end}`);
    path.setAttribute("stroke-width", (1 + 4 * weight).toFixed(2));
    path.setAttribute("opacity", (0.4 + 0.5 * weight).toFixed(2));
    dot.setAttribute("cx", to.x);
    dot.setAttribute("cy", end);
    dot.setAttribute("r", (2 + 2.5 * weight).toFixed(2));
    this.svg.append(path, dot);
  }

  list(weights, shown) {
    const rows = [...shown].slice(0, LISTED).map((i) => {
      const bar = make("span", { class: "bar looks" });
      bar.style.width = `${100 * weights[i]}%`;
      return make("tr", {},
        make("th", { scope: "row" }, make("span", { "aria-hidden": "true", class: "piece" }, visible(this.labels[i])),
          make("span", { class: "unseen" }, spoken(this.labels[i]))),
        make("td", { class: "wide", "aria-hidden": "true" }, bar), make("td", { class: "number" }, percent(weights[i])));
    });
    const head = (name, kind) => make("th", { scope: "col", class: kind }, name);
    this.table.replaceChildren(make("table", { class: "looks" },
      make("caption", { class: "unseen" }, "The tokens it looked at most, with the weight of each"),
      make("thead", {}, make("tr", {}, head("looked at", null),
        make("th", { scope: "col", class: "wide" }, make("span", { class: "unseen" }, "drawn as bars")), head("weight", "number"))),
      make("tbody", {}, ...rows)));
  }
}
