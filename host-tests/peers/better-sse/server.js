// An event server with better-sse: channels in memory, with a history that Last-Event-ID replays.
// Its paths are Runnel's: GET /events/{channel}, and POST /publish/{channel} with a batch in NDJSON.

import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const RETENTION = 25_000;
const KEEP_ALIVE_MS = 15_000;
const OPTIONS = { serializer: (data) => data, keepAlive: KEEP_ALIVE_MS };

/** The events of a channel. `first` is the id of the first one. */
class Log {
  channel = createChannel();
  events = [];
  first = 1;

  publish(data) {
    const id = this.first + this.events.push(data) - 1;
    this.channel.broadcast(data, "message", { eventId: String(id) });
    if (this.events.length >= 2 * RETENTION) {
      this.events.splice(0, RETENTION);
      this.first += RETENTION;
    }
  }

  /** Replays what follows the session's last event ID in one write, then goes live. */
  async follow(session) {
    const next = session.lastId === "" ? Infinity : Number(session.lastId) + 1;
    const replayed = session.batch((buffer) => {
      for (let index = Math.max(next - this.first, 0); index < this.events.length; index++) {
        buffer.push(this.events[index], "message", String(this.first + index));
      }
    });
    // In the same turn of the event loop, so that no event can be published in between.
    this.channel.register(session);
    await replayed;
  }
}

const logs = new Map();

function log(name) {
  if (!logs.has(name)) logs.set(name, new Log());
  return logs.get(name);
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const server = createServer(async (request, response) => {
  const [, route, name] = request.url.split("/");
  if (route === "events") {
    await log(name).follow(await createSession(request, response, OPTIONS));
  } else {
    for (const line of (await body(request)).split("\n")) {
      if (line !== "") log(name).publish(JSON.parse(line).data);
    }
    response.writeHead(201, { "content-length": 0 }).end();
  }
});
server.keepAliveTimeout = 0;
server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
