// The ten likeliest tokens at a place of the story: what the model said, and what is left after temperature, top-k, top-p.

import { distribution } from "../engine/index.js";
import { largest, make, number, percent, spoken, visible } from "./dom.js";
import { said } from "./teller.js";

const SHOWN = 10;

export class Choices {
  /** `pick(id)` is called when the reader wants another token. */
  constructor(place, note, piece, pick) {
    Object.assign(this, { place, note, piece, pick });
    this.rows = [];
    place.addEventListener("keydown", (event) => this.key(event));
  }

  /** Show a place: its logits, and the token that stands there, or null where none was drawn yet. */
  show(logits, chosen) {
    this.logits = logits;
    this.before = said(logits);
    this.chosen = chosen;
    this.ids = largest(this.before, SHOWN);
    const body = this.ids.map((id) => this.row(id));
    if (chosen !== null && !this.ids.includes(chosen)) {
      this.ids.push(chosen);
      body.push(this.row(chosen));
    }
    const heads = ["token", "bars", "said", "left"].map((name) =>
      make("th", { scope: "col", class: name === "bars" ? "wide" : name === "token" ? null : "number" },
        name === "bars" ? make("span", { class: "unseen" }, "drawn as bars") : name));
    const had = this.rows.findIndex((row) => row.button === document.activeElement);
    this.place.replaceChildren(make("table", { class: "choices" },
      make("caption", { class: "unseen" }, "The likeliest tokens: what the model said of each, and what is left of it to draw from"),
      make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body.map((row) => row.line))));
    this.rows = body;
    if (had >= 0) this.rows[Math.min(had, this.rows.length - 1)].button.focus();
    this.reshape(this.shape);
  }

  row(id) {
    const piece = this.piece(id);
    const here = id === this.chosen;
    const rank = here && this.ids.indexOf(id) < 0 ? this.before.reduce((sum, p) => sum + (p > this.before[id]), 1) : null;
    const button = make("button", {
      type: "button",
      class: "pick",
      "aria-label": here ? `${spoken(piece)}, stands here` : `${spoken(piece)}: go on with it`,
      onclick: () => this.pick(id),
    }, visible(piece), here ? make("span", { class: "mark", "data-mark": rank ? `no. ${number(rank)}` : "here" }) : null);
    const [first, second] = [make("span", { class: "bar said" }), make("span", { class: "bar left" })];
    first.style.width = `${100 * this.before[id]}%`;
    const after = make("td", { class: "number left" });
    const line = make("tr", { class: here ? "here" : null },
      make("th", { scope: "row" }, button),
      make("td", { class: "wide", "aria-hidden": "true" }, first, second),
      make("td", { class: "number" }, percent(this.before[id])), after);
    return { id, button, bar: second, after, line };
  }

  /** Other temperature, top-k or top-p: only the lower bars change. */
  reshape(shape) {
    this.shape = shape;
    if (!this.logits || !shape) return;
    const left = distribution(this.logits, shape);
    for (const { id, bar, after, line } of this.rows) {
      bar.style.width = `${100 * left[id]}%`;
      after.textContent = left[id] === 0 ? "out" : percent(left[id]);
      line.classList.toggle("out", left[id] === 0);
    }
    const kept = left.reduce((sum, p) => sum + (p > 0), 0);
    this.note.textContent =
      kept === left.length
        ? `All ${number(left.length)} tokens can be drawn.`
        : `${number(kept)} of ${number(left.length)} tokens ${kept === 1 ? "is" : "are"} left to draw from.`;
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const here = this.rows.findIndex((row) => row.button === document.activeElement);
    if (!step || here < 0) return;
    event.preventDefault();
    this.rows[here + step]?.button.focus();
  }
}
