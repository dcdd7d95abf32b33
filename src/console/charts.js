// Three charts of the last minute over one axis of time: the connection, events a second, lag. Elements are
// made once where their number is fixed; places are in percent, so that nothing is measured.

const left = (at, now) => 100 - (now - at) / (10 * WINDOW_S);
const percent = (value) => `${value.toFixed(2)}%`;

/** 1, 2 or 5 times a power of ten, not below `value`. */
function niceCeiling(value, least) {
  if (value <= least) return least;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((nice) => nice >= value);
}

function chart(id, height) {
  const root = $(id);
  setAttribute(root, "height", height);
  for (const quarter of [25, 50, 75]) root.append(svg("line", { class: "grid", x1: `${quarter}%`, x2: `${quarter}%`, y1: 0, y2: height }));
  return root;
}

const BAR_HEIGHT = 48;
const LAG_HEIGHT = 48;
const STRIP_HEIGHT = 22;
const SLOT = 100 / WINDOW_S;

class Charts {
  constructor() {
    this.strip = svg("g");
    chart("chart-connection", STRIP_HEIGHT).append(this.strip);
    const bars = chart("chart-rate", BAR_HEIGHT), lags = chart("chart-lag", LAG_HEIGHT);
    const slots = Array.from({ length: WINDOW_S }, (_, i) => ({ x: percent(i * SLOT + SLOT * 0.12), width: percent(SLOT * 0.76) }));
    this.bars = slots.map((place) => ["live", "replayed"].map((name) => svg("rect", { class: name, ...place, y: 0, height: 0, rx: 1 })));
    this.ranges = slots.map((place) => svg("rect", { class: "range", ...place, y: 0, height: 0, rx: 1 }));
    this.medians = slots.map((place) => svg("rect", { class: "median", ...place, y: 0, height: 0, rx: 1 }));
    bars.append(...this.bars.flat());
    lags.append(...this.ranges, ...this.medians);
  }

  draw(figures, now) {
    figures.forget(now);
    this.#drawStrip(figures, now);
    const window = figures.window(now);
    this.#drawRate(window, figures.rate(now));
    this.#drawLag(window, figures.lags(now));
  }

  #drawStrip({ spans, marks, heartbeats }, now) {
    const nodes = spans.map(({ state, from }, i) => {
      const start = Math.max(0, left(from, now)), end = spans[i + 1] ? left(spans[i + 1].from, now) : 100;
      return svg("rect", { class: `span ${state}`, x: percent(start), width: percent(Math.max(0, end - start)), y: 1, height: STRIP_HEIGHT - 2, rx: 2 });
    });
    for (const { kind, at } of marks) {
      const shape = kind === "heartbeat" ? svg("circle", { cx: percent(left(at, now)), cy: STRIP_HEIGHT / 2, r: 3 }) : svg("rect", { x: percent(left(at, now)), width: 3, y: 0, height: STRIP_HEIGHT });
      shape.setAttribute("class", kind);
      nodes.push(shape);
    }
    this.strip.replaceChildren(...nodes);
    const state = spans.at(-1)?.state ?? "idle";
    const gaps = marks.filter(({ kind }) => kind === "gap").length;
    setAttribute($("chart-connection"), "aria-label", `Connection in the last minute: now ${STATE_NAMES[state].toLowerCase()}; ${plural(heartbeats, "heartbeat")} so far; ${plural(gaps, "gap")} in the last minute.`);
  }

  #drawRate(window, rate) {
    const most = Math.max(...window.map(({ live, replayed }) => live + replayed));
    const top = niceCeiling(most, 5);
    window.forEach(({ live, replayed }, i) => {
      const heights = [live, replayed].map((count) => (count ? Math.max(1.5, (count / top) * BAR_HEIGHT) : 0));
      let y = BAR_HEIGHT;
      heights.forEach((height, part) => {
        y -= height;
        setAttribute(this.bars[i][part], "y", y.toFixed(1));
        setAttribute(this.bars[i][part], "height", height.toFixed(1));
      });
    });
    setText($("rate-top"), number(top));
    setAttribute($("chart-rate"), "aria-label", `Events a second: ${rate.toFixed(1)} now, at most ${number(most)} in the last minute.`);
  }

  #drawLag(window, lags) {
    const top = niceCeiling(lags.at(-1) ?? 0, 10);
    window.forEach((second, i) => {
      const sorted = [...second.lags].sort((a, b) => a - b);
      const place = (lag) => LAG_HEIGHT - 3 - (lag / top) * (LAG_HEIGHT - 3);
      const [low, middle, high] = sorted.length ? [0, 0.5, 1].map((share) => place(quantile(sorted, share))) : [0, 0, -3];
      setAttribute(this.ranges[i], "y", high.toFixed(1));
      setAttribute(this.ranges[i], "height", sorted.length ? (low - high + 3).toFixed(1) : 0);
      setAttribute(this.medians[i], "y", middle.toFixed(1));
      setAttribute(this.medians[i], "height", sorted.length ? 3 : 0);
    });
    setText($("lag-top"), durationText(top).replace(".0", ""));
    const words = lags.length ? `median ${durationText(quantile(lags, 0.5))}, 95th percentile ${durationText(quantile(lags, 0.95))}` : "none measured";
    setAttribute($("chart-lag"), "aria-label", `Lag of events published from this page, last minute: ${words}.`);
  }
}
