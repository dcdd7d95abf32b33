"use strict";

// What every part of the page uses. Outside text only ever becomes text nodes and attribute values.

const $ = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children); // strings become text nodes
  return node;
}

function svg(name, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// Live regions speak at every write, so text is written only where it differs.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const number = (value) => value.toLocaleString("en");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

function bytesText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function durationText(milliseconds) {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(milliseconds < 9_950 ? 1 : 0)} s`;
}

const clockText = (time) => time.toTimeString().slice(0, 8);
const preciseText = (time) => `${clockText(time)}.${String(time.getMilliseconds()).padStart(3, "0")}`;

// ---- What screen readers are told: at most one sentence in three seconds, and of events only how many came ----

const SPEAK_EVERY_MS = 3_000;

const speaker = {
  waiting: "",
  events: 0,
  timer: 0,
  say(words) {
    this.waiting = words;
    this.soon();
  },
  count() {
    this.events += 1;
    this.soon();
  },
  soon() {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      const news = this.events ? `${plural(this.events, "event")} arrived.` : "";
      setText($("spoken"), [this.waiting, news].filter(Boolean).join(" "));
      [this.waiting, this.events] = ["", 0];
    }, SPEAK_EVERY_MS);
  },
};

// ---- Fields: a message comes when a field is left, and follows the typing from then on ----

class Field {
  constructor(id, parse) {
    Object.assign(this, { input: $(id), message: $(`${id}-error`), parse });
    this.input.setAttribute("aria-describedby", [this.input.getAttribute("aria-describedby"), `${id}-error`].filter(Boolean).join(" "));
    this.input.addEventListener("change", () => this.check());
    this.input.addEventListener("input", () => this.input.ariaInvalid === "true" && this.check());
  }

  get value() { return this.parse(this.input.value); }

  /** The value, or null after saying what is wrong. */
  check() {
    const value = this.value;
    this.tell(value.error);
    return value.error ? null : value;
  }

  tell(error) {
    setText(this.message, error ?? "");
    this.input.ariaInvalid = String(Boolean(error));
  }
}

/** The values of all fields, or null after going to the first that is wrong. */
function checkAll(...fields) {
  const values = fields.map((field) => field.check());
  fields[values.indexOf(null)]?.input.focus();
  return values.includes(null) ? null : values;
}

// ---- What outlives a reload. Storage throws where it is switched off ----

const memory = {
  read(storage, key) {
    try { return window[storage].getItem(`runnel.${key}`) ?? ""; } catch { return ""; }
  },
  write(storage, key, value) {
    try { window[storage].setItem(`runnel.${key}`, value); } catch { /* It is forgotten with the page. */ }
  },
};

/** Copies, the older way where there is no secure context, and says so on the button. */
async function copy(node, button) {
  getSelection().selectAllChildren(node);
  const copied = await navigator.clipboard?.writeText(node.textContent).then(() => true, () => false) || document.execCommand("copy");
  setText(button, copied ? "Copied" : "Selected");
  setTimeout(() => setText(button, "Copy"), 1_500);
}
