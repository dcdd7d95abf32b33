// Visits the console page in headless Chromium. The argument says which Chromium, where the server is and
// its token, and which scenario to play. Whatever the page complains of fails the scenario.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const { executable, origin, token, subscriberToken, scenario, pictures } = JSON.parse(process.argv[1]);

/** Tells the test: `{ say: text }`, or `{ ask: "restart" }`. */
const tell = (what) => console.log(JSON.stringify(what));

const browser = await launch(executable);
const complaints = [];

/** The scenarios, by name. */
const scenarios = {};

/** A name that no other scenario uses, now or on an earlier day. */
const channel = (name) => `console/${name}-${crypto.randomUUID()}`;

/** A page that watches these channels and is connected. `expected` are complaints that have to be. */
async function visit(channels, { expected = [], connected = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
  });
  const page = await context.newPage();
  const complain = (text) => expected.some((pattern) => pattern.test(text)) || complaints.push(text);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complain(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complain(`thrown: ${error.stack}`));
  page.on("response", (response) => response.status() >= 400 && complain(`${response.status()}: ${response.url()}`));
  page.on("requestfailed", (request) => {
    const reason = request.failure().errorText;
    if (reason !== "net::ERR_ABORTED") complain(`failed: ${request.url()} ${reason}`);
  });
  await page.goto(`${origin}/?${new URLSearchParams(channels.map((name) => ["channel", name]))}`);
  if (connected) await state(page, "Connected");
  return page;
}

/** A page that has been given the publish token. */
async function visitAsPublisher(channels, options) {
  const page = await visit(channels, options);
  await page.fill("#token", token);
  return page;
}

const state = (page, name) => page.getByText(name, { exact: true }).and(page.locator("#state-name")).waitFor();

/** Waits until the element says just this, or something that matches. */
async function says(page, selector, expected) {
  const pattern = expected instanceof RegExp ? [expected.source, expected.flags] : null;
  const arrived = ({ selector, expected, pattern }) => {
    const text = document.querySelector(selector)?.textContent ?? "";
    return pattern ? new RegExp(...pattern).test(text) : text === expected;
  };
  await page.waitForFunction(arrived, { selector, expected, pattern }).catch(async () => {
    const now = await page.locator(selector).first().textContent();
    assert.fail(`${selector} says ${JSON.stringify(now)} and not ${expected}`);
  });
}

/** Publishes from outside the page; the ids. */
async function publish(name, lines, query = "") {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/x-ndjson", accept: "application/json" };
  const body = lines.map((line) => JSON.stringify(line)).join("\n");
  const answer = await fetch(`${origin}/publish/${name}${query}`, { method: "POST", headers, body });
  assert.equal(answer.status, 201);
  const { first, count } = await answer.json();
  const [epoch, seq] = first.split("-");
  return Array.from({ length: count }, (_, i) => `${epoch}-${Number(seq) + i}`);
}

async function ask(method, path) {
  const answer = await fetch(`${origin}/${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  assert.equal(answer.status, 204);
}

/** The ids in the table, as they came. */
const ids = async (page) => (await page.locator("tr.event td.id").allTextContents()).reverse();

const has = (page, count) => says(page, "#events", count.toLocaleString("en"));
const timelineHas = (page, text) => page.locator("#timeline li", { hasText: text }).first().waitFor();

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` });
}
