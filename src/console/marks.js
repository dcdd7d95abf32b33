// Looks into ids: where a client stands in each channel. To other clients an id is opaque; this page
// comes from the very server that writes them (src/core/sse/cursor.rs).

const EPOCHS = 36n ** 6n;
const NOT_BEGUN = 2n ** 72n - 1n;

/** The mark of a channel, `{ epoch, seq }`, from 12 digits of base 64; null if its log has not begun. */
function readMark(digits) {
  const bytes = atob(digits.replaceAll("-", "+").replaceAll("_", "/"));
  const number = Array.from(bytes).reduce((sum, byte) => sum * 256n + BigInt(byte.charCodeAt(0)), 0n);
  if (number === NOT_BEGUN) return null;
  return { epoch: (number % EPOCHS).toString(36).padStart(6, "0"), seq: Number(number / EPOCHS) };
}

/** `{ moved, mark }`: the place of the channel that moved last and its new mark; undefined for other text. */
function readMoved(id) {
  const [, epoch, seq] = /^([0-9a-z]{6})-(\d+)$/.exec(id) ?? [];
  if (epoch) return { moved: 0, mark: { epoch, seq: Number(seq) } };
  const [, place, digits] = /^~(\d)((?:[\w-]{12})+)$/.exec(id) ?? [];
  const moved = Number(place);
  return digits && { moved, mark: readMark(digits.slice(12 * moved, 12 * moved + 12)) };
}

/** The marks of all channels, in the stream's order. */
function readMarks(id) {
  if (!id.startsWith("~")) return [readMoved(id)?.mark ?? null];
  return id.slice(2).match(/.{12}/g).map(readMark);
}

const markText = (mark) => (mark ? `${mark.epoch}-${mark.seq}` : "0");

/** How many events a channel has after `mark`, up to and with `tip`. A log of another epoch is read whole. */
function eventsBetween(mark, tip) {
  if (!tip) return 0;
  return Math.max(0, tip.seq - (mark?.epoch === tip.epoch ? mark.seq : 0));
}

/** Whether the event of this mark was in the log when its newest was `tip`. */
const isWithin = (mark, tip) => Boolean(mark && tip && mark.epoch === tip.epoch && mark.seq <= tip.seq);
