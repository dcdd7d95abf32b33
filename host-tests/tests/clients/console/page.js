// Opens the console page in headless Chromium. The argument holds the path of Chromium, the origin and the
// tokens of the server, and the scenario. Any error of the page fails the scenario.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const { executable, origin, token, subscriberToken, scenario, screenshots } = JSON.parse(process.argv[1]);

/** Sends a message to the test: `{ print: text }` or `{ request: "restart" }`. */
const sendToTest = (message) => console.log(JSON.stringify(message));

const browser = await launch(executable);
const errors = [];

/** The scenarios, by name. */
const scenarios = {};

/** Returns a channel name that no other scenario uses, in this or an earlier run. */
const channel = (name) => `console/${name}-${crypto.randomUUID()}`;

/** Opens a page that watches these channels. Errors that match `expected` are allowed. */
async function openPage(channels, { expected = [], connected = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
  });
  const page = await context.newPage();
  const addError = (text) => expected.some((pattern) => pattern.test(text)) || errors.push(text);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && addError(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => addError(`thrown: ${error.stack}`));
  page.on("response", (response) => response.status() >= 400 && addError(`${response.status()}: ${response.url()}`));
  page.on("requestfailed", (request) => {
    const reason = request.failure().errorText;
    if (reason !== "net::ERR_ABORTED") addError(`failed: ${request.url()} ${reason}`);
  });
  await page.goto(`${origin}/?${new URLSearchParams(channels.map((name) => ["channel", name]))}`);
  if (connected) await hasState(page, "Connected");
  return page;
}

/** Opens a page and enters the publish token. */
async function openPageWithToken(channels, options) {
  const page = await openPage(channels, options);
  await page.fill("#token", token);
  return page;
}

const hasState = (page, name) => page.getByText(name, { exact: true }).and(page.locator("#state-name")).waitFor();

/** Waits until the text of the element is `expected`, or matches it. */
async function hasText(page, selector, expected) {
  const pattern = expected instanceof RegExp ? [expected.source, expected.flags] : null;
  const isExpected = ({ selector, expected, pattern }) => {
    const text = document.querySelector(selector)?.textContent ?? "";
    return pattern ? new RegExp(...pattern).test(text) : text === expected;
  };
  await page.waitForFunction(isExpected, { selector, expected, pattern }).catch(async () => {
    const now = await page.locator(selector).first().textContent();
    assert.fail(`the text of ${selector} is ${JSON.stringify(now)} and not ${expected}`);
  });
}

/** Publishes from outside the page, and returns the ids. */
async function publish(name, lines, query = "") {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/x-ndjson", accept: "application/json" };
  const body = lines.map((line) => JSON.stringify(line)).join("\n");
  const response = await fetch(`${origin}/publish/${name}${query}`, { method: "POST", headers, body });
  assert.equal(response.status, 201);
  const { first, count } = await response.json();
  const [epoch, seq] = first.split("-");
  return Array.from({ length: count }, (_, i) => `${epoch}-${Number(seq) + i}`);
}

async function manage(method, path) {
  const response = await fetch(`${origin}/${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  assert.equal(response.status, 204);
}

/** Returns the ids in the table, in order of arrival. */
const ids = async (page) => (await page.locator("tr.event td.id").allTextContents()).reverse();

const hasEvents = (page, count) => hasText(page, "#events", count.toLocaleString("en"));
const timelineShows = (page, text) => page.locator("#timeline li", { hasText: text }).first().waitFor();

async function screenshot(page, name) {
  if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png` });
}
