// A text of which each token can be chosen: with the pointer, or by the arrow keys once Tab has reached it.

import { make, spoken } from "./dom.js";

/** A listbox whose options are tokens. `chosen(i)` is called whenever the reader chooses one. */
export class Tokens {
  constructor(box, chosen) {
    this.box = box;
    this.chosen = chosen;
    this.options = [];
    this.current = -1;
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("click", (event) => {
      const option = event.target.closest?.("[role=option]");
      if (option) this.choose(this.options.indexOf(option), true);
    });
    box.addEventListener("focusin", (event) => {
      const i = this.options.indexOf(event.target);
      if (i >= 0 && i !== this.current) this.choose(i, false);
    });
  }

  clear() {
    this.box.replaceChildren();
    this.options = [];
    this.current = -1;
  }

  /**
   * Add a token at the end, or before the last one: its text, how it is spoken where that is something else, a class.
   */
  add(piece, { label = null, kind = "", beforeLast = false } = {}) {
    const space = piece.match(/^ */)[0];
    const text = piece.slice(space.length);
    const turn = /\n/.test(text);
    const silent = !text.trim();
    const option = make("span", {
      role: "option",
      class: `token ${kind}${turn ? " turn" : ""}`,
      tabindex: "-1",
      "aria-selected": "false",
      "aria-label": label ?? (silent ? spoken(piece) : null),
    });
    // The space before a word is the token's own, but a mark below it would look ragged.
    option.textContent = turn ? text.replace(/\n+/g, "¶") : text || "␣";
    const last = beforeLast ? this.options.at(-1) : null;
    const previous = this.options.at(last ? -2 : -1);
    // An empty line is often two tokens: they share their line, and the gap comes after the second.
    if (turn && !text.trim() && previous?.classList.contains("turn")) previous.nextElementSibling?.remove();
    const gap = turn ? make("span", { class: "gap", "aria-hidden": "true" }) : "";
    const parts = [space && text ? space : "", option, gap].filter(Boolean);
    if (last) last.before(...parts);
    else this.box.append(...parts);
    this.options.splice(last ? -1 : this.options.length, 0, option);
    if (last && this.current === this.options.length - 2) this.current += 1;
    if (this.options.length === 1) option.tabIndex = 0;
    return option;
  }

  /** Take tokens away, so that `length` remain. */
  cut(length) {
    const had = this.box.contains(document.activeElement);
    for (const option of this.options.splice(length)) {
      const [before, after] = [option.previousSibling, option.nextSibling];
      if (before?.nodeType === Node.TEXT_NODE) before.remove();
      if (after?.classList?.contains("gap")) after.remove();
      option.remove();
    }
    if (this.current >= length) this.current = -1;
    if (had) this.options.at(-1)?.focus();
  }

  /** Mark one as chosen without asking anybody; -1 marks none, and Tab then reaches the last. */
  show(i) {
    for (const option of this.box.querySelectorAll("[role=option]:is([aria-selected=true], [tabindex='0'])")) {
      option.setAttribute("aria-selected", "false");
      option.tabIndex = -1;
    }
    this.current = i;
    this.options[i]?.setAttribute("aria-selected", "true");
    const reached = this.options.at(i);
    if (reached) reached.tabIndex = 0;
  }

  choose(i, focus) {
    if (!this.options[i]) return;
    this.show(i);
    if (focus) this.options[i].focus({ preventScroll: false });
    this.chosen(i);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const here = this.options.indexOf(document.activeElement);
    if (here < 0) return;
    const last = this.options.length - 1;
    const to = {
      ArrowLeft: () => Math.max(0, here - 1),
      ArrowRight: () => Math.min(last, here + 1),
      ArrowUp: () => this.line(here, -1),
      ArrowDown: () => this.line(here, 1),
      Home: () => 0,
      End: () => last,
      Enter: () => here,
      " ": () => here,
    }[event.key];
    if (!to) return;
    event.preventDefault();
    this.choose(to(), true);
  }

  /** The token nearest to this one on the line above or below. */
  line(here, direction) {
    const boxes = this.options.map((option) => option.getBoundingClientRect());
    const from = boxes[here];
    const beyond = (box) => direction * (box.top - from.top) > from.height / 2;
    const distance = (box) => 1000 * Math.abs(box.top - from.top) + Math.abs(box.left - from.left);
    let best = here;
    boxes.forEach((box, i) => {
      if (beyond(box) && (best === here || distance(box) < distance(boxes[best]))) best = i;
    });
    return best;
  }
}
