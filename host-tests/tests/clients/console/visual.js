// Themes, a narrow screen, the keyboard and accessibility.

const axe = await readFile("node_modules/axe-core/axe.min.js", "utf8");

/** Asserts that axe finds no violation of WCAG 2.2 AA. */
async function isAccessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  const descriptions = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(descriptions, []);
}

/** Publishes events of all kinds, some of them during a cut. */
async function fill(page, names) {
  const templates = ["Order", "Reading", "Greeting", "Log lines", "Markup", "Batch"];
  const publishTemplate = async (template) => {
    await page.getByRole("button", { name: template, exact: true }).click();
    if (names.length > 1) await page.selectOption("#target", names[template === "Reading" ? 1 : 0]);
    const before = await page.textContent("#outcome");
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await page.waitForFunction((before) => document.querySelector("#outcome").textContent !== before, before);
    await hasText(page, "#outcome", /^Stored/);
    await page.waitForTimeout(screenshots ? 500 : 0);
  };
  for (let i = 0; i < (screenshots ? 18 : 6); i++) await publishTemplate(templates[i % 6]);
  await page.click("#cut");
  for (let i = 0; i < 6; i++) await publishTemplate(templates[i % 3]);
  await page.click("#cut");
  await timelineShows(page, "none missing");
  for (let i = 0; i < 3; i++) await publishTemplate(templates[i]);
  await hasText(page, "#states li", /Events\d+/);
  await page.waitForTimeout(screenshots ? 1_500 : 300);
}

scenarios.appearance = async () => {
  const viewport = { width: 1280, height: 1080 };
  const light = await openPageWithToken(["orders", "sensors/hall"], { viewport, colorScheme: "light" });
  await isAccessible(light);
  await fill(light, ["orders", "sensors/hall"]);
  await isAccessible(light);
  await light.evaluate(() => document.activeElement.blur());
  await light.mouse.move(0, 0);
  await screenshot(light, "console");
  const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const white = await background(light);
  await light.selectOption("#theme", "dark");
  assert.notEqual(await background(light), white);
  await light.reload();
  assert.notEqual(await background(light), white, "the theme is not remembered");

  const dark = await openPageWithToken(["payments"], { viewport, colorScheme: "dark" });
  assert.notEqual(await background(dark), white);
  await isAccessible(dark);
  await fill(dark, ["payments"]);
  await isAccessible(dark);
  await screenshot(dark, "dark");
  await dark.click("#cut");
  await hasState(dark, "Cut");
  await isAccessible(dark);
};

scenarios.narrow = async () => {
  const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };
  const page = await openPageWithToken([channel("phone"), channel("another-channel-with-a-long-name")], phone);
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), 360);
  await page.evaluate(() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
    }).observe({ type: "layout-shift" });
  });
  await publish(new URL(page.url()).searchParams.get("channel"), [{ data: "x".repeat(3_000), event: "a-type-with-quite-a-long-name" }]);
  await hasEvents(page, 1);
  await page.locator("tr.event .data button").click();
  await fill(page, [...new URL(page.url()).searchParams.getAll("channel")]);
  assert.equal(await width(), 360);
  await isAccessible(page);
  await page.locator(".activity").scrollIntoViewIfNeeded();
  await screenshot(page, "phone");
  const shift = await page.evaluate(() => window.shift);
  assert.ok(shift < 0.1, `the layout shifts by ${shift}`);
};

scenarios.keyboard = async () => {
  const page = await openPage([channel("keys")]);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const tabTo = async (wanted) => {
    for (let i = 0; i < 60 && (await focused()) !== wanted; i++) await page.keyboard.press("Tab");
    assert.equal(await focused(), wanted);
  };
  await tabTo("token");
  await page.keyboard.type(token);
  await tabTo("Order");
  await page.keyboard.press("Enter");
  await tabTo("data");
  await page.keyboard.press("Control+Enter");
  await hasEvents(page, 1);
  await page.keyboard.press("Control+Enter");
  await hasEvents(page, 2);
  await page.keyboard.press("Tab");
  await page.keyboard.press("c");
  await hasState(page, "Cut");
  await page.keyboard.press("c");
  await hasState(page, "Connected");
  await page.keyboard.press("e");
  const newest = await focused();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.ariaExpanded), "true");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), newest);
  assert.equal(await page.evaluate(() => document.activeElement.ariaExpanded), "false");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  await isAccessible(page);
  await page.keyboard.press("Escape");
  await page.keyboard.press("w");
  assert.equal(await focused(), "channels");
  await page.keyboard.type("c");
  await hasState(page, "Connected");
};
