// Publishing with the page, from the first click to all kinds of events.

scenarios.first_event = async () => {
  const name = channel("first");
  const page = await openPage([name]);
  await page.click("#first");
  await hasText(page, "#token-error", /Paste the publish token/);
  assert.equal(await page.evaluate(() => document.activeElement.id), "token");
  await page.keyboard.type(token);
  await page.click("#first");
  await hasEvents(page, 1);
  const row = page.locator("tr.event");
  assert.equal(await row.locator(".type").textContent(), "greeting");
  assert.equal(await row.locator(".data").textContent(), '{"hello": "world"}');
  assert.equal(await row.locator(".size").textContent(), "18 B");
  await hasText(page, "tr.event .lag", /^[\d.]+ m?s$/);
  await hasText(page, "#lag", /^[\d.]+ m?s$/);
  const [id] = await ids(page);
  await hasText(page, "#outcome", new RegExp(`^Stored in ${name} as ${id} in `));
  await hasText(page, "#states li", new RegExp(`Events1Size\\d+ BOldest${id}Newest${id}`));
  await timelineShows(page, "Connected");
  await timelineShows(page, "eartbeat");
  assert.ok((await page.locator("#chart-lag").getAttribute("aria-label")).includes("median"));
  assert.ok(!page.url().includes(token));
  // The announcement to screen readers.
  await hasText(page, "#spoken", /\b1 event arrived\.$/);
};

scenarios.templates = async () => {
  const page = await openPageWithToken([channel("templates")]);
  const templates = await page.locator(".chip").allTextContents();
  assert.ok(templates.length >= 5);
  let events = 0;
  for (const template of templates) {
    await page.getByRole("button", { name: template, exact: true }).click();
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    events += template === "Batch" ? 3 : 1;
    await hasEvents(page, events);
    const data = await page.inputValue("#data");
    if (template !== "Batch") assert.equal(await page.locator("tr.event .data").first().textContent(), data);
  }
  assert.equal(await page.locator("tr.event", { hasText: "step" }).count(), 3);
  await page.getByRole("button", { name: "Greeting" }).click();
  await page.click("#ten");
  await hasEvents(page, events + 10);
  await page.click("#repeat");
  await hasEvents(page, events + 12);
  await page.click("#repeat");
  await page.fill("#data", "{");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await hasText(page, "#data-error", /^Not JSON/);
};

scenarios.markup = async () => {
  const name = channel("markup");
  const page = await openPage([name]);
  const texts = [
    '<img src=x onerror="window.ran = true">',
    "</script><script>window.ran = true</script>",
    "<style>body { display: none }</style>&lt;b&gt;",
    '"><svg onload=alert(1)>',
    "two\nlines\u2028\u202e",
  ];
  await publish(name, texts.map((data) => ({ data, event: data.slice(0, 20).replace("\n", " ") })));
  await hasEvents(page, texts.length);
  const data = await page.locator("tr.event .data").allTextContents();
  assert.deepEqual(data.reverse(), texts);
  const first = page.locator("tr.event .data button").last();
  await first.click();
  assert.equal(await first.getAttribute("aria-expanded"), "true");
  assert.equal(await first.textContent(), texts[0]);
  assert.equal(await page.locator("#rows :is(img, script, style, svg)").count(), 0);
  assert.equal(await page.evaluate(() => window.ran), undefined);
};

scenarios.wrong_token = async () => {
  const page = await openPage([channel("wrong")], { expected: [/\b401\b/] });
  await page.fill("#token", "wrong");
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await hasText(page, "#outcome", /^401 /);
  await hasText(page, "#token-error", /rejected this token/);
  assert.equal(await page.getAttribute("#token", "aria-invalid"), "true");
  await page.fill("#token", token);
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await hasEvents(page, 1);
  await hasText(page, "#token-error", "");
};

scenarios.subscriber_token = async () => {
  const name = channel("private");
  const page = await openPage([name], { connected: false, expected: [/\b401\b/] });
  await hasState(page, "Refused");
  await hasText(page, "#reason", /^401 /);
  await timelineShows(page, "Refused: 401");
  await page.fill("#subscriber-token", subscriberToken);
  await page.getByRole("button", { name: "Watch", exact: true }).click();
  await hasState(page, "Connected");
  await publish(name, [{ data: "secret" }]);
  await hasEvents(page, 1);
  await hasText(page, "#snippet-curl", /\$RUNNEL_TOKEN/);
  const text = await page.content();
  assert.ok(!text.includes(subscriberToken) && !page.url().includes(subscriberToken));
};

scenarios.mounted = async () => {
  const name = channel("mounted");
  const page = await openPageWithToken([name]);
  const requested = [];
  page.on("request", (request) => requested.push(request.url()));
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await hasEvents(page, 1);
  await hasText(page, "#states li", /Events1/);
  assert.ok(requested.length >= 3);
  assert.deepEqual(requested.filter((url) => !url.startsWith(`${origin}/`)), []);
  for (const id of ["#snippet-curl", "#snippet-script", "#snippet-publish"]) {
    const urls = (await page.textContent(id)).match(/http[^'"]*/g);
    assert.deepEqual(urls.filter((url) => !url.startsWith(`${origin}/`)), [], id);
  }
  // Without the slash at its end, the address leads to the same page.
  await page.goto(`${origin}?channel=${name}`);
  await hasState(page, "Connected");
  assert.equal(page.url(), `${origin}/?channel=${encodeURIComponent(name)}`);
  // The token is kept for this server, and not for another one of the same origin.
  assert.equal(await page.inputValue("#token"), token);
  const keys = await page.evaluate(() => Object.keys(sessionStorage));
  assert.deepEqual(keys, [`runnel${new URL(origin).pathname}.token`]);
};
