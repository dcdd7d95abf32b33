// The state of each watched channel. Reading it requires a token for publishing.

const REFRESH_EVERY_MS = 5_000;

class ChannelStates {
  #timer = 0;
  #latestRequest = 0;

  constructor(list, token) {
    Object.assign(this, { list, token, channels: [] });
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  watch(channels) {
    this.channels = channels;
    this.list.replaceChildren();
    this.refresh();
  }

  /** Refreshes after a delay, and then every five seconds while the page is visible. */
  refresh(delayMs = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetch(), delayMs);
  }

  async #fetch() {
    const request = (this.#latestRequest += 1);
    const { token } = this.token();
    $("states-hint").hidden = Boolean(token);
    if (!token) return this.list.replaceChildren();
    // Browsers log a 404 as an error, so channels without a log are not requested.
    const ends = await fetchLogEnds(this.channels, token);
    const states = await Promise.all(this.channels.map((channel, index) => (ends?.[index] ? fetchChannelState(channel, token) : null)));
    if (request !== this.#latestRequest) return;
    const isRefused = states.some((state) => state?.status === 401 || state?.status === 403);
    if (ends) this.list.replaceChildren(...this.channels.map((channel, index) => renderState(channel.name, states[index])));
    if (!document.hidden && !isRefused) this.refresh(REFRESH_EVERY_MS);
  }
}

function renderState(name, state) {
  const heading = element("h3", {}, name);
  if (!state) return element("li", {}, heading, element("p", { class: "muted" }, "Nothing has been published yet."));
  if (state.title) return element("li", {}, heading, element("p", { class: "bad" }, `${state.status || ""} ${state.title}`.trim()));
  if (state.closed) heading.append(element("span", { class: "closed" }, "closed"));
  const members = {
    Events: formatNumber(state.count),
    Size: formatBytes(state.bytes),
    Oldest: state.first ?? "–",
    Newest: state.last ?? "–",
    "Last publish": state.last_published_ms ? formatTime(new Date(state.last_published_ms)) : "–",
  };
  const list = element("dl");
  for (const [term, value] of Object.entries(members)) list.append(element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("li", {}, heading, list);
}
