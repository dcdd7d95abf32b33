// Requests to the server.

const resolveUrl = (path, query = []) => {
  const url = new URL(path, document.baseURI);
  url.search = new URLSearchParams(query);
  return url.href;
};

/** Returns the URL of a stream over these channels; an empty list of types selects all events. */
function eventsUrl(channels, types, start) {
  const query = [...types.map((type) => ["event", type]), ...start];
  if (channels.length === 1) return resolveUrl(`events/${channels[0].path}`, query);
  return resolveUrl("events", [...channels.map(({ name }) => ["channel", name]), ...query]);
}

const publishUrl = (channel, type) => resolveUrl(`publish/${channel.path}`, type ? [["event", type]] : []);

const bearer = (token) => (token ? { authorization: `Bearer ${token}` } : {});

/** Reads a problem `{ status, title, detail }` from an error response (RFC 9457). */
async function readProblem(response) {
  const problem = (await response.json().catch(() => null)) ?? {};
  return { status: response.status, title: problem.title ?? response.statusText, detail: problem.detail ?? "" };
}

const request = (url, options) => stalls.watch(fetch(url, { cache: "no-store", ...options }));

const NO_RESPONSE = { status: 0, title: "No response from the server" };

/** Publishes; returns `{ first, last, count }` once acknowledged, or a problem. */
async function publish(channel, { type, format, data, token }) {
  const headers = { "content-type": format, accept: "application/json", ...bearer(token) };
  const url = publishUrl(channel, format === "application/x-ndjson" ? "" : type);
  try {
    const response = await request(url, { method: "POST", body: data, headers, signal: AbortSignal.timeout(20_000) });
    return response.ok ? await response.json() : await readProblem(response);
  } catch {
    return { ...NO_RESPONSE, detail: "It is unknown whether the event was stored." };
  }
}

/** Returns the state of a channel, or a problem. */
async function fetchChannelState(channel, token) {
  try {
    const response = await request(resolveUrl(`channels/${channel.path}`), { headers: bearer(token) });
    return response.ok ? await response.json() : await readProblem(response);
  } catch {
    return { ...NO_RESPONSE, detail: "" };
  }
}

/** Returns the position of the newest event of each channel, from a long-poll that does not wait; null on failure. */
async function fetchLogEnds(channels, token) {
  try {
    const headers = { accept: "application/json", ...bearer(token) };
    const response = await request(eventsUrl(channels, [], []), { headers, signal: AbortSignal.timeout(5_000) });
    return response.ok ? decodeCursor((await response.json()).cursor) : null;
  } catch {
    return null;
  }
}
