// Opens a page in headless Chromium and subscribes in it. The argument holds the path of Chromium, the URLs
// of the page and of the events, the event types, and the client.
import { readFile } from "node:fs/promises";

const { executable, page: address, events, types, client } = JSON.parse(process.argv[1]);

// The clients run in the page.
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

  async library({ events, sendsDispatchedId }) {
    const modules = "/modules/@microsoft/fetch-event-source/lib/esm/index.js";
    const { fetchEventSource } = await import(modules);
    // The library sends an id as soon as it has read its line. This fetch sends the id of the last event
    // that was dispatched.
    let lastId;
    const fetchAfterDispatched = (input, init) => {
      const { "last-event-id": _, ...headers } = init.headers;
      return fetch(input, { ...init, headers: lastId ? { ...headers, "last-event-id": lastId } : headers });
    };
    const controller = new AbortController();
    await fetchEventSource(events, {
      signal: controller.signal,
      openWhenHidden: true,
      fetch: sendsDispatchedId ? fetchAfterDispatched : undefined,
      // By default, the library keeps reconnecting after a 204.
      async onopen(response) {
        if (response.status === 204) {
          report({ stopped: "onopen with a 204" });
          controller.abort();
        } else {
          report("open");
        }
      },
      onmessage({ id, event, data }) {
        lastId = id || lastId;
        report({ event: { id, type: event || "message", data } });
      },
      // By default, the library stops when a stream ends without an error.
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

const report = (value) => console.log(JSON.stringify(value));
const browser = await launch(executable);
report({ client: `${await names[client.name]()} in Chromium ${browser.version()}` });
const page = await browser.newPage();
page.on("pageerror", (error) => report({ failed: `in the page: ${error}` }));
let end;
const stopped = new Promise((resolve) => (end = resolve));
await page.exposeFunction("report", (value) => {
  report(value);
  if (value.stopped) {
    end();
  }
});
await page.goto(address);
await page.evaluate(clients[client.name], { events, types, sendsDispatchedId: client.sendsDispatchedId });
await stopped;
await browser.close();
