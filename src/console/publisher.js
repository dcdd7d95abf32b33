// The publish form and its templates.

const TEXT = "text/plain; charset=utf-8", JSON_TYPE = "application/json", BATCH = "application/x-ndjson";
const REPEAT_EVERY_MS = 1_000;

const TEMPLATES = {
  Greeting: { type: "greeting", format: JSON_TYPE, data: '{"hello": "world"}' },
  Order: { type: "order.paid", format: JSON_TYPE, data: '{"order": 2041, "total": 59.90, "currency": "EUR"}' },
  Reading: { type: "reading", format: JSON_TYPE, data: '{"sensor": "hall-7", "celsius": 21.4}' },
  "Log lines": { type: "log", format: TEXT, data: "GET /cart 200 in 12 ms\n  rendered 3 parts" },
  Batch: { type: "", format: BATCH, data: ["one", "two", "three"].map((step, i) => JSON.stringify({ event: "step", data: { step, of: 3, number: i + 1 } })).join("\n") },
  Markup: { type: "markup", format: TEXT, data: '<img src=x onerror="alert(1)"><b>shown as text</b><\/script>' },
};

class Publisher {
  #repeatTimer = 0;
  #isBusy = false;

  /** Calls `formChanged()` when a template fills the form, `requestStarted()` before each request, and
   * `requestFinished(channel, result, sentAt)` after it. */
  constructor({ token, formChanged, requestStarted, requestFinished }) {
    Object.assign(this, { token, formChanged, requestStarted, requestFinished });
    this.type = new Field("type", parseType);
    this.data = new Field("data", (text) => parseData(text, $("format").value));
    for (const [name, template] of Object.entries(TEMPLATES)) this.#addTemplate(name, template);
    $("publish").addEventListener("submit", (e) => { e.preventDefault(); this.send(); });
    $("ten").addEventListener("click", () => this.send(10));
    $("repeat").addEventListener("click", () => this.#setRepeating(!this.#repeatTimer));
    $("format").addEventListener("change", () => { this.#updateControls(); this.data.validate(); });
    $("data").addEventListener("keydown", (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !e.repeat) { e.preventDefault(); this.send(); }
    });
    this.#fill(TEMPLATES.Greeting);
  }

  #addTemplate(name, template) {
    const button = element("button", { type: "button", class: "chip" }, name);
    button.addEventListener("click", () => { this.#fill(template); this.formChanged(); });
    $("templates").append(button);
  }

  #fill({ type, format, data }) {
    $("type").value = type;
    $("format").value = format;
    $("data").value = data;
    this.#updateControls();
    this.type.showError();
    this.data.showError();
  }

  #updateControls() {
    $("type").disabled = $("format").value === BATCH;
    $("ten").disabled = $("format").value === BATCH;
  }

  /** Offers these channels to publish to. */
  setChannels(channels) {
    const previous = $("target").value;
    $("target").replaceChildren(...channels.map(({ name }) => element("option", {}, name)));
    if (channels.some(({ name }) => name === previous)) $("target").value = previous;
  }

  get target() { return parseChannel($("target").value || "demo"); }

  /** Publishes the event in the form; several copies of it form one batch. */
  async send(copies = 1) {
    if (this.#isBusy) return;
    const request = this.#request(copies);
    if (!request) return this.#setRepeating(false);
    const channel = this.target;
    this.#isBusy = true;
    this.requestStarted();
    const sentAt = performance.now();
    const result = await publish(channel, request);
    this.#isBusy = false;
    this.requestFinished(channel, result, sentAt);
    this.#showResult(channel, result, performance.now() - sentAt);
  }

  /** Returns the request; shows the errors and returns null if a field is invalid. */
  #request(copies) {
    const values = validateAll(this.token, this.type, this.data);
    if (!values) return null;
    const [{ token }, { type }, { data }] = values, format = $("format").value;
    if (!token) {
      this.token.showError("Paste the publish token: the value of the variable publish_token. The development server prints it when it starts.");
      this.token.input.focus();
      return null;
    }
    if (copies === 1) return { token, type, format, data };
    const line = JSON.stringify({ event: type || undefined, data: format === JSON_TYPE ? JSON.parse(data) : data });
    return { token, type: "", format: BATCH, data: `${line}\n`.repeat(copies) };
  }

  #showResult(channel, { title, status, detail, last, count }, duration) {
    const outcome = $("outcome");
    outcome.classList.toggle("bad", Boolean(title));
    if (!title) return outcome.replaceChildren(`Stored ${count === 1 ? "" : `${formatNumber(count)} events `}in ${channel.name} as `, element("code", {}, last), ` in ${formatDuration(duration)}.`);
    outcome.replaceChildren(element("b", {}, `${status || ""} ${title}. `.trimStart()), detail);
    if (status === 401 || status === 403) {
      this.token.showError("The server rejected this token for this channel.");
      if (!this.#repeatTimer) this.token.input.focus();
    }
    this.#setRepeating(false);
  }

  #setRepeating(isRepeating) {
    clearInterval(this.#repeatTimer);
    this.#repeatTimer = isRepeating ? setInterval(() => this.send(), REPEAT_EVERY_MS) : 0;
    setAttribute($("repeat"), "aria-pressed", isRepeating);
    if (isRepeating) this.send();
  }
}
