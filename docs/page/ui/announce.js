// Speaks to screen readers, politely: a story that grows is told in sentences, and never more often than they can be said.

const REST = 4000; // milliseconds between two announcements
const SENTENCE = /^[\s\S]*[.!?]["”]?(?=\s|$)/;

export class Announcer {
  constructor(place) {
    this.place = place;
    this.waiting = "";
    this.last = -Infinity;
  }

  /** A piece of the story: it waits until its sentence ends and the last announcement is some time ago. */
  grow(piece) {
    this.waiting += piece;
    const whole = this.waiting.match(SENTENCE);
    if (whole && performance.now() - this.last > REST) {
      this.waiting = this.waiting.slice(whole[0].length);
      this.say(whole[0]);
    }
  }

  /** Say what still waits, and then `words`. */
  finish(words) {
    const rest = this.waiting;
    this.waiting = "";
    this.say(`${rest} ${words}`);
  }

  forget() {
    this.waiting = "";
  }

  say(words) {
    this.last = performance.now();
    this.place.textContent = words.trim();
  }
}
