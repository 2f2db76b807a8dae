// A story while it is told: the engine's state, what is drawn next, and whether the telling goes on.

import { distribution, draw, greedy } from "../engine/index.js";

/** What the model says, before anything reshapes it. */
export const said = (logits) => distribution(logits);

const LONGEST = 300; // tokens that are told, as by generate in Python

/**
 * Tells a story. `changed(kind)` is called after each change: "story" (another story), "token" (one more), "cut" (the
 * end was replaced), "running" (started or stopped).
 */
export class Teller {
  constructor(engine, changed) {
    this.engine = engine;
    this.changed = changed;
    this.shape = { temperature: 1, topK: null, topP: null };
    this.pause = 0;
    this.ids = [];
    this.prompt = 0; // how many of the ids are the prompt's
    this.state = null;
    this.running = false;
    this.turn = 0; // what was asked for last; an answer to anything earlier is dropped
    this.line = Promise.resolve();
  }

  get over() {
    return this.ids.length > this.prompt && this.ids.at(-1) === this.engine.facts.end;
  }

  /** It has told as much as it may, and has not come to an end. */
  get full() {
    return this.ids.length - this.prompt >= LONGEST;
  }

  /** One thing after another: the engine reads one token at a time. */
  inLine(work) {
    const done = this.line.then(work);
    this.line = done.catch(() => {});
    return done;
  }

  /** A new story with this beginning; it is not told yet. */
  async begin(ids) {
    this.halt();
    const turn = ++this.turn;
    const state = await this.inLine(() => this.engine.start(ids));
    if (turn !== this.turn) return;
    [this.state, this.ids, this.prompt] = [state, [...ids], ids.length];
    this.changed("story");
  }

  /** The story up to token i, and then another token there. */
  async replace(i, id) {
    this.halt();
    const turn = ++this.turn;
    const kept = this.ids.slice(0, i);
    const state = await this.inLine(async () => {
      const before = i === this.ids.length ? this.state : await this.engine.start(kept);
      return id === this.engine.facts.end ? before : this.engine.next(before, id);
    });
    if (turn !== this.turn) return;
    [this.state, this.ids, this.prompt] = [state, [...kept, id], Math.min(this.prompt, i)];
    this.changed("cut");
  }

  /** Draw one token and add it. */
  async step() {
    if (this.over || this.full) return;
    const turn = this.turn;
    await this.inLine(async () => {
      if (turn !== this.turn || this.over || this.full) return;
      const { logits } = this.state;
      const id = this.shape.temperature > 0 ? draw(distribution(logits, this.shape)) : greedy(logits);
      // After the end there is nothing to predict, so the model does not read it.
      const state = id === this.engine.facts.end ? this.state : await this.engine.next(this.state, id);
      if (turn !== this.turn) return;
      this.state = state;
      this.ids.push(id);
      this.changed("token");
    });
  }

  /** Go on telling until the end, or until somebody halts it. */
  async run() {
    if (this.running) return;
    const turn = ++this.turn;
    this.running = true;
    this.changed("running");
    try {
      while (this.running && turn === this.turn && !this.over && !this.full) {
        await this.step();
        await new Promise((resume) => setTimeout(resume, this.pause));
      }
    } finally {
      if (turn === this.turn) this.halt();
    }
  }

  halt() {
    if (!this.running) return;
    this.turn++;
    this.running = false;
    this.changed("running");
  }

  /**
   * What the model said before token i, where it looked, and what it would have said after each layer; null of a token
   * that had left the context before it was looked at.
   */
  at(i) {
    return this.engine.at(this.state, i);
  }
}
