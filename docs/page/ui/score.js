// The score of a text: bits per byte beside the floor, and each token shaded by its surprise.

import { byId, make, number, percent, spoken, visible } from "./dom.js";
import { Tokens } from "./tokens.js";

const DARKEST = 12; // bits of surprise from which on a token is as dark as can be
const OFFERED = 3; // stories to try

export class Score {
  constructor(engine) {
    this.engine = engine;
    this.floors = new Map(engine.facts.examples.map((one) => [one.text, one.floorBitsPerByte]));
    this.text = byId("text");
    this.tokens = new Tokens(byId("surprises"), (i) => this.tell(i));
    byId("surprises").addEventListener("pointerover", (event) => {
      const i = this.tokens.options.indexOf(event.target);
      if (i >= 0) this.tell(i);
    });
    byId("scorer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.score();
    });
    this.offer();
  }

  offer() {
    const texts = this.engine.facts.examples.slice(0, OFFERED).map(({ plot, text }) => [`A held-out story: ${plot}`, text]);
    if (texts.length) texts.push(["Its words in another order", shuffled(texts[0][1])]);
    byId("examples").replaceChildren(...texts.map(([name, text]) =>
      make("button", { type: "button", class: "quiet", onclick: () => {
        this.text.value = text;
        this.score();
      } }, name)));
  }

  async score() {
    const verdict = byId("verdict");
    const text = this.text.value.trim();
    byId("result").hidden = false;
    if (!text) return this.refuse("There is no text yet: type one, or take one of those offered.");
    verdict.textContent = "Being read.";
    try {
      this.show(text, await this.engine.score(text));
    } catch (error) {
      this.refuse(error.message);
    }
  }

  refuse(why) {
    byId("verdict").textContent = why;
    for (const id of ["scale", "surprises", "surprise", "surprise-table"]) byId(id).replaceChildren();
    byId("result").classList.add("empty");
  }

  show(text, score) {
    const { facts } = this.engine;
    const own = this.floors.get(text);
    byId("result").classList.remove("empty");
    const measured = `${score.bitsPerByte.toFixed(3)} bits per byte: ${number(score.bytes)} bytes in ${number(score.tokens)} tokens. `;
    byId("verdict").textContent = measured + this.compared(score, own);
    const rows = [
      ["this text", score.bitsPerByte, "text"],
      ["this text under its grammar", own, "floor"],
      ["held-out stories, the model", facts.bitsPerByte, "text"],
      ["held-out stories, the floor", facts.floorBitsPerByte, "floor"],
    ];
    const known = rows.filter(([, value]) => typeof value === "number");
    const most = Math.max(...known.map(([, value]) => value));
    byId("scale").replaceChildren(make("table", { class: "scale" },
      make("caption", { class: "unseen" }, "Bits per byte of this text beside the floor"),
      make("thead", { class: "unseen" }, make("tr", {}, ...["of what", "drawn as bars", "bits per byte"].map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, ...known.map(([name, value, kind]) => {
        const bar = make("span", { class: `bar ${kind}` });
        bar.style.width = `${(100 * value) / most}%`;
        return make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "wide", "aria-hidden": "true" }, bar),
          make("td", { class: "number" }, value.toFixed(3)));
      }))));
    this.shade(score.perToken);
  }

  /** The score beside the floor, as far as there is one. */
  compared(score, own) {
    const floor = this.engine.facts.floorBitsPerByte;
    if (floor === null) return "What its source itself would score is not known.";
    if (own === undefined) {
      return `The floor of the held-out stories is ${floor.toFixed(3)}; that of a text from elsewhere nobody knows.`;
    }
    const share = score.bitsPerByte / own;
    return (
      `The grammar that drew this very story gave it ${own.toFixed(3)}: the model is at ${share.toFixed(2)} times that.` +
      (share < 1 ? " On one story it can be below; on average it cannot." : "")
    );
  }

  shade(perToken) {
    this.perToken = perToken;
    this.tokens.clear();
    for (const { id, piece, nats } of perToken) {
      const end = id === this.engine.facts.end;
      const option = this.tokens.add(end ? "[end]" : piece, { kind: end ? "ending" : "", label: end ? "end of the story" : null });
      option.style.setProperty("--surprise", Math.min(1, bits(nats) / DARKEST).toFixed(3));
      option.setAttribute("aria-label", `${end ? "end of the story" : spoken(piece)}, ${bits(nats).toFixed(2)} bits`);
    }
    const most = perToken.reduce((best, one, i) => (one.nats > perToken[best].nats ? i : best), 0);
    this.tokens.show(most);
    this.tell(most, "The most surprising token: ");
    byId("surprise-table").replaceChildren(make("table", { class: "surprises" },
      make("thead", {}, make("tr", {}, ...["no.", "token", "bits", "probability"].map((name, i) =>
        make("th", { scope: "col", class: i === 1 ? null : "number" }, name)))),
      make("tbody", {}, ...perToken.map(({ piece, id, nats }, i) => make("tr", {}, make("td", { class: "number" }, String(i + 1)),
        make("th", { scope: "row" }, this.name(id, piece)), make("td", { class: "number" }, bits(nats).toFixed(2)),
        make("td", { class: "number" }, percent(Math.exp(-nats))))))));
  }

  name(id, piece) {
    return id === this.engine.facts.end ? "[end]" : visible(piece);
  }

  tell(i, before = "") {
    const { id, piece, nats } = this.perToken[i];
    byId("surprise").replaceChildren(before, make("span", { class: "piece" }, this.name(id, piece)),
      ` had a probability of ${percent(Math.exp(-nats))}: ${bits(nats).toFixed(2)} bits of surprise.`);
  }
}

const bits = (nats) => nats / Math.LN2;

/** The words of a text in another order, the same each time: every word is known, and yet all is surprise. */
function shuffled(text) {
  const words = text.split(/\s+/);
  return words.map((word, i) => [(i * 7919 + 13) % 104729 % words.length, i, word]).sort((a, b) => a[0] - b[0] || a[1] - b[1])
    .map(([, , word]) => word).join(" ");
}
