// What the charts show: events and lags of each second, and how the connection was, for the last minute.
// All times are those of performance.now(), in milliseconds.

const WINDOW_S = 60;
const SAMPLES_A_SECOND = 200;

class Figures {
  events = 0;
  replayed = 0;
  reconnects = 0;
  heartbeats = 0;
  /** { live, replayed, lags } of each second that had any. */
  #seconds = new Map();
  /** { state, from }, each until the next begins. */
  spans = [];
  /** { kind, at }: heartbeats and gaps. */
  marks = [];

  #second(at) {
    const second = Math.floor(at / 1000);
    let figures = this.#seconds.get(second);
    if (!figures) this.#seconds.set(second, (figures = { live: 0, replayed: 0, lags: [] }));
    return figures;
  }

  count(at, replayed) {
    this.events += 1;
    if (replayed) this.replayed += 1;
    this.#second(at)[replayed ? "replayed" : "live"] += 1;
  }

  lag(at, milliseconds) {
    const { lags } = this.#second(at);
    if (lags.length < SAMPLES_A_SECOND) lags.push(milliseconds);
  }

  become(state, at) {
    if (this.spans.at(-1)?.state !== state) this.spans.push({ state, from: at });
  }

  mark(kind, at) {
    if (kind === "heartbeat") this.heartbeats += 1;
    this.marks.push({ kind, at });
  }

  forget(now) {
    const oldest = now - (WINDOW_S + 1) * 1000;
    for (const second of this.#seconds.keys()) if (second * 1000 < oldest) this.#seconds.delete(second);
    while (this.spans.length > 1 && this.spans[1].from < oldest) this.spans.shift();
    while (this.marks.length > 0 && this.marks[0].at < oldest) this.marks.shift();
  }

  /** The figures of each second of the window, oldest first, the one that runs last. */
  window(now) {
    const newest = Math.floor(now / 1000);
    const none = { live: 0, replayed: 0, lags: [] };
    return Array.from({ length: WINDOW_S }, (_, i) => this.#seconds.get(newest - WINDOW_S + 1 + i) ?? none);
  }

  /** Events a second, over the last 5 whole seconds. */
  rate(now) {
    const last = this.window(now).slice(-6, -1);
    return last.reduce((sum, { live, replayed }) => sum + live + replayed, 0) / last.length;
  }

  /** All lags of the window, sorted. */
  lags(now) {
    return this.window(now).flatMap(({ lags }) => lags).sort((a, b) => a - b);
  }
}

/** The value that this share of sorted numbers is not above; undefined if there are none. */
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

// The lag of an event is the time from when this page sent it until it arrived here. A stream does not say
// when an event was published, and clocks of two machines differ: so nothing is known of those of others.

const MOST_KEPT = 20_000;

class Lags {
  /** When each event that this page published, and has not seen, was sent. */
  #sent = new Map();
  /** When what arrived while a request was on its way arrived: its answer may come later. */
  #arrived = new Map();
  #underway = 0;

  begin() {
    this.#underway += 1;
  }

  /** `ids` are those of the answer; calls `known(row, lag)` for those that have arrived. */
  end(channel, ids, sentAt, known) {
    for (const id of ids) {
      const early = this.#arrived.get(`${channel} ${id}`);
      if (early) known(early.row, early.at - sentAt);
      else this.#sent.set(`${channel} ${id}`, sentAt);
    }
    this.#underway -= 1;
    if (this.#underway === 0) this.#arrived.clear();
    for (const key of this.#sent.keys()) {
      if (this.#sent.size <= MOST_KEPT) break;
      this.#sent.delete(key);
    }
  }

  /** The lag of an event that arrives, if it is known by now. */
  arrive(row, at) {
    const key = `${row.channel} ${row.id}`;
    const sentAt = this.#sent.get(key);
    this.#sent.delete(key);
    if (sentAt !== undefined) return at - sentAt;
    if (this.#underway > 0 && this.#arrived.size < MOST_KEPT) this.#arrived.set(key, { row, at });
    return undefined;
  }
}
