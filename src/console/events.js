// The table of events, newest first. It is drawn once a frame and holds a bounded number of rows, however many
// events arrive: those that would be pushed out at once are counted and never become elements.

const MOST_ROWS = 300;
const SHOWN_CHARACTERS = 280;
const OPENED_CHARACTERS = 70_000;

class EventTable {
  isPaused = false;
  /** How many rows were left out or pushed out. */
  dropped = 0;
  #waiting = [];
  #current = null;

  constructor(body) {
    this.body = body;
    body.addEventListener("click", ({ target }) => this.#toggle(target.closest("tr.event")));
    body.addEventListener("keydown", (e) => this.#walk(e));
  }

  /** `row` is { kind: "event", time, channel, id, cursor, type, data, size, lag, replayed }, or a note: { kind, time, words }. */
  add(row) {
    this.#waiting.push(row);
    // Frames stop in a hidden tab, so what waits is bounded, too.
    if (this.#waiting.length >= 2 * MOST_ROWS) this.dropped += this.#waiting.splice(0, MOST_ROWS).length;
  }

  clear() {
    this.#waiting = [];
    this.dropped = 0;
    this.body.replaceChildren();
  }

  get waiting() { return this.#waiting.length; }
  get isEmpty() { return this.#waiting.length === 0 && !this.body.hasChildNodes(); }

  draw() {
    if (this.isPaused || this.#waiting.length === 0) return;
    const fresh = this.#waiting.slice(-MOST_ROWS).reverse();
    this.dropped += this.#waiting.length - fresh.length;
    this.#waiting = [];
    const excess = Math.max(0, this.body.childElementCount + fresh.length - MOST_ROWS);
    for (let i = 0; i < excess; i++) this.body.lastChild.remove();
    this.dropped += excess;
    this.body.prepend(...fresh.map(renderRow));
    if (!this.#current?.isConnected) this.#makeCurrent(this.body.querySelector(".event button"));
  }

  /** One of the buttons is a tab stop; the arrow keys go through them all. */
  #makeCurrent(button) {
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = button;
    if (button) button.tabIndex = 0;
  }

  goToNewest() {
    this.#makeCurrent(this.body.querySelector(".event button"));
    this.#current?.focus();
  }

  #walk(e) {
    const rows = [...this.body.querySelectorAll("tr.event")];
    const place = rows.indexOf(e.target.closest("tr.event"));
    const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: rows.length - 1 }[e.key];
    if (next === undefined || !rows[next]) return;
    e.preventDefault();
    this.#makeCurrent(rows[next].querySelector("button"));
    this.#current.focus();
  }

  #toggle(row) {
    if (!row || !getSelection().isCollapsed) return; // selecting text is not a click
    const button = row.querySelector("button");
    const isOpen = button.ariaExpanded !== "true";
    button.ariaExpanded = String(isOpen);
    button.replaceChildren(...dataText(row.event.data, isOpen ? OPENED_CHARACTERS : SHOWN_CHARACTERS));
    row.classList.toggle("open", isOpen);
    this.#makeCurrent(button);
  }
}

function dataText(data, most) {
  if (data === "") return [element("i", {}, "(empty)")];
  const rest = data.length - most;
  return rest > 0 ? [data.slice(0, most), element("i", {}, ` … ${number(rest)} more characters`)] : [data];
}

function cell(name, ...children) {
  return element("td", { class: name, role: "cell" }, ...children);
}

const lagText = ({ replayed, lag }) => (replayed ? "replayed" : lag === undefined ? "–" : durationText(lag));

function renderRow(row) {
  const time = element("time", {}, preciseText(row.time));
  if (row.kind !== "event") {
    const words = element("td", { class: "words", role: "cell", colspan: document.body.classList.contains("several") ? 6 : 5 }, row.words);
    return element("tr", { class: `note ${row.kind}`, role: "row" }, cell("time", time), words);
  }
  const data = element("button", { type: "button", "aria-expanded": "false", tabindex: -1 }, ...dataText(row.data, SHOWN_CHARACTERS));
  const node = element(
    "tr",
    { class: row.replayed ? "event replayed" : "event", role: "row" },
    cell("time", time),
    cell("channel", row.channel),
    element("td", { class: "id", role: "cell", title: `Last event ID: ${row.cursor}` }, row.id),
    cell(row.type === "message" ? "type plain" : "type", row.type),
    cell("size", bytesText(row.size)),
    cell("lag", lagText(row)),
    cell("data", data),
  );
  node.event = row;
  row.node = node;
  return node;
}

/** The lag of an event became known after it had arrived. */
function showLag(row) {
  const shown = row.node?.querySelector(".lag");
  if (shown) setText(shown, lagText(row));
}
