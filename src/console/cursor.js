// Decodes cursors into one position for each channel. Other clients must treat a cursor as opaque; this page
// is served by the server that encodes them (src/core/sse/cursor.rs).

const EPOCHS = 36n ** 6n;
const BEGINNING = 2n ** 72n - 1n;

/** Decodes the position `{ epoch, seq }` in 12 digits of base 64; null if the channel has no log yet. */
function decodePosition(digits) {
  const bytes = atob(digits.replaceAll("-", "+").replaceAll("_", "/"));
  const number = Array.from(bytes).reduce((sum, byte) => sum * 256n + BigInt(byte.charCodeAt(0)), 0n);
  if (number === BEGINNING) return null;
  return { epoch: (number % EPOCHS).toString(36).padStart(6, "0"), seq: Number(number / EPOCHS) };
}

/** Returns the index and the position of the channel that a cursor advanced last; undefined for other text. */
function lastAdvanced(cursor) {
  const [, epoch, seq] = /^([0-9a-z]{6})-(\d+)$/.exec(cursor) ?? [];
  if (epoch) return { index: 0, position: { epoch, seq: Number(seq) } };
  const [, digit, digits] = /^~(\d)((?:[\w-]{12})+)$/.exec(cursor) ?? [];
  const index = Number(digit);
  return digits && { index, position: decodePosition(digits.slice(12 * index, 12 * index + 12)) };
}

/** Returns the positions of all channels, in the stream's order. */
function decodeCursor(cursor) {
  if (!cursor.startsWith("~")) return [lastAdvanced(cursor)?.position ?? null];
  return cursor.slice(2).match(/.{12}/g).map(decodePosition);
}

const formatPosition = (position) => (position ? `${position.epoch}-${position.seq}` : "0");

/** Counts the events after `position`, up to and including `end`. A log of another epoch counts from its start. */
function eventsBetween(position, end) {
  if (!end) return 0;
  return Math.max(0, end.seq - (position?.epoch === end.epoch ? position.seq : 0));
}

const isAtOrBefore = (position, end) => Boolean(position && end && position.epoch === end.epoch && position.seq <= end.seq);
