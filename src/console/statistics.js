// Statistics of the stream: totals, and the last minute second by second.
// All times are those of performance.now(), in milliseconds.

const WINDOW_SECONDS = 60;
const MAX_LAGS_PER_SECOND = 200;
const RATE_SECONDS = 5;

class Statistics {
  events = 0;
  replayed = 0;
  reconnects = 0;
  heartbeats = 0;
  /** The states of the connection, `{ state, from }`; each lasts until the next begins. */
  spans = [];
  /** Heartbeats and gaps, `{ kind, at }`. */
  marks = [];
  /** `{ live, replayed, lags }` by second; seconds without events are absent. */
  #seconds = new Map();

  #second(at) {
    const second = Math.floor(at / 1000);
    if (!this.#seconds.has(second)) this.#seconds.set(second, { live: 0, replayed: 0, lags: [] });
    return this.#seconds.get(second);
  }

  countEvent(at, replayed) {
    this.events += 1;
    if (replayed) this.replayed += 1;
    this.#second(at)[replayed ? "replayed" : "live"] += 1;
  }

  addLag(at, milliseconds) {
    const { lags } = this.#second(at);
    if (lags.length < MAX_LAGS_PER_SECOND) lags.push(milliseconds);
  }

  setState(state, at) {
    if (this.spans.at(-1)?.state !== state) this.spans.push({ state, from: at });
  }

  addMark(kind, at) {
    if (kind === "heartbeat") this.heartbeats += 1;
    this.marks.push({ kind, at });
  }

  expire(now) {
    const oldest = now - (WINDOW_SECONDS + 1) * 1000;
    for (const second of this.#seconds.keys()) if (second * 1000 < oldest) this.#seconds.delete(second);
    while (this.spans.length > 1 && this.spans[1].from < oldest) this.spans.shift();
    while (this.marks.length > 0 && this.marks[0].at < oldest) this.marks.shift();
  }

  /** Returns the seconds of the window, oldest first; the last one is still in progress. */
  window(now) {
    const newest = Math.floor(now / 1000);
    const none = { live: 0, replayed: 0, lags: [] };
    return Array.from({ length: WINDOW_SECONDS }, (_, i) => this.#seconds.get(newest - WINDOW_SECONDS + 1 + i) ?? none);
  }

  /** Returns the events per second, over the last five complete seconds. */
  rate(now) {
    const seconds = this.window(now).slice(-RATE_SECONDS - 1, -1);
    return seconds.reduce((sum, { live, replayed }) => sum + live + replayed, 0) / seconds.length;
  }

  /** Returns all lags of the window, sorted. */
  lags(now) {
    return this.window(now).flatMap(({ lags }) => lags).sort((a, b) => a - b);
  }
}

/** Returns a quantile of sorted numbers; undefined if there are none. */
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
