// The page: connects its parts and draws at most once per animation frame.

/** The notes that also appear in the table of events. The timeline shows all of them. */
const TABLE_NOTES = ["cut", "lost", "gap", "caught-up", "ended", "refused"];
const DRAW_CHARTS_EVERY_MS = 250;

const encoder = new TextEncoder();
const lagTracker = new LagTracker();
const charts = new Charts();
const timeline = new Timeline($("timeline"));
const table = new EventTable($("rows"));
const channelsField = new Field("channels", parseChannels);
const typesField = new Field("types", parseTypes);
const countField = new Field("count", (text) => parseStart($("start").value, text));
const subscribeTokenField = new Field("subscriber-token", parseToken);
const publishTokenField = new Field("token", parseToken);
const channelStates = new ChannelStates($("states"), () => publishTokenField.value);
const publisher = new Publisher({
  token: publishTokenField,
  formChanged: updateSnippets,
  requestStarted: () => lagTracker.requestStarted(),
  requestFinished: publishFinished,
});

let statistics = new Statistics();
let stream = null, animationFrame = 0, chartsDrawnAt = 0;

// ---- Stream and publisher ----

const observer = {
  stateChanged() {
    statistics.setState(stream.state, performance.now());
    requestDraw();
  },
  event(event) {
    const at = performance.now();
    const row = { kind: "event", time: new Date(), size: encoder.encode(event.data).length, ...event };
    const lag = lagTracker.eventArrived(row, at);
    if (lag !== undefined && !row.replayed) setLag(row, lag, at);
    statistics.countEvent(at, row.replayed);
    table.add(row);
    announcer.countEvent();
    requestDraw();
  },
  heartbeat() {
    statistics.addMark("heartbeat", performance.now());
    timeline.add("heartbeat", "Heartbeat", new Date());
    requestDraw();
  },
  note(kind, text) {
    const time = new Date();
    timeline.add(kind, text, time);
    if (kind === "gap") statistics.addMark(kind, performance.now());
    if (kind === "reconnected") statistics.reconnects += 1;
    if (TABLE_NOTES.includes(kind)) table.add({ kind, text, time });
    announcer.announce(text);
    requestDraw();
  },
  caughtUp({ expected, received, hasGap, since }) {
    if (expected === 0) return this.note("caught-up", "Caught up: no events were missed");
    const isFiltered = stream.types.length > 0;
    const events = `${pluralize(received, "event")}${isFiltered ? " of the selected types" : ""}`;
    const replayed = `Caught up: ${events} replayed in ${formatDuration(performance.now() - since)}`;
    if (hasGap || isFiltered) return this.note("caught-up", replayed);
    this.note("caught-up", `${replayed}, ${expected - received || "none"} missing`);
  },
};

stalls.changed = () => {
  $("stalled").hidden = !stalls.isStalled;
  if (!stalls.isStalled) return;
  setText($("stalled"), stalls.explanation);
  timeline.add("stalled", "A request is waiting without a response", new Date());
};

function setLag(row, lag, at) {
  row.lag = lag;
  statistics.addLag(at, lag);
}

function publishFinished(channel, { first, last, count, title }, sentAt) {
  const isStored = !title;
  const { epoch, seq } = isStored ? lastAdvanced(first).position : {};
  const ids = isStored ? Array.from({ length: count }, (_, i) => formatPosition({ epoch, seq: seq + i })) : [];
  lagTracker.requestFinished(channel.name, ids, sentAt, (row, lag) => {
    if (row.replayed) return;
    setLag(row, lag, performance.now());
    showLag(row);
  });
  if (last) channelStates.refresh(300);
  requestDraw();
}

function watch() {
  const values = validateAll(channelsField, typesField, countField, subscribeTokenField);
  if (!values) return;
  const [{ channels }, { types }, { query }] = values;
  stream?.close();
  statistics = new Statistics();
  table.clear();
  timeline.clear();
  const token = () => subscribeTokenField.value.token || publishTokenField.value.token || "";
  stream = new Stream({ channels, types, start: query, token }, observer);
  storeChannelsInAddress(channels);
  publisher.setChannels(channels);
  channelStates.watch(channels);
  document.title = `${channels.map(({ name }) => name).join(", ")} · Runnel console`;
  document.body.classList.toggle("multi-channel", channels.length > 1);
  updateSnippets();
  stream.open();
}

function cutOrResume() {
  if (!stream) return watch();
  if (stream.isStopped) stream.resume();
  else stream.cut();
}

function togglePause() {
  table.isPaused = !table.isPaused;
  setAttribute($("pause"), "aria-pressed", table.isPaused);
  requestDraw();
}

// ---- Drawing ----

function requestDraw() {
  animationFrame ||= requestAnimationFrame(() => {
    animationFrame = 0;
    draw();
  });
}

function draw() {
  if (!stream) return;
  table.draw();
  drawConnection();
  setText($("events"), formatNumber(statistics.events));
  setText($("replayed"), formatNumber(statistics.replayed));
  setText($("reconnects"), formatNumber(statistics.reconnects));
  $("empty").hidden = !table.isEmpty;
  $("grid").hidden = table.isEmpty;
  const pending = table.isPaused && table.pendingCount ? `Paused: ${pluralize(table.pendingCount, "row")} waiting. ` : "";
  setText($("dropped"), pending + (table.dropped ? `The newest ${MAX_ROWS} rows are kept; ${formatNumber(table.dropped)} older rows were removed.` : ""));
  const now = performance.now();
  if (now - chartsDrawnAt >= DRAW_CHARTS_EVERY_MS) drawCharts(now);
}

function drawConnection() {
  const { state, isCut, isStopped, missed, reason } = stream;
  setAttribute(document.body, "data-state", state);
  setText($("state-name"), STATE_LABELS[state]);
  setText($("reason"), isCut && missed !== null ? `${pluralize(missed, "missed event")} so far. Resume to replay them.` : reason);
  setText($("cut").firstChild, isStopped ? "Resume" : "Cut");
  setAttribute($("cut"), "title", isStopped ? "Reopens the stream where it stopped" : "Cuts the connection, as a network failure would");
}

function drawCharts(now) {
  chartsDrawnAt = now;
  charts.draw(statistics, now);
  const lags = statistics.lags(now);
  setText($("rate"), statistics.rate(now).toFixed(1));
  setText($("lag"), lags.length ? formatDuration(quantile(lags, 0.5)) : "–");
  setText($("lag-high"), lags.length ? formatDuration(quantile(lags, 0.95)) : "–");
}

/** Updates the snippets to match the forms, as long as the forms are valid. */
function updateSnippets() {
  const { channels } = channelsField.value, { types } = typesField.value, { query } = countField.value;
  $("count-field").hidden = $("start").value !== "last";
  if (!channels || !types || !query) return;
  drawSnippets({
    url: eventsUrl(channels, types, query),
    types: types.length ? types : [...new Set(["message", $("type").value.trim()])].filter((type) => type && !isReserved(type)),
    needsToken: Boolean(subscribeTokenField.value.token),
    target: publisher.target,
    type: $("type").value.trim(),
    format: $("format").value,
    data: $("data").value,
  });
}

function storeChannelsInAddress(channels) {
  const url = new URL(location.href);
  url.search = new URLSearchParams(channels.map(({ name }) => ["channel", name]));
  history.replaceState(null, "", url);
}

// ---- User input ----

$("watch").addEventListener("submit", (e) => { e.preventDefault(); watch(); });
$("cut").addEventListener("click", cutOrResume);
$("pause").addEventListener("click", togglePause);
$("clear").addEventListener("click", () => { table.clear(); requestDraw(); });
$("first").addEventListener("click", () => publisher.send());
$("keys-open").addEventListener("click", () => $("keys").showModal());
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copyText($(button.dataset.copy), button));
for (const [field, key] of [[publishTokenField, "token"], [subscribeTokenField, "subscriber-token"]]) {
  field.input.value = storage.read("sessionStorage", key);
  field.input.addEventListener("input", () => { storage.write("sessionStorage", key, field.input.value); channelStates.refresh(400); });
}
for (const form of [$("watch"), $("publish")]) {
  form.addEventListener("input", updateSnippets);
  form.addEventListener("change", updateSnippets);
}

const THEMES = ["light dark", "light", "dark"];

function setTheme(theme) {
  $("theme").value = THEMES.includes(theme) ? theme : THEMES[0];
  document.documentElement.style.colorScheme = $("theme").value;
}

setTheme(storage.read("localStorage", "theme"));
$("theme").addEventListener("change", ({ target }) => {
  setTheme(target.value);
  storage.write("localStorage", "theme", target.value);
});

const SHORTCUTS = {
  c: cutOrResume,
  p: () => $("data").focus(),
  w: () => $("channels").focus(),
  e: () => (table.isEmpty ? $("first").focus() : table.focusNewest()),
  f: togglePause,
  "?": () => $("keys").showModal(),
};

$("keys-on").checked = storage.read("localStorage", "keys") !== "off";
$("keys-on").addEventListener("change", ({ target }) => storage.write("localStorage", "keys", target.checked ? "on" : "off"));
document.addEventListener("keydown", (e) => {
  const isTyping = e.target.closest("input, select, textarea, dialog");
  if (isTyping || e.ctrlKey || e.metaKey || e.altKey || !$("keys-on").checked || !SHORTCUTS[e.key]) return;
  e.preventDefault();
  SHORTCUTS[e.key]();
});

// The charts move with time, even if nothing arrives.
setInterval(() => document.hidden || draw(), 1_000);

const channelsInAddress = new URLSearchParams(location.search).getAll("channel");
if (channelsInAddress.length) $("channels").value = channelsInAddress.join(" ");
watch();
