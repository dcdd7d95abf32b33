// The end of the module: plays the scenario.
await scenarios[scenario]();
await browser.close();
assert.deepEqual(complaints, []);
tell({ say: `${scenario}: played` });
