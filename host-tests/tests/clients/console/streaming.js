// Several channels, reconnects and replays.

scenarios.several_channels = async () => {
  const names = ["a", "b", "c"].map(channel);
  const page = await openPage(names);
  const expected = [];
  for (const round of [1, 2]) {
    for (const name of names) {
      const [id] = await publish(name, [{ data: { round } }]);
      expected.push([name, id]);
      await hasEvents(page, expected.length);
    }
  }
  const shown = [await page.locator("tr.event .channel").allTextContents(), await ids(page)];
  assert.deepEqual(shown[0].reverse().map((name, i) => [name, shown[1][i]]), expected);
  assert.deepEqual(await page.locator("#target option").allTextContents(), names);
};

scenarios.cut_and_replay = async () => {
  const [one, other] = ["one", "other"].map(channel);
  const page = await openPageWithToken([one]);
  for (let i = 1; i <= 3; i++) {
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await hasEvents(page, i);
  }
  await page.click("#cut");
  await hasState(page, "Cut");
  for (let i = 0; i < 5; i++) {
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await hasText(page, "#outcome", new RegExp(`-${4 + i} in `));
  }
  const last = (await publish(one, [{ data: "from elsewhere" }, { data: "and again" }])).at(-1);
  await hasText(page, "#reason", /^7 missed events so far/);
  await hasEvents(page, 3);
  await screenshot(page, "cut");
  await page.click("#cut");
  await hasText(page, "tr.caught-up .text", /^Caught up: 7 events replayed in .*, none missing$/);
  await hasEvents(page, 10);
  const epoch = last.split("-")[0];
  assert.deepEqual(await ids(page), Array.from({ length: 10 }, (_, i) => `${epoch}-${i + 1}`));
  assert.equal(await page.locator("tr.event.replayed").count(), 7);
  await hasText(page, "#replayed", "7");
  await publish(one, [{ data: "live again" }]);
  await hasEvents(page, 11);
  assert.equal(await page.locator("tr.event.replayed").count(), 7);

  // The same over two channels.
  await page.fill("#channels", `${one} ${other}`);
  await page.getByRole("button", { name: "Watch", exact: true }).click();
  await hasState(page, "Connected");
  await publish(one, [{ data: 12 }]);
  await hasEvents(page, 1);
  await page.click("#cut");
  await hasState(page, "Cut");
  const missed = [await publish(one, [{ data: 13 }, { data: 14 }]), await publish(other, [{ data: 1 }])];
  await page.click("#cut");
  await hasText(page, "tr.caught-up .text", /^Caught up: 3 events replayed in .*, none missing$/);
  assert.deepEqual((await ids(page)).slice(1).sort(), missed.flat().sort());
};

scenarios.purge_while_cut = async () => {
  const name = channel("purged");
  const page = await openPage([name]);
  await publish(name, [{ data: "old" }, { data: "old" }]);
  await hasEvents(page, 2);
  await page.click("#cut");
  await manage("DELETE", `channels/${name}`);
  const [id] = await publish(name, [{ data: "new" }]);
  await page.click("#cut");
  await timelineShows(page, `Gap in ${name}: the last event ID belongs to a different log`);
  await hasEvents(page, 3);
  assert.equal((await ids(page)).at(-1), id);
  await timelineShows(page, "1 event replayed");
  assert.equal(await page.getByText("none missing").count(), 0);
  await manage("POST", `channels/${name}/close`);
  await hasState(page, "Ended");
};

scenarios.restart = async () => {
  const name = channel("restart");
  const page = await openPage([name], { expected: [/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/] });
  await publish(name, [{ data: 1 }, { data: 2 }]);
  await hasEvents(page, 2);
  sendToTest({ request: "restart" });
  await timelineShows(page, "Connection lost; reconnecting in");
  await timelineShows(page, "Reconnected");
  await hasState(page, "Connected");
  const [last] = await publish(name, [{ data: 3 }]);
  await hasEvents(page, 3);
  assert.deepEqual(await ids(page), [1, 2, 3].map((seq) => `${last.split("-")[0]}-${seq}`));
  assert.ok(Number(await page.textContent("#reconnects")) >= 1);
};

scenarios.burst = async () => {
  const name = channel("burst");
  const page = await openPage([name]);
  await page.evaluate(() => {
    window.longest = 0;
    let last = performance.now();
    const beat = (now) => {
      window.longest = Math.max(window.longest, now - last);
      last = now;
      requestAnimationFrame(beat);
    };
    requestAnimationFrame(beat);
  });
  let last;
  for (let batch = 0; batch < 20; batch++) {
    const lines = Array.from({ length: 500 }, (_, i) => ({ event: "burst", data: { number: batch * 500 + i + 1, text: "x".repeat(40) } }));
    last = (await publish(name, lines)).at(-1);
  }
  await hasEvents(page, 10_000);
  await hasText(page, "tr.event td.id", last);
  assert.equal(await page.locator("#rows tr").count(), 300);
  await hasText(page, "#dropped", /9,700 older rows/);
  const live = await page.evaluate(() => window.longest);

  // And all of it again at once, as a replay.
  await page.selectOption("#start", "earliest");
  await page.getByRole("button", { name: "Watch", exact: true }).click();
  await hasEvents(page, 10_000);
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(nodes < 6_000, `${nodes} elements`);
  const longest = await page.evaluate(() => window.longest);
  sendToTest({ print: `console: 10 000 events, the longest frame took ${Math.round(live)} ms live and ${Math.round(longest)} ms with their replay; ${nodes} elements` });
};

scenarios.six_connections = async () => {
  const name = channel("six");
  const page = await openPageWithToken([name]);
  // Another tab holds as many streams as the browser has connections to the server, and queues one more.
  const other = await page.context().newPage();
  await other.goto(`${origin}/health/live`);
  const open = await other.evaluate(async (url) => {
    const streams = Array.from({ length: 7 }, () => new EventSource(url));
    const isOpen = ({ readyState }) => readyState === EventSource.OPEN;
    while (streams.filter(isOpen).length < 5) await new Promise((resolve) => setTimeout(resolve, 20));
    return streams.filter(isOpen).length;
  }, `${origin}/events/${channel("elsewhere")}`);
  assert.equal(open, 5, "the console holds the sixth connection");
  await page.bringToFront();
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await hasText(page, "#stalled", /six to a server.*HTTP\/2\.$/);
  await page.locator("#stalled").waitFor({ state: "visible" });
  await timelineShows(page, "waiting without a response");
  await isAccessible(page);
  await screenshot(page, "stalled");
  // The connection of the console goes to the queue, and its next stream waits too.
  await page.click("#cut");
  await page.click("#cut");
  await hasState(page, "Connecting");
  await other.close();
  await hasState(page, "Connected");
  await hasText(page, "#outcome", /^Stored/);
  await page.locator("#stalled").waitFor({ state: "hidden" });
  await publish(name, [{ data: "arrives" }]);
  await page.locator("tr.event .data", { hasText: "arrives" }).waitFor();
};

scenarios.slow_server = async () => {
  const page = await openPageWithToken([channel("slow")]);
  await page.route("**/publish/**", async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    await route.continue();
  });
  await page.getByRole("button", { name: "Publish", exact: true }).click();
  await page.locator("#stalled").waitFor({ state: "visible" });
  await hasText(page, "#outcome", /^Stored/);
  await page.locator("#stalled").waitFor({ state: "hidden" });
};
