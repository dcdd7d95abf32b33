// The state of each watched channel. It needs a token for publishing.

const REFRESH_MS = 5_000;

class ChannelStates {
  #timer = 0;
  #round = 0;

  constructor(body, token) {
    Object.assign(this, { body, token, channels: [] });
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  watch(channels) {
    this.channels = channels;
    this.body.replaceChildren();
    this.refresh();
  }

  /** Asks soon, and then every five seconds while the page is seen. */
  refresh(delay = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), delay);
  }

  async #ask() {
    const round = (this.#round += 1);
    const { token } = this.token();
    const hint = $("states-hint");
    hint.hidden = Boolean(token);
    if (!token) return this.body.replaceChildren();
    // A channel that does not exist is not asked for: the answer would be an error on the browser's console.
    const tips = await readTips(this.channels, token);
    const states = await Promise.all(this.channels.map((channel, place) => (tips?.[place] ? channelState(channel, token) : null)));
    if (round !== this.#round) return;
    const isRefused = states.some((state) => state?.status === 401 || state?.status === 403);
    if (tips) this.body.replaceChildren(...this.channels.map((channel, place) => renderState(channel.name, states[place])));
    if (!document.hidden && !isRefused) this.refresh(REFRESH_MS);
  }
}

function renderState(name, state) {
  const head = element("h3", {}, name);
  if (!state) return element("li", {}, head, element("p", { class: "quiet" }, "Nothing was published yet."));
  if (state.title) return element("li", {}, head, element("p", { class: "bad" }, `${state.status || ""} ${state.title}`.trim()));
  if (state.closed) head.append(element("span", { class: "closed" }, "closed"));
  const figures = { Events: number(state.count), Size: bytesText(state.bytes), Oldest: state.first ?? "–", Newest: state.last ?? "–", At: state.last_published_ms ? clockText(new Date(state.last_published_ms)) : "–" };
  const list = element("dl");
  for (const [term, value] of Object.entries(figures)) list.append(element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("li", {}, head, list);
}
