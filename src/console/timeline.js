// The history of the connection, newest first.

const MAX_ENTRIES = 120;
const SYMBOLS = { connected: "●", reconnected: "●", heartbeat: "♥", cut: "✕", resume: "↻", lost: "◌", gap: "▲", "caught-up": "✓", ended: "■", refused: "!", stalled: "…", comment: "#" };

class Timeline {
  #newest = null;

  constructor(list) {
    this.list = list;
  }

  clear() {
    this.list.replaceChildren();
    this.#newest = null;
  }

  /** Adds an entry; consecutive heartbeats share one. */
  add(kind, text, time) {
    if (kind === "heartbeat" && this.#newest?.kind === kind) {
      this.#newest.count += 1;
      setText(this.#newest.text, `${this.#newest.count} heartbeats`);
      setText(this.#newest.time, formatTime(time));
      return;
    }
    const entry = { kind, count: 1, text: element("span", {}, text), time: element("time", {}, formatTime(time)) };
    const symbol = element("span", { class: "symbol", "aria-hidden": "true" }, SYMBOLS[kind]);
    this.list.prepend(element("li", { class: kind }, entry.time, symbol, entry.text));
    if (this.list.childElementCount > MAX_ENTRIES) this.list.lastChild.remove();
    this.#newest = entry;
  }
}
