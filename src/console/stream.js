// One stream over the watched channels, and its life: connect, lose, wait, resume.
//
// It is fetched and not an EventSource, because that shows neither heartbeats nor reconnection times,
// sends no token, hides why it was refused, and cannot be cut and resumed by hand. What matters is the same:
// it waits for the time that `retry:` says and comes back with the header `last-event-id`.

const STATE_NAMES = { idle: "Not connected", connecting: "Connecting", open: "Connected", waiting: "Reconnecting", cut: "Cut", refused: "Refused", ended: "Ended" };
const FIRST_RETRY_MS = 2_000;

class Stream {
  state = "idle";
  reason = "";
  lastId = "";
  retryMs = FIRST_RETRY_MS;
  opens = 0;
  /** What was missed: { expected, got, marks, tips, since }; null when there is no hole. */
  hole = null;
  /** How many events the log has that the page has not, while it is cut; null if that is not known. */
  missed = null;
  #tips = null;
  #attempt = null;
  #timer = 0;

  /** `observer` has `changed()`, `event(…)`, `heartbeat()`, `note(kind, words)` and `filled(hole)`. */
  constructor({ channels, types, start, token }, observer) {
    Object.assign(this, { channels, types, start, token, observer });
  }

  /** Where the page stands in each channel. */
  get marks() { return this.lastId ? readMarks(this.lastId) : this.channels.map(() => null); }

  get isCut() { return this.state === "cut"; }
  get isOver() { return ["cut", "refused", "ended"].includes(this.state); }

  async open() {
    clearTimeout(this.#timer);
    const attempt = (this.#attempt = new AbortController());
    const isOld = () => this.#attempt !== attempt;
    this.#become("connecting", this.lastId ? `Asking for what follows ${this.#place()}.` : "Waiting for the server.");
    try {
      const headers = { accept: "text/event-stream", ...bearer(this.token()) };
      if (this.lastId) headers["last-event-id"] = this.lastId;
      const url = eventsUrl(this.channels, this.types, this.lastId ? [] : this.start);
      const response = await fetch(url, { headers, cache: "no-store", signal: attempt.signal });
      if (isOld()) return;
      if (response.status === 204) return this.#end("Every channel is closed and all was sent.");
      if (response.status >= 500 || response.status === 429) throw new Error((await readProblem(response)).title);
      if (!response.ok) return this.#refuse(await readProblem(response));
      this.#tips = await readTips(this.channels, this.token());
      if (isOld()) return;
      this.#opened();
      const frames = new FrameReader(this.#reader());
      for await (const bytes of this.#chunks(response.body, isOld)) frames.push(bytes);
      if (!isOld()) this.#lose("The server ended the stream");
    } catch (error) {
      if (!isOld()) this.#lose(error instanceof TypeError ? "The connection is lost" : error.message);
    }
  }

  cut() {
    this.#stop();
    this.observer.note("cut", `You cut the connection after ${this.#place()}`);
    this.missed = null;
    this.#become("cut", "Publish a few events, then resume.");
    this.#watchHole();
  }

  resume() {
    this.observer.note("resume", this.lastId ? `Resuming after ${this.#place()}` : "Starting again");
    this.open();
  }

  close() {
    this.#stop();
    this.state = "idle";
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#attempt?.abort();
    this.#attempt = null;
  }

  #become(state, reason) {
    Object.assign(this, { state, reason });
    this.observer.changed();
  }

  /** The newest event that the page has, for people. */
  #place() {
    const marks = this.marks;
    if (marks.length === 1) return markText(marks[0]);
    return this.channels.map(({ name }, place) => `${name} ${markText(marks[place])}`).join(", ");
  }

  async *#chunks(body, isOld) {
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || isOld()) return;
      yield value;
    }
  }

  #reader() {
    return {
      comment: (text) => (text ? text !== "runnel" && this.observer.note("comment", text) : this.observer.heartbeat()),
      retry: (milliseconds) => { this.retryMs = milliseconds; },
      position: (id) => this.#move(id),
      event: (event) => this.#event(event),
    };
  }

  #opened() {
    this.opens += 1;
    if (this.lastId && this.#tips) {
      this.hole = { expected: this.#eventsUpTo(this.#tips), got: 0, hasGap: false, tips: this.#tips, since: performance.now() };
    }
    this.observer.note(this.opens === 1 ? "open" : "reopen", this.opens === 1 ? "Connected" : "Connected again");
    this.#become("open", "Events show up as they are published.");
    this.#checkHole();
  }

  #lose(words) {
    this.#attempt = null;
    const seconds = (this.retryMs / 1000).toFixed(1);
    this.observer.note("lost", `${words}; trying again in ${seconds} s`);
    this.#become("waiting", `${words}. Trying again in ${seconds} s, as the server asked.`);
    this.#timer = setTimeout(() => this.open(), this.retryMs);
  }

  #refuse({ status, title, detail }) {
    this.#stop();
    this.observer.note("refused", `Refused: ${status} ${title}`);
    this.#become("refused", [`${status} ${title}.`, detail].join(" ").trim());
  }

  #end(words) {
    this.#stop();
    this.observer.note("end", words);
    this.#become("ended", words);
  }

  #event({ type, data, id }) {
    const { moved = 0, mark } = readMoved(id) ?? {};
    if (type.startsWith("runnel.")) return this.#signal(type, data, id);
    const channel = this.channels[moved]?.name ?? "";
    const replayed = isWithin(mark, this.#tips?.[moved]);
    if (this.hole && isWithin(mark, this.hole.tips[moved])) this.hole.got += 1;
    this.observer.event({ channel, id: mark ? markText(mark) : id, cursor: id, type, data, replayed });
    this.#move(id);
  }

  #signal(type, data, id) {
    if (id) this.#move(id);
    if (type === "runnel.end") return this.#end("The channel is closed and all was sent.");
    if (type === "runnel.expired") return this.#refuse({ status: 401, title: "The token has expired", detail: "Give another one and watch again." });
    if (this.hole) this.hole.hasGap = true;
    this.observer.note("gap", type === "runnel.gap" ? gapWords(data) : `${type} ${data}`);
  }

  #move(id) {
    if (!id || id === this.lastId) return;
    this.lastId = id;
    this.#checkHole();
  }

  #eventsUpTo(tips) {
    const marks = this.marks;
    return tips.reduce((sum, tip, place) => sum + eventsBetween(marks[place], tip), 0);
  }

  /** The hole is filled when the page stands where the log ended when it came back. */
  #checkHole() {
    const hole = this.hole;
    if (!hole || this.state !== "open") return;
    if (this.#eventsUpTo(hole.tips) > 0) return;
    this.hole = null;
    this.observer.filled(hole);
  }

  /** Asks every second how much the log has that the page has not, for as long as it is cut. */
  async #watchHole() {
    const tips = await readTips(this.channels, this.token());
    if (!this.isCut) return;
    this.missed = tips && this.lastId ? this.#eventsUpTo(tips) : null;
    this.observer.changed();
    this.#timer = setTimeout(() => this.#watchHole(), 1_000);
  }
}

const GAP_REASONS = {
  evicted: "events in between are no longer kept",
  reset: "the log is another one",
  ahead: "the id was beyond the newest event",
};

function gapWords(data) {
  try {
    const { channel, reason, requested, resumed_from } = JSON.parse(data);
    return `Gap in ${channel}: ${GAP_REASONS[reason] ?? reason}. Asked for what follows ${requested ?? "nothing"}, goes on at ${resumed_from ?? "the next event"}.`;
  } catch {
    return `Gap: ${data}`;
  }
}
