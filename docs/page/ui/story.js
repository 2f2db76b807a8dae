// The story as it is seen: its tokens, the roles that its words play, and what stands beside the chosen token.

import { make, number, spoken, visible } from "./dom.js";
import { rolesOfPieces } from "./roles.js";
import { showLens } from "./lens.js";
import { Tokens } from "./tokens.js";

const BETWEEN = 100; // milliseconds between two looks inside, while the story grows

export const ROLES = { hero: "the hero", friend: "the friend", toy: "the toy", color: "its color" };

/** What the marks in a story mean, in the marks themselves. */
export function legend(place, roles) {
  if (!roles.names) return place.remove();
  const marks = Object.entries(ROLES).map(([role, name]) => make("span", { class: `token role ${role}` }, name));
  place.replaceChildren("In the stories' grammar: ", ...marks);
}

export class Story {
  /** parts: {box, note, panels, title, lens}, elements; choices and looks as in their own files. */
  constructor(teller, parts, choices, looks) {
    Object.assign(this, { teller, choices, looks, ...parts });
    this.engine = teller.engine;
    this.picked = null; // the token that the reader chose; null follows the end of the story
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.tokens = new Tokens(this.box, (i) => this.choose(i));
    this.beginning = make("span", { class: "beginning", "aria-hidden": "true", title: "the end of the story before" }, "start");
  }

  get pieces() {
    return this.teller.ids.map((id) => this.piece(id));
  }

  piece(id) {
    return id === this.engine.facts.end ? "[end]" : this.engine.piece(id);
  }

  choose(i) {
    this.picked = i >= this.teller.ids.length ? null : i;
    this.inspect();
  }

  /** Write the story from token `from` on anew. */
  write(from = 0) {
    if (from === 0) {
      this.tokens.clear();
      this.box.append(this.beginning);
      this.picked = null;
    }
    this.tokens.cut(from);
    this.shown = null;
    this.teller.ids.slice(from).forEach((id, k) => this.add(id, from + k));
    this.close();
    this.refresh();
  }

  /** The story has one token more. What stands beside it follows ten times a second, which is enough to be seen. */
  grow() {
    const i = this.teller.ids.length - 1;
    if (this.teller.over) this.tokens.cut(i);
    this.add(this.teller.ids[i], i);
    this.close();
    if (!this.teller.running) return this.refresh();
    this.waiting ??= setTimeout(() => this.refresh(), BETWEEN);
  }

  add(id, i) {
    const kind = i < this.teller.prompt ? "given" : id === this.engine.facts.end ? "ending" : "";
    const label = id === this.engine.facts.end ? "end of the story" : null;
    this.tokens.add(this.piece(id), { kind, label, beforeLast: this.tokens.options.at(-1)?.classList.contains("next") });
  }

  /** After the last token stands the place of the next, unless the story is over. */
  close() {
    const open = !this.teller.over && !this.teller.full;
    const has = this.tokens.options.at(-1)?.classList.contains("next");
    if (open && !has) this.tokens.add("next", { kind: "next", label: "the next token" });
    if (!open && has) this.tokens.cut(this.teller.ids.length);
  }

  refresh() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.mark();
    this.inspect();
    if (this.picked === null && this.teller.running) this.box.scrollTop = this.box.scrollHeight;
    const { ids, over, full, prompt } = this.teller;
    const told = ids.length - prompt;
    this.note.textContent = over
      ? `The end, after ${number(told)} tokens.`
      : full
        ? `Stopped after ${number(told)} tokens: a story rarely is so long.`
        : `${number(ids.length)} tokens, ${number(prompt)} of them given.`;
  }

  mark() {
    const roles = rolesOfPieces(this.pieces, this.engine.facts.roles);
    this.roles = roles;
    roles.forEach((role, i) => {
      const option = this.tokens.options[i];
      option.classList.toggle("role", role !== null);
      for (const name of Object.keys(ROLES)) option.classList.toggle(name, name === role);
      if (role) option.setAttribute("aria-label", `${spoken(this.piece(this.teller.ids[i]))}, ${ROLES[role]}`);
    });
  }

  /** Which token is looked into: the reader's, or the newest while the story is told, or the next one. */
  get place() {
    const { ids, over, full, running } = this.teller;
    if (this.picked !== null) return this.picked;
    return running || over || full ? ids.length - 1 : ids.length;
  }

  inspect() {
    const { ids } = this.teller;
    const i = this.place;
    this.tokens.show(i);
    this.entitle(i);
    // What is seen of a token stays as it is while the story grows behind it.
    if (this.picked !== null && this.picked === this.shown && this.teller.running) return;
    this.shown = null;
    // Whoever wants nothing to move sees the inside when the story rests.
    if (this.calm.matches && this.teller.running && this.picked === null) return;
    const known = this.teller.at(i);
    for (const panel of this.panels) panel.hidden = !known;
    if (!known) return this.looks.hide(); // it had left the context before anybody looked
    const { logits, attention, lens, first } = known;
    const chosen = i < ids.length ? ids[i] : null;
    this.choices.show(logits, chosen);
    // The model reads the end of the story before first; of a long story the first positions have left the context.
    const options = [this.beginning, ...this.tokens.options].slice(first);
    const labels = ["start", ...this.pieces].slice(first);
    this.looks.show(attention, this.tokens.options[i], options, labels);
    showLens(this.lens, lens, (id) => this.piece(id), chosen);
    this.shown = i;
  }

  entitle(i) {
    const { ids } = this.teller;
    if (i === ids.length) return this.title.replaceChildren("The next token");
    const word = make("span", { class: "piece" }, visible(this.piece(ids[i])));
    const role = this.roles[i] ? `, ${ROLES[this.roles[i]]}` : "";
    this.title.replaceChildren(`Token ${number(i + 1)} of ${number(ids.length)}: `, word, role);
  }
}
