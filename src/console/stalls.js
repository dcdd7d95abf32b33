// Requests that get no response. Over HTTP/1.1 a browser opens at most six connections to a server, for all tabs
// together, and makes further requests wait. It does not report that, so a request without a response for some
// seconds is taken to be waiting.

const STALLED_AFTER_MS = 3_000;

const stalls = {
  isStalled: false,
  /** Called when `isStalled` changes. */
  changed() {},
  /** Watches a request until it settles, and returns it. Any response ends the stall; an abort does not. */
  watch(request) {
    const timer = setTimeout(() => this.set(true), STALLED_AFTER_MS);
    const settled = () => clearTimeout(timer);
    request.then(() => { settled(); this.set(false); }, settled);
    return request;
  },
  set(isStalled) {
    if (this.isStalled === isStalled) return;
    this.isStalled = isStalled;
    this.changed();
  },
  get explanation() {
    const [page] = performance.getEntriesByType("navigation");
    const seconds = `A request has had no response for ${STALLED_AFTER_MS / 1_000} s.`;
    if (page?.nextHopProtocol !== "http/1.1") return `${seconds} The server or the network is slow.`;
    return `${seconds} It is probably waiting for a connection: over HTTP/1.1 a browser opens at most six to a server, and each stream in any of its tabs holds one. Close other tabs that hold streams of this server, or serve Runnel over HTTP/2.`;
  },
};
