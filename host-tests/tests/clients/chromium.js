// Opens a page in headless Chromium and subscribes in it. The argument says which Chromium and which
// page, where the events are and of which types, and with what to subscribe.
import { readFile } from "node:fs/promises";

const { executable, page: address, events, types, client } = JSON.parse(process.argv[1]);

// What follows runs in the page.
const clients = {
  async native({ events, types }) {
    const source = new EventSource(events);
    source.onopen = () => report("open");
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        report({ stopped: `readyState ${source.readyState}` });
      }
    };
    for (const type of types) {
      source.addEventListener(type, ({ type, data, lastEventId }) => {
        report({ event: { id: lastEventId, type, data } });
      });
    }
  },

  async library({ events, guarded }) {
    const modules = "/modules/@microsoft/fetch-event-source/lib/esm/index.js";
    const { fetchEventSource } = await import(modules);
    // The library takes an id for had as soon as it has read its line. This takes it for had when the
    // event has been handed on.
    let had;
    const fetchAfterHad = (input, init) => {
      const { "last-event-id": _, ...headers } = init.headers;
      return fetch(input, { ...init, headers: had ? { ...headers, "last-event-id": had } : headers });
    };
    const controller = new AbortController();
    await fetchEventSource(events, {
      signal: controller.signal,
      openWhenHidden: true,
      fetch: guarded ? fetchAfterHad : undefined,
      // Left to itself, the library asks again and again after a 204.
      async onopen(response) {
        if (response.status === 204) {
          report({ stopped: "onopen is given a 204" });
          controller.abort();
        } else {
          report("open");
        }
      },
      // It is also called for blocks that are no events: comments, and ids that the client has had, which
      // are sent without data.
      onmessage({ id, event, data }) {
        if (id && id !== had) {
          had = id;
          report({ event: { id, type: event || "message", data } });
        }
      },
      // Left to itself, the library is done when a stream ends as it should.
      onclose() {
        throw new Error("the stream has ended");
      },
    });
  },
};

const names = {
  native: async () => "EventSource",
  library: async () => {
    const name = "@microsoft/fetch-event-source";
    const { version } = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
    return `${name} ${version}`;
  },
};

const report = (what) => console.log(JSON.stringify(what));
const browser = await launch(executable);
report({ client: `${await names[client.name]()} in Chromium ${browser.version()}` });
const page = await browser.newPage();
page.on("pageerror", (error) => report({ failed: `in the page: ${error}` }));
let end;
const stopped = new Promise((resolve) => (end = resolve));
await page.exposeFunction("report", (what) => {
  report(what);
  if (what.stopped) {
    end();
  }
});
await page.goto(address);
await page.evaluate(clients[client.name], { events, types, guarded: client.guarded });
await stopped;
await browser.close();
