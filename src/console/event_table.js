// The table of events, newest first. It is drawn at most once per animation frame and holds a bounded number of
// rows: during a burst, events beyond that bound are counted without creating elements for them.

const MAX_ROWS = 300;
const MAX_COLLAPSED_CHARACTERS = 280;
const MAX_EXPANDED_CHARACTERS = 70_000;

class EventTable {
  isPaused = false;
  /** The number of rows that are no longer in the table, or never were. */
  dropped = 0;
  #pending = [];
  /** The button that is the tab stop. */
  #current = null;

  constructor(body) {
    this.body = body;
    body.addEventListener("click", ({ target }) => this.#toggle(target.closest("tr.event")));
    body.addEventListener("keydown", (e) => this.#moveFocus(e));
  }

  /** Adds an event `{ kind: "event", time, channel, id, cursor, type, data, size, lag, replayed }` or a note `{ kind, time, text }`. */
  add(row) {
    this.#pending.push(row);
    // A hidden tab has no animation frames, so the pending rows need a bound as well.
    if (this.#pending.length >= 2 * MAX_ROWS) this.dropped += this.#pending.splice(0, MAX_ROWS).length;
  }

  clear() {
    this.#pending = [];
    this.dropped = 0;
    this.body.replaceChildren();
  }

  get pendingCount() { return this.#pending.length; }
  get isEmpty() { return this.#pending.length === 0 && !this.body.hasChildNodes(); }

  draw() {
    if (this.isPaused || this.#pending.length === 0) return;
    const rows = this.#pending.slice(-MAX_ROWS).reverse();
    this.dropped += this.#pending.length - rows.length;
    this.#pending = [];
    const excess = Math.max(0, this.body.childElementCount + rows.length - MAX_ROWS);
    for (let i = 0; i < excess; i++) this.body.lastChild.remove();
    this.dropped += excess;
    this.body.prepend(...rows.map(renderRow));
    if (!this.#current?.isConnected) this.#setTabStop(this.body.querySelector(".event button"));
  }

  /** Makes one button the tab stop; the arrow keys reach the others. */
  #setTabStop(button) {
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = button;
    if (button) button.tabIndex = 0;
  }

  focusNewest() {
    this.#setTabStop(this.body.querySelector(".event button"));
    this.#current?.focus();
  }

  #moveFocus(e) {
    const rows = [...this.body.querySelectorAll("tr.event")];
    const index = rows.indexOf(e.target.closest("tr.event"));
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1 }[e.key];
    if (next === undefined || !rows[next]) return;
    e.preventDefault();
    this.#setTabStop(rows[next].querySelector("button"));
    this.#current.focus();
  }

  #toggle(row) {
    if (!row || !getSelection().isCollapsed) return; // a click that ends a text selection
    const button = row.querySelector("button");
    const isExpanded = button.ariaExpanded !== "true";
    button.ariaExpanded = String(isExpanded);
    button.replaceChildren(...renderData(row.event.data, isExpanded ? MAX_EXPANDED_CHARACTERS : MAX_COLLAPSED_CHARACTERS));
    row.classList.toggle("expanded", isExpanded);
    this.#setTabStop(button);
  }
}

function renderData(data, maxCharacters) {
  if (data === "") return [element("i", {}, "(empty)")];
  const rest = data.length - maxCharacters;
  return rest > 0 ? [data.slice(0, maxCharacters), element("i", {}, ` … ${formatNumber(rest)} more characters`)] : [data];
}

const renderCell = (name, ...children) => element("td", { class: name, role: "cell" }, ...children);

const lagText = ({ replayed, lag }) => (replayed ? "replayed" : lag === undefined ? "–" : formatDuration(lag));

function renderRow(row) {
  const time = renderCell("time", element("time", {}, formatTimeWithMillis(row.time)));
  return row.kind === "event" ? renderEvent(row, time) : renderNote(row, time);
}

function renderNote({ kind, text }, time) {
  const columns = document.body.classList.contains("multi-channel") ? 6 : 5;
  return element("tr", { class: `note ${kind}`, role: "row" }, time, element("td", { class: "text", role: "cell", colspan: columns }, text));
}

function renderEvent(event, time) {
  const data = element("button", { type: "button", "aria-expanded": "false", tabindex: -1 }, ...renderData(event.data, MAX_COLLAPSED_CHARACTERS));
  const row = element(
    "tr",
    { class: event.replayed ? "event replayed" : "event", role: "row" },
    time,
    renderCell("channel", event.channel),
    element("td", { class: "id", role: "cell", title: `Last event ID: ${event.cursor}` }, event.id),
    renderCell(event.type === "message" ? "type default" : "type", event.type),
    renderCell("size", formatBytes(event.size)),
    renderCell("lag", lagText(event)),
    renderCell("data", data),
  );
  row.event = event;
  event.row = row;
  return row;
}

/** Shows the lag of an event that arrived before its lag was known. */
function showLag(event) {
  const cell = event.row?.querySelector(".lag");
  if (cell) setText(cell, lagText(event));
}
