// The stream over the watched channels: connects, reconnects, and resumes.
//
// It uses fetch, because an EventSource hides heartbeats, reconnection times and the reason for a refusal, sends
// no token, and cannot be cut and resumed by hand. It resumes as an EventSource does: after the delay that
// `retry:` set, with the header `last-event-id`.

const STATE_LABELS = { idle: "Not connected", connecting: "Connecting", open: "Connected", reconnecting: "Reconnecting", cut: "Cut", refused: "Refused", ended: "Ended" };
const INITIAL_RETRY_MS = 2_000;

class Stream {
  state = "idle";
  reason = "";
  lastEventId = "";
  /** The number of missed events while the connection is cut; null if unknown. */
  missed = null;
  #retryMs = INITIAL_RETRY_MS;
  #hasConnected = false;
  /** The replay after a reconnect, `{ expected, received, hasGap, ends, since }`; null once it has caught up. */
  #replay = null;
  /** The position of the newest event of each channel when the stream connected; null if unknown. */
  #ends = null;
  /** The AbortController of the current connection. */
  #attempt = null;
  #timer = 0;

  /** Calls `stateChanged()`, `event(event)`, `heartbeat()`, `note(kind, text)` and `caughtUp(replay)` of the observer. */
  constructor({ channels, types, start, token }, observer) {
    Object.assign(this, { channels, types, start, token, observer });
  }

  get isCut() { return this.state === "cut"; }
  get isStopped() { return ["cut", "refused", "ended"].includes(this.state); }

  async open() {
    clearTimeout(this.#timer);
    const attempt = (this.#attempt = new AbortController());
    const isStale = () => this.#attempt !== attempt;
    this.#setState("connecting", this.lastEventId ? `Requesting the events after ${this.#positionText()}.` : "Waiting for the server.");
    try {
      const headers = { accept: "text/event-stream", ...bearer(this.token()) };
      if (this.lastEventId) headers["last-event-id"] = this.lastEventId;
      const url = eventsUrl(this.channels, this.types, this.lastEventId ? [] : this.start);
      const response = await request(url, { headers, signal: attempt.signal });
      if (isStale()) return;
      if (response.status === 204) return this.#end("Every channel is closed, and all events have been delivered.");
      if (response.status >= 500 || response.status === 429) throw new Error((await readProblem(response)).title);
      if (!response.ok) return this.#refuse(await readProblem(response));
      this.#ends = await fetchLogEnds(this.channels, this.token());
      if (isStale()) return;
      this.#connected();
      const parser = new EventStreamParser(this.#handlers());
      for await (const bytes of this.#chunks(response.body, isStale)) parser.push(bytes);
      if (!isStale()) this.#reconnect("The server ended the stream");
    } catch (error) {
      if (!isStale()) this.#reconnect(error instanceof TypeError ? "Connection lost" : error.message);
    }
  }

  cut() {
    this.#abort();
    this.observer.note("cut", `You cut the connection after ${this.#positionText()}`);
    this.missed = null;
    this.#setState("cut", "Publish a few events, then resume.");
    this.#pollMissed();
  }

  resume() {
    this.observer.note("resume", this.lastEventId ? `Resuming after ${this.#positionText()}` : "Starting again");
    this.open();
  }

  close() {
    this.#abort();
    this.state = "idle";
  }

  #abort() {
    clearTimeout(this.#timer);
    this.#attempt?.abort();
    this.#attempt = null;
  }

  #setState(state, reason) {
    Object.assign(this, { state, reason });
    this.observer.stateChanged();
  }

  /** Returns the position reached in each channel. */
  get #positions() { return this.lastEventId ? decodeCursor(this.lastEventId) : this.channels.map(() => null); }

  #positionText() {
    const positions = this.#positions;
    if (positions.length === 1) return formatPosition(positions[0]);
    return this.channels.map(({ name }, index) => `${name} ${formatPosition(positions[index])}`).join(", ");
  }

  async *#chunks(body, isStale) {
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || isStale()) return;
      yield value;
    }
  }

  #handlers() {
    return {
      comment: (text) => (text ? text !== "runnel" && this.observer.note("comment", text) : this.observer.heartbeat()),
      retry: (milliseconds) => { this.#retryMs = milliseconds; },
      event: (event) => this.#receive(event),
    };
  }

  #connected() {
    if (this.lastEventId && this.#ends) {
      this.#replay = { expected: this.#eventsUpTo(this.#ends), received: 0, hasGap: false, ends: this.#ends, since: performance.now() };
    }
    if (this.#hasConnected) this.observer.note("reconnected", "Reconnected");
    else this.observer.note("connected", "Connected");
    this.#hasConnected = true;
    this.#setState("open", "Events appear as they are published.");
    this.#checkCaughtUp();
  }

  #reconnect(cause) {
    this.#attempt = null;
    const seconds = (this.#retryMs / 1000).toFixed(1);
    this.observer.note("lost", `${cause}; reconnecting in ${seconds} s`);
    this.#setState("reconnecting", `${cause}. Reconnecting in ${seconds} s, as the server requested.`);
    this.#timer = setTimeout(() => this.open(), this.#retryMs);
  }

  #refuse({ status, title, detail }) {
    this.#abort();
    this.observer.note("refused", `Refused: ${status} ${title}`);
    this.#setState("refused", [`${status} ${title}.`, detail].join(" ").trim());
  }

  #end(reason) {
    this.#abort();
    this.observer.note("ended", reason);
    this.#setState("ended", reason);
  }

  #receive({ type, data, id }) {
    if (type.startsWith("runnel.")) return this.#receiveControl(type, data, id);
    const { index = 0, position } = lastAdvanced(id) ?? {};
    const channel = this.channels[index]?.name ?? "";
    const replayed = isAtOrBefore(position, this.#ends?.[index]);
    if (this.#replay && isAtOrBefore(position, this.#replay.ends[index])) this.#replay.received += 1;
    this.observer.event({ channel, id: position ? formatPosition(position) : id, cursor: id, type, data, replayed });
    this.#advance(id);
  }

  #receiveControl(type, data, id) {
    if (id) this.#advance(id);
    if (type === "runnel.end") return this.#end("Every channel is closed, and all events have been delivered.");
    if (["runnel.open", "runnel.position"].includes(type)) return;
    if (type === "runnel.reconnect") return this.observer.note("comment", reconnectText(data));
    if (type === "runnel.expired") return this.#refuse({ status: 401, title: "The token has expired", detail: "Enter a new token and watch again." });
    if (this.#replay) this.#replay.hasGap = true;
    this.observer.note("gap", type === "runnel.gap" ? gapText(data) : `${type} ${data}`);
  }

  #advance(id) {
    if (!id || id === this.lastEventId) return;
    this.lastEventId = id;
    this.#checkCaughtUp();
  }

  #eventsUpTo(ends) {
    const positions = this.#positions;
    return ends.reduce((sum, end, index) => sum + eventsBetween(positions[index], end), 0);
  }

  /** Reports the end of the replay once the stream has reached the ends that the logs had when it connected. */
  #checkCaughtUp() {
    const replay = this.#replay;
    if (!replay || this.state !== "open") return;
    if (this.#eventsUpTo(replay.ends) > 0) return;
    this.#replay = null;
    this.observer.caughtUp(replay);
  }

  /** Counts the missed events every second while the connection is cut. */
  async #pollMissed() {
    const ends = await fetchLogEnds(this.channels, this.token());
    if (!this.isCut) return;
    this.missed = ends && this.lastEventId ? this.#eventsUpTo(ends) : null;
    this.observer.stateChanged();
    this.#timer = setTimeout(() => this.#pollMissed(), 1_000);
  }
}

const RECONNECT_REASONS = {
  age: "the stream has reached its maximum age",
  store: "the store does not answer",
  "too-many-streams": "there are too many streams",
  "stream-rate": "this client opens streams too often",
  "wrong-tokens": "this client has sent too many wrong tokens",
};

function reconnectText(data) {
  try {
    const { reason } = JSON.parse(data);
    return `The server asks to reconnect: ${RECONNECT_REASONS[reason] ?? reason}.`;
  } catch {
    return `The server asks to reconnect: ${data}`;
  }
}

const GAP_REASONS = {
  evicted: "retention dropped events in between",
  reset: "the last event ID belongs to a different log",
  ahead: "the last event ID is beyond the newest event",
};

function gapText(data) {
  try {
    const { channel, reason, requested, resumed_from } = JSON.parse(data);
    return `Gap in ${channel}: ${GAP_REASONS[reason] ?? reason}. Requested the events after ${requested}; continuing at ${resumed_from ?? "the next event"}.`;
  } catch {
    return `Gap: ${data}`;
  }
}
