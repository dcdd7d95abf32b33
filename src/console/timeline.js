// The story of the connection, newest first: connects, heartbeats, cuts, losses, gaps, ends.

const MOST_ENTRIES = 120;
const SYMBOLS = { open: "●", reopen: "●", heartbeat: "♥", cut: "✕", resume: "↻", lost: "◌", gap: "▲", filled: "✓", end: "■", refused: "!", comment: "#" };

class Timeline {
  #newest = null;

  constructor(list) {
    this.list = list;
  }

  clear() {
    this.list.replaceChildren();
    this.#newest = null;
  }

  /** Heartbeats that follow each other are one entry. */
  add(kind, words, time) {
    if (kind === "heartbeat" && this.#newest?.kind === kind) {
      this.#newest.count += 1;
      setText(this.#newest.words, `${this.#newest.count} heartbeats`);
      setText(this.#newest.time, clockText(time));
      return;
    }
    const entry = { kind, count: 1, words: element("span", {}, words), time: element("time", {}, clockText(time)) };
    const symbol = element("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[kind]);
    this.list.prepend(element("li", { class: kind }, entry.time, symbol, entry.words));
    if (this.list.childElementCount > MOST_ENTRIES) this.list.lastChild.remove();
    this.#newest = entry;
  }
}
