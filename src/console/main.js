// The page: joins its parts, and draws at most once a frame.

/** What the table of events tells of the connection; the timeline tells all. */
const ROW_NOTES = ["cut", "lost", "gap", "filled", "end", "refused"];
const CHARTS_EVERY_MS = 250;

const encoder = new TextEncoder();
const lags = new Lags();
const charts = new Charts();
const timeline = new Timeline($("timeline"));
const table = new EventTable($("rows"));
const channelsField = new Field("channels", parseChannels);
const typesField = new Field("types", parseTypes);
const countField = new Field("count", (text) => parseStart($("start").value, text));
const subscriberField = new Field("subscriber-token", parseToken);
const tokenField = new Field("token", parseToken);
const states = new ChannelStates($("states"), () => tokenField.value);
const publisher = new Publisher({ token: tokenField, changed: reflect, begun: () => lags.begin(), published });

let figures = new Figures();
let stream = null, frame = 0, chartsDrawnAt = 0;

// ---- What happens ----

const observer = {
  changed() {
    figures.become(stream.state, performance.now());
    drawSoon();
  },
  event(event) {
    const at = performance.now();
    const row = { kind: "event", time: new Date(), size: encoder.encode(event.data).length, ...event };
    const lag = lags.arrive(row, at);
    if (lag !== undefined && !row.replayed) measured(row, lag, at);
    figures.count(at, row.replayed);
    table.add(row);
    speaker.count();
    drawSoon();
  },
  heartbeat() {
    figures.mark("heartbeat", performance.now());
    timeline.add("heartbeat", "Heartbeat", new Date());
    drawSoon();
  },
  note(kind, words) {
    const time = new Date();
    timeline.add(kind, words, time);
    if (kind === "gap") figures.mark(kind, performance.now());
    if (kind === "reopen") figures.reconnects += 1;
    if (ROW_NOTES.includes(kind)) table.add({ kind, words, time });
    speaker.say(words);
    drawSoon();
  },
  filled({ expected, got, hasGap, since }) {
    if (expected === 0) return this.note("filled", "Nothing was missed");
    const replayed = `${plural(got, "event")}${stream.types.length ? " of the watched types" : ""} replayed in ${durationText(performance.now() - since)}`;
    if (hasGap || stream.types.length) return this.note("filled", replayed);
    const missing = expected - got;
    this.note("filled", missing ? `${replayed}, ${missing} missing` : `Hole filled: ${replayed}, none missing`);
  },
};

function measured(row, lag, at) {
  row.lag = lag;
  figures.lag(at, lag);
}

function published(channel, { first, last, count, title }, sentAt) {
  const { epoch, seq } = title ? {} : readMoved(first).mark;
  const ids = title ? [] : Array.from({ length: count }, (_, i) => markText({ epoch, seq: seq + i }));
  lags.end(channel.name, ids, sentAt, (row, lag) => {
    if (row.replayed) return;
    measured(row, lag, performance.now());
    showLag(row);
  });
  if (last) states.refresh(300);
  drawSoon();
}

function watch() {
  const values = checkAll(channelsField, typesField, countField, subscriberField);
  if (!values) return;
  const [{ channels }, { types }, { query }] = values;
  stream?.close();
  figures = new Figures();
  table.clear();
  timeline.clear();
  const token = () => subscriberField.value.token || tokenField.value.token || "";
  stream = new Stream({ channels, types, start: query, token }, observer);
  rememberChannels(channels);
  publisher.offer(channels);
  states.watch(channels);
  document.title = `${channels.map(({ name }) => name).join(", ")} · Runnel console`;
  document.body.classList.toggle("several", channels.length > 1);
  reflect();
  stream.open();
}

function cutOrResume() {
  if (!stream) return watch();
  if (stream.isOver) stream.resume();
  else stream.cut();
}

function pause() {
  table.isPaused = !table.isPaused;
  setAttribute($("pause"), "aria-pressed", table.isPaused);
  drawSoon();
}

// ---- What is seen ----

function drawSoon() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    draw();
  });
}

function draw() {
  if (!stream) return;
  table.draw();
  const { state } = stream;
  setAttribute(document.body, "data-state", state);
  setText($("state-name"), STATE_NAMES[state]);
  setText($("reason"), stream.isCut && stream.missed !== null ? `${plural(stream.missed, "event")} in the log that this page has not. Resume replays them.` : stream.reason);
  setText($("cut").firstChild, stream.isOver ? "Resume" : "Cut");
  setAttribute($("cut"), "title", stream.isOver ? "Opens the stream again where it ended" : "Cuts the connection, as a lost network would");
  setText($("events"), number(figures.events));
  setText($("replayed"), number(figures.replayed));
  setText($("reconnects"), number(figures.reconnects));
  $("empty").hidden = !table.isEmpty;
  $("grid").hidden = table.isEmpty;
  const waiting = table.isPaused && table.waiting ? `Paused: ${plural(table.waiting, "row")} wait. ` : "";
  setText($("dropped"), waiting + (table.dropped ? `The newest ${MOST_ROWS} rows are kept; ${number(table.dropped)} older ones are counted and gone.` : ""));
  const now = performance.now();
  if (now - chartsDrawnAt >= CHARTS_EVERY_MS) drawCharts(now);
}

function drawCharts(now) {
  chartsDrawnAt = now;
  charts.draw(figures, now);
  const known = figures.lags(now);
  setText($("rate"), figures.rate(now).toFixed(1));
  setText($("lag"), known.length ? durationText(quantile(known, 0.5)) : "–");
  setText($("lag-high"), known.length ? durationText(quantile(known, 0.95)) : "–");
}

/** Snippets follow the forms for as long as these make sense. */
function reflect() {
  const { channels } = channelsField.value, { types } = typesField.value, { query } = countField.value;
  $("count-field").hidden = $("start").value !== "last";
  if (!channels || !types || !query) return;
  drawSnippets({
    url: eventsUrl(channels, types, query),
    types: types.length ? types : [...new Set(["message", $("type").value.trim()])].filter((type) => type && !isReserved(type)),
    needsToken: Boolean(subscriberField.value.token),
    target: publisher.target,
    type: $("type").value.trim(),
    format: $("format").value,
    data: $("data").value,
  });
}

function rememberChannels(channels) {
  const url = new URL(location.href);
  url.search = new URLSearchParams(channels.map(({ name }) => ["channel", name]));
  history.replaceState(null, "", url);
}

// ---- What people do ----

$("watch").addEventListener("submit", (e) => { e.preventDefault(); watch(); });
$("cut").addEventListener("click", cutOrResume);
$("pause").addEventListener("click", pause);
$("clear").addEventListener("click", () => { table.clear(); drawSoon(); });
$("first").addEventListener("click", () => publisher.send());
$("keys-open").addEventListener("click", () => $("keys").showModal());
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy($(button.dataset.copy), button));
for (const [field, key] of [[tokenField, "token"], [subscriberField, "subscriber-token"]]) {
  field.input.value = memory.read("sessionStorage", key);
  field.input.addEventListener("input", () => { memory.write("sessionStorage", key, field.input.value); states.refresh(400); });
}
for (const form of [$("watch"), $("publish")]) {
  form.addEventListener("input", reflect);
  form.addEventListener("change", reflect);
}

const SCHEMES = ["light dark", "light", "dark"];

function setScheme(scheme) {
  $("theme").value = SCHEMES.includes(scheme) ? scheme : SCHEMES[0];
  document.documentElement.style.colorScheme = $("theme").value;
}

setScheme(memory.read("localStorage", "theme"));
$("theme").addEventListener("change", ({ target }) => {
  setScheme(target.value);
  memory.write("localStorage", "theme", target.value);
});

const KEYS = {
  c: cutOrResume,
  p: () => $("data").focus(),
  w: () => $("channels").focus(),
  e: () => (table.isEmpty ? $("first").focus() : table.goToNewest()),
  f: pause,
  "?": () => $("keys").showModal(),
};

$("keys-on").checked = memory.read("localStorage", "keys") !== "off";
$("keys-on").addEventListener("change", ({ target }) => memory.write("localStorage", "keys", target.checked ? "on" : "off"));
document.addEventListener("keydown", (e) => {
  const isTyping = e.target.closest("input, select, textarea, dialog");
  if (isTyping || e.ctrlKey || e.metaKey || e.altKey || !$("keys-on").checked || !KEYS[e.key]) return;
  e.preventDefault();
  KEYS[e.key]();
});

setInterval(() => {
  if (document.hidden) return;
  draw();
}, 1_000);

const asked = new URLSearchParams(location.search).getAll("channel");
if (asked.length) $("channels").value = asked.join(" ");
watch();
