// The server's routes, and what they take: outside text becomes a value once, or an { error } in words.

const MOST_CHANNELS = 10;

function parseChannel(text) {
  const parts = text.split("/"), odd = text.match(/[^A-Za-z0-9._~:/-]/u)?.[0];
  if (odd) return { error: `“${odd}” cannot be in a channel name: use A-Z a-z 0-9 . _ ~ : - and / between parts.` };
  if (text.length > 160) return { error: `A channel name has 160 bytes at most; this one has ${text.length}.` };
  if (parts.includes("")) return { error: "Each / in a channel name needs a part before and after it." };
  if (parts.some((part) => /^\.\.?$/.test(part))) return { error: "A part of a channel name cannot be . or .." };
  return { name: text, path: parts.map(encodeURIComponent).join("/") };
}

function parseChannels(text) {
  const names = [...new Set(text.split(/[\s,]+/).filter(Boolean))];
  const channels = names.map(parseChannel);
  const error = channels.find((channel) => channel.error)?.error;
  if (error) return { error };
  if (names.length === 0) return { error: "Name at least one channel, such as demo or orders/2041." };
  if (names.length > MOST_CHANNELS) return { error: `One stream has ${MOST_CHANNELS} channels at most; these are ${names.length}.` };
  return { channels };
}

function parseStart(from, count) {
  if (from !== "last") return { query: from === "live" ? [] : [["last_event_id", "earliest"]] };
  return /^[1-9]\d{0,8}$/.test(count) ? { query: [["last", count]] } : { error: "How many events? A whole number from 1." };
}

const isReserved = (type) => /^(open|error|runnel\..*)$/.test(type);

function parseType(text) {
  return isReserved(text.trim()) ? { error: "open, error and runnel.… are reserved: choose another type." } : { type: text.trim() };
}

function parseTypes(text) {
  const types = [...new Set(text.split(",").map((type) => type.trim()).filter(Boolean))];
  return types.length > 32 ? { error: "At most 32 types." } : { types };
}

function parseToken(text) {
  return /^[!-~]*$/.test(text.trim()) ? { token: text.trim() } : { error: "A token has no spaces and only ASCII characters." };
}

function parseData(text, format) {
  try {
    if (format === "application/json") JSON.parse(text);
    else if (format === "application/x-ndjson") text.split("\n").filter((line) => line.trim()).forEach((line) => JSON.parse(line));
    return { data: text };
  } catch (error) {
    return { error: `Not JSON: ${error.message}. Correct it, or choose Text.` };
  }
}

const route = (path, query = []) => {
  const url = new URL(path, document.baseURI);
  url.search = new URLSearchParams(query);
  return url.href;
};

/** Where a stream over these channels is; events of all types if `types` is empty. */
function eventsUrl(channels, types, start) {
  const query = [...types.map((type) => ["event", type]), ...start];
  if (channels.length === 1) return route(`events/${channels[0].path}`, query);
  return route("events", [...channels.map(({ name }) => ["channel", name]), ...query]);
}

const publishUrl = (channel, type) => route(`publish/${channel.path}`, type ? [["event", type]] : []);

const bearer = (token) => (token ? { authorization: `Bearer ${token}` } : {});

/** The { status, title, detail } of a refusal: problem+json (RFC 9457), or just its status. */
async function readProblem(response) {
  const problem = (await response.json().catch(() => null)) ?? {};
  return { status: response.status, title: problem.title ?? response.statusText, detail: problem.detail ?? "" };
}

const NO_ANSWER = { status: 0, title: "No answer from the server" };

/** Publishes: { first, last, count } once acknowledged, otherwise a problem. */
async function publish(channel, { type, format, data, token }) {
  const headers = { "content-type": format, accept: "application/json", ...bearer(token) };
  const url = publishUrl(channel, format === "application/x-ndjson" ? "" : type);
  try {
    const response = await fetch(url, { method: "POST", body: data, headers, signal: AbortSignal.timeout(20_000) });
    return response.ok ? await response.json() : await readProblem(response);
  } catch {
    return { ...NO_ANSWER, detail: "Whether the event was stored is not known." };
  }
}

/** The state of a channel, otherwise a problem. */
async function channelState(channel, token) {
  try {
    const response = await fetch(route(`channels/${channel.path}`), { headers: bearer(token), cache: "no-store" });
    return response.ok ? await response.json() : await readProblem(response);
  } catch {
    return { ...NO_ANSWER, detail: "" };
  }
}

/** Where each channel's log ends now, as marks: a long poll that does not wait. Null if that fails. */
async function readTips(channels, token) {
  try {
    const headers = { accept: "application/json", ...bearer(token) };
    const response = await fetch(eventsUrl(channels, [], []), { headers, cache: "no-store", signal: AbortSignal.timeout(5_000) });
    return response.ok ? readMarks((await response.json()).cursor) : null;
  } catch {
    return null;
  }
}
