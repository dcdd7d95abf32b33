// Announcements for screen readers: at most one every three seconds. Events are counted, not read out.

const ANNOUNCE_EVERY_MS = 3_000;

const announcer = {
  text: "",
  events: 0,
  timer: 0,
  announce(text) {
    this.text = text;
    this.schedule();
  },
  countEvent() {
    this.events += 1;
    this.schedule();
  },
  schedule() {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      const arrivals = this.events ? `${pluralize(this.events, "event")} arrived.` : "";
      setText($("spoken"), [this.text, arrivals].filter(Boolean).join(" "));
      [this.text, this.events] = ["", 0];
    }, ANNOUNCE_EVERY_MS);
  },
};
