// Values that survive a reload. Browsers that disable storage throw on access; the values are then not kept.

// Several servers can share an origin, each below a path of its own.

const storagePrefix = `runnel${new URL(".", document.baseURI).pathname.slice(0, -1)}.`;

const storage = {
  read(area, key) {
    try { return window[area].getItem(storagePrefix + key) ?? ""; } catch { return ""; }
  },
  write(area, key, value) {
    try { window[area].setItem(storagePrefix + key, value); } catch { /* not kept */ }
  },
};
