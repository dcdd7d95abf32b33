// Parses what the user enters: each function returns a value, or `{ error }` with an explanation.

const MAX_CHANNELS = 10;
const MAX_TYPES = 32;
const MAX_CHANNEL_BYTES = 160;

function parseChannel(text) {
  const segments = text.split("/"), forbidden = text.match(/[^A-Za-z0-9._~:/-]/u)?.[0];
  if (forbidden) return { error: `“${forbidden}” is not allowed in a channel name: use A-Z a-z 0-9 . _ ~ : - and / between segments.` };
  if (text.length > MAX_CHANNEL_BYTES) return { error: `A channel name has at most ${MAX_CHANNEL_BYTES} bytes; this one has ${text.length}.` };
  if (segments.includes("")) return { error: "A / in a channel name needs a segment before and after it." };
  if (segments.some((segment) => /^\.\.?$/.test(segment))) return { error: "A segment of a channel name cannot be . or .." };
  return { name: text, path: segments.map(encodeURIComponent).join("/") };
}

function parseChannels(text) {
  const names = [...new Set(text.split(/[\s,]+/).filter(Boolean))];
  const channels = names.map(parseChannel);
  const error = channels.find((channel) => channel.error)?.error;
  if (error) return { error };
  if (names.length === 0) return { error: "Enter at least one channel, such as demo or orders/2041." };
  if (names.length > MAX_CHANNELS) return { error: `A stream has at most ${MAX_CHANNELS} channels; you entered ${names.length}.` };
  return { channels };
}

/** Parses where a stream starts, as query parameters. */
function parseStart(from, count) {
  if (from !== "last") return { query: from === "live" ? [] : [["last_event_id", "earliest"]] };
  return /^[1-9]\d{0,8}$/.test(count) ? { query: [["last", count]] } : { error: "Enter a whole number from 1." };
}

const isReserved = (type) => /^(open|error|runnel\..*)$/.test(type);

function parseType(text) {
  return isReserved(text.trim()) ? { error: "The types open, error and runnel.… are reserved: choose another type." } : { type: text.trim() };
}

function parseTypes(text) {
  const types = [...new Set(text.split(",").map((type) => type.trim()).filter(Boolean))];
  return types.length > MAX_TYPES ? { error: `Enter at most ${MAX_TYPES} types.` } : { types };
}

function parseToken(text) {
  return /^[!-~]*$/.test(text.trim()) ? { token: text.trim() } : { error: "A token contains ASCII characters only, and no spaces." };
}

function parseData(text, format) {
  try {
    if (format === "application/json") JSON.parse(text);
    else if (format === "application/x-ndjson") text.split("\n").filter((line) => line.trim()).forEach((line) => JSON.parse(line));
    return { data: text };
  } catch (error) {
    return { error: `Not JSON: ${error.message}. Correct it, or choose the format Text.` };
  }
}
