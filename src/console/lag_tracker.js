// The lag of an event is the time from sending it to its arrival. It is known only for events that this page
// publishes: a stream carries no publish times, and the clocks of two machines differ.

const MAX_TRACKED_EVENTS = 20_000;

class LagTracker {
  /** Send times of events that were acknowledged but have not arrived. */
  #sent = new Map();
  /** Events that arrived while a publish was in flight, since its response may arrive after them. */
  #arrived = new Map();
  #inFlight = 0;

  requestStarted() {
    this.#inFlight += 1;
  }

  /** Records the acknowledged event IDs; calls `onLag(row, lag)` for each that has already arrived. */
  requestFinished(channel, ids, sentAt, onLag) {
    for (const id of ids) {
      const early = this.#arrived.get(`${channel} ${id}`);
      if (early) onLag(early.row, early.at - sentAt);
      else this.#sent.set(`${channel} ${id}`, sentAt);
    }
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#arrived.clear();
    for (const key of this.#sent.keys()) {
      if (this.#sent.size <= MAX_TRACKED_EVENTS) break;
      this.#sent.delete(key);
    }
  }

  /** Returns the lag of an event that arrives; undefined if it is not known yet, or never will be. */
  eventArrived(row, at) {
    const key = `${row.channel} ${row.id}`;
    const sentAt = this.#sent.get(key);
    this.#sent.delete(key);
    if (sentAt !== undefined) return at - sentAt;
    if (this.#inFlight > 0 && this.#arrived.size < MAX_TRACKED_EVENTS) this.#arrived.set(key, { row, at });
    return undefined;
  }
}
