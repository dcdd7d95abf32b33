// An event server with better-sse: channels in memory, a history that is replayed by Last-Event-ID.
// It has Runnel's paths: GET /events/{channel}, POST /publish/{channel} with a batch in NDJSON.

import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const KEPT = 25_000;
const KEEP_ALIVE_MS = 15_000;
const OPTIONS = { serializer: (data) => data, keepAlive: KEEP_ALIVE_MS };

/** The events of a channel, of which the first has the id `first`. */
class Log {
  channel = createChannel();
  events = [];
  first = 1;

  publish(data) {
    const id = this.first + this.events.push(data) - 1;
    this.channel.broadcast(data, "message", { eventId: String(id) });
    if (this.events.length >= 2 * KEPT) {
      this.events.splice(0, KEPT);
      this.first += KEPT;
    }
  }

  /** Replays what follows the session's last event ID in one write, then goes live. */
  async follow(session) {
    const next = session.lastId === "" ? Infinity : Number(session.lastId) + 1;
    const replayed = session.batch((buffer) => {
      for (let at = Math.max(next - this.first, 0); at < this.events.length; at++) {
        buffer.push(this.events[at], "message", String(this.first + at));
      }
    });
    // In the same turn, so that nothing can be published in between.
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
