// The end of the module: runs the scenario.
await scenarios[scenario]();
await browser.close();
assert.deepEqual(errors, []);
sendToTest({ print: `${scenario}: passed` });
