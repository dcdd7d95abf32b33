// The npm package eventsource. The argument holds the URL of the events and their types.
import { readFile } from "node:fs/promises";

const { events, types } = JSON.parse(process.argv[1]);
const [major, minor] = process.versions.node.split(".").map(Number);
const newest = major > 22 || (major === 22 && minor >= 12);
const name = newest ? "eventsource" : "eventsource-4";
const { version } = JSON.parse(await readFile(`node_modules/${name}/package.json`, "utf8"));
const { EventSource } = await import(name);

const report = (value) => console.log(JSON.stringify(value));
report({ client: `eventsource ${version} on Node.js ${process.versions.node}` });
// From version 5 on, a pending reconnect does not keep the process alive.
const alive = setInterval(() => {}, 60_000);
const source = new EventSource(events);
source.onopen = () => report("open");
source.onerror = (error) => {
  if (source.readyState === EventSource.CLOSED) {
    report({ stopped: `readyState ${source.readyState} by a ${error.code}` });
    clearInterval(alive);
  }
};
for (const type of types) {
  source.addEventListener(type, ({ type, data, lastEventId }) => {
    report({ event: { id: lastEventId, type, data } });
  });
}
