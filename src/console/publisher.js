// The publish form and its templates.

const TEXT = "text/plain; charset=utf-8", JSON_TYPE = "application/json", BATCH = "application/x-ndjson";

const TEMPLATES = {
  Greeting: { type: "greeting", format: JSON_TYPE, data: '{"hello": "world"}' },
  Order: { type: "order.paid", format: JSON_TYPE, data: '{"order": 2041, "total": 59.90, "currency": "EUR"}' },
  Reading: { type: "reading", format: JSON_TYPE, data: '{"sensor": "hall-7", "celsius": 21.4}' },
  "Log lines": { type: "log", format: TEXT, data: "GET /cart 200 in 12 ms\n  rendered 3 parts" },
  Batch: { type: "", format: BATCH, data: ["one", "two", "three"].map((step, i) => JSON.stringify({ event: "step", data: { step, of: 3, number: i + 1 } })).join("\n") },
  Markup: { type: "markup", format: TEXT, data: '<img src=x onerror="alert(1)"><b>shown as text</b><\/script>' },
};

class Publisher {
  #repeating = 0;
  #busy = false;

  /** `published(channel, answer, sentAt)` is called for each acknowledged request, `begun()` before one is sent. */
  constructor({ token, changed, begun, published }) {
    Object.assign(this, { token, changed, begun, published });
    this.type = new Field("type", parseType);
    this.data = new Field("data", (text) => parseData(text, $("format").value));
    for (const [name, template] of Object.entries(TEMPLATES)) this.#addTemplate(name, template);
    $("publish").addEventListener("submit", (e) => { e.preventDefault(); this.send(); });
    $("ten").addEventListener("click", () => this.send(10));
    $("repeat").addEventListener("click", () => this.#repeat(!this.#repeating));
    $("format").addEventListener("change", () => { this.#showFormat(); this.data.check(); });
    $("data").addEventListener("keydown", (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !e.repeat) { e.preventDefault(); this.send(); }
    });
    this.fill(TEMPLATES.Greeting);
  }

  #addTemplate(name, template) {
    const button = element("button", { type: "button", class: "chip" }, name);
    button.addEventListener("click", () => { this.fill(template); this.changed(); });
    $("templates").append(button);
  }

  fill({ type, format, data }) {
    $("type").value = type;
    $("format").value = format;
    $("data").value = data;
    this.#showFormat();
    this.type.tell();
    this.data.tell();
  }

  #showFormat() {
    $("type").disabled = $("format").value === BATCH;
    $("ten").disabled = $("format").value === BATCH;
  }

  /** The channels that can be published to: those that are watched. */
  offer(channels) {
    const before = $("target").value;
    $("target").replaceChildren(...channels.map(({ name }) => element("option", {}, name)));
    if (channels.some(({ name }) => name === before)) $("target").value = before;
  }

  get target() { return parseChannel($("target").value || "demo"); }

  /** Publishes what the form says, or as many of it in one batch. */
  async send(copies = 1) {
    if (this.#busy) return;
    const request = this.#request(copies);
    if (!request) return this.#repeat(false);
    const channel = this.target;
    this.#busy = true;
    this.begun();
    const sentAt = performance.now();
    const answer = await publish(channel, request);
    this.#busy = false;
    this.published(channel, answer, sentAt);
    this.#tell(channel, answer, performance.now() - sentAt);
  }

  /** What is to be sent, or null after saying what is wrong. */
  #request(copies) {
    const values = checkAll(this.token, this.type, this.data);
    if (!values) return null;
    const [{ token }, { type }, { data }] = values, format = $("format").value;
    if (!token) {
      this.token.tell("Paste the publish token: it is printed where the server was started, or it is what you set as publish_token.");
      this.token.input.focus();
      return null;
    }
    if (copies === 1) return { token, type, format, data };
    const line = JSON.stringify({ event: type || undefined, data: format === JSON_TYPE ? JSON.parse(data) : data });
    return { token, type: "", format: BATCH, data: `${line}\n`.repeat(copies) };
  }

  #tell(channel, { title, status, detail, last, count }, took) {
    const outcome = $("outcome");
    outcome.classList.toggle("bad", Boolean(title));
    if (!title) return outcome.replaceChildren(`Stored ${count === 1 ? "" : `${number(count)} events `}in ${channel.name} as `, element("code", {}, last), ` in ${durationText(took)}.`);
    outcome.replaceChildren(element("b", {}, `${status || ""} ${title}. `.trimStart()), detail);
    if (status === 401 || status === 403) {
      this.token.tell("The server does not take this token for this channel.");
      if (!this.#repeating) this.token.input.focus();
    }
    this.#repeat(false);
  }

  /** Publishes once a second for as long as it is pressed. */
  #repeat(on) {
    clearInterval(this.#repeating);
    this.#repeating = on ? setInterval(() => this.send(), 1_000) : 0;
    setAttribute($("repeat"), "aria-pressed", on);
    if (on) this.send();
  }
}
