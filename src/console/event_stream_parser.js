// A parser for event streams (WHATWG HTML 9.2.5 and 9.2.6). Unlike EventSource it also reports comments, which
// serve as heartbeats, and reconnection times.

class EventStreamParser {
  #decoder = new TextDecoder();
  #partialLine = "";
  #endsInCarriageReturn = false;
  #id = "";
  #type = "";
  #data = [];

  /** Calls `comment(text)` and `retry(milliseconds)` of the observer, and `event({ type, data, id })` at the end
   * of each block that has data, as all of this server's do. */
  constructor(observer) {
    this.observer = observer;
  }

  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return;
    if (this.#endsInCarriageReturn && text.startsWith("\n")) text = text.slice(1);
    this.#endsInCarriageReturn = text.endsWith("\r");
    const lines = (this.#partialLine + text).split(/\r\n|\r|\n/);
    this.#partialLine = lines.pop();
    for (const line of lines) this.#processLine(line);
  }

  #processLine(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return this.observer.comment(line.slice(1).trim());
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.observer.retry(Number(value));
  }

  #dispatch() {
    const [id, type, data] = [this.#id, this.#type || "message", this.#data];
    [this.#type, this.#data] = ["", []];
    if (data.length > 0) this.observer.event({ type, data: data.join("\n"), id });
  }
}
