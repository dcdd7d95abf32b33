// Reads an event stream (WHATWG HTML 9.2.5 and 9.2.6). Unlike EventSource it also tells of comments,
// which heartbeats are, and of reconnection times.

class FrameReader {
  #decoder = new TextDecoder();
  #rest = "";
  #endsInReturn = false;
  #id = "";
  #type = "";
  #data = [];

  /** `observer` has `comment(text)`, `retry(milliseconds)`, and, for each block that an empty line ends,
   * `event({ type, data, id })` if it has data, otherwise `position(id)`. */
  constructor(observer) {
    this.observer = observer;
  }

  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return;
    if (this.#endsInReturn && text.startsWith("\n")) text = text.slice(1);
    this.#endsInReturn = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === "") return this.#endOfBlock();
    const colon = line.indexOf(":");
    if (colon === 0) return this.observer.comment(line.slice(1).trim());
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.observer.retry(Number(value));
  }

  #endOfBlock() {
    const [id, type, data] = [this.#id, this.#type || "message", this.#data];
    [this.#type, this.#data] = ["", []];
    if (data.length > 0) this.observer.event({ type, data: data.join("\n"), id });
    else this.observer.position(id);
  }
}
