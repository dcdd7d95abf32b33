// Three charts of the last minute on one time axis: connection, events per second, lag. The columns are created
// once. Horizontal positions are percentages, so no layout has to be measured.

const COLUMN_HEIGHT = 48;
const STRIP_HEIGHT = 22;
const MEDIAN_HEIGHT = 3;

const percent = (value) => `${value.toFixed(2)}%`;
const timeToPercent = (at, now) => 100 - (now - at) / (10 * WINDOW_SECONDS);

/** Rounds up to 1, 2 or 5 times a power of ten; returns at least `minimum`. */
function roundUpToNiceNumber(value, minimum) {
  if (value <= minimum) return minimum;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((nice) => nice >= value);
}

function createChart(id, height) {
  const chart = $(id);
  setAttribute(chart, "height", height);
  for (const quarter of [25, 50, 75]) chart.append(svg("line", { class: "grid", x1: `${quarter}%`, x2: `${quarter}%`, y1: 0, y2: height }));
  return chart;
}

/** Creates one rectangle for each second. */
function createColumns(name) {
  const width = 100 / WINDOW_SECONDS;
  return Array.from({ length: WINDOW_SECONDS }, (_, i) =>
    svg("rect", { class: name, x: percent((i + 0.12) * width), width: percent(0.76 * width), y: 0, height: 0, rx: 1 }));
}

function setColumn(column, y, height) {
  setAttribute(column, "y", y.toFixed(1));
  setAttribute(column, "height", height.toFixed(1));
}

class Charts {
  #strip = svg("g");
  #live = createColumns("live");
  #replayed = createColumns("replayed");
  #ranges = createColumns("range");
  #medians = createColumns("median");

  constructor() {
    createChart("chart-connection", STRIP_HEIGHT).append(this.#strip);
    createChart("chart-rate", COLUMN_HEIGHT).append(...this.#live, ...this.#replayed);
    createChart("chart-lag", COLUMN_HEIGHT).append(...this.#ranges, ...this.#medians);
  }

  draw(statistics, now) {
    statistics.expire(now);
    const window = statistics.window(now);
    this.#drawConnection(statistics, now);
    this.#drawRate(window, statistics.rate(now));
    this.#drawLag(window, statistics.lags(now));
  }

  #drawConnection({ spans, marks, heartbeats }, now) {
    const nodes = spans.map(({ state, from }, i) => {
      const start = Math.max(0, timeToPercent(from, now)), end = spans[i + 1] ? timeToPercent(spans[i + 1].from, now) : 100;
      return svg("rect", { class: `span ${state}`, x: percent(start), width: percent(Math.max(0, end - start)), y: 1, height: STRIP_HEIGHT - 2, rx: 2 });
    });
    for (const { kind, at } of marks) {
      const x = percent(timeToPercent(at, now));
      nodes.push(kind === "heartbeat"
        ? svg("circle", { class: kind, cx: x, cy: STRIP_HEIGHT / 2, r: 3 })
        : svg("rect", { class: kind, x, width: 3, y: 0, height: STRIP_HEIGHT }));
    }
    this.#strip.replaceChildren(...nodes);
    const state = spans.at(-1)?.state ?? "idle";
    const gaps = marks.filter(({ kind }) => kind === "gap").length;
    setAttribute($("chart-connection"), "aria-label", `Connection in the last minute: now ${STATE_LABELS[state].toLowerCase()}; ${pluralize(heartbeats, "heartbeat")} in total; ${pluralize(gaps, "gap")} in the last minute.`);
  }

  #drawRate(window, rate) {
    const most = Math.max(...window.map(({ live, replayed }) => live + replayed));
    const top = roundUpToNiceNumber(most, 5);
    const height = (count) => (count ? Math.max(1.5, (count / top) * COLUMN_HEIGHT) : 0);
    window.forEach(({ live, replayed }, i) => {
      setColumn(this.#live[i], COLUMN_HEIGHT - height(live), height(live));
      setColumn(this.#replayed[i], COLUMN_HEIGHT - height(live) - height(replayed), height(replayed));
    });
    setText($("rate-top"), formatNumber(top));
    setAttribute($("chart-rate"), "aria-label", `Events per second: ${rate.toFixed(1)} now, at most ${formatNumber(most)} in the last minute.`);
  }

  #drawLag(window, lags) {
    const top = roundUpToNiceNumber(lags.at(-1) ?? 0, 10);
    const y = (lag) => (1 - lag / top) * (COLUMN_HEIGHT - MEDIAN_HEIGHT);
    window.forEach((second, i) => {
      const sorted = [...second.lags].sort((a, b) => a - b);
      if (sorted.length === 0) {
        setColumn(this.#ranges[i], 0, 0);
        setColumn(this.#medians[i], 0, 0);
        return;
      }
      const [least, median, most] = [0, 0.5, 1].map((share) => y(quantile(sorted, share)));
      setColumn(this.#ranges[i], most, least - most + MEDIAN_HEIGHT);
      setColumn(this.#medians[i], median, MEDIAN_HEIGHT);
    });
    setText($("lag-top"), formatDuration(top).replace(".0", ""));
    const summary = lags.length ? `median ${formatDuration(quantile(lags, 0.5))}, 95th percentile ${formatDuration(quantile(lags, 0.95))}` : "none measured";
    setAttribute($("chart-lag"), "aria-label", `Lag of events published from this page in the last minute: ${summary}.`);
  }
}
