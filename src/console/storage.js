// Values that survive a reload. Browsers that disable storage throw on access; the values are then not kept.

const storage = {
  read(area, key) {
    try { return window[area].getItem(`runnel.${key}`) ?? ""; } catch { return ""; }
  },
  write(area, key, value) {
    try { window[area].setItem(`runnel.${key}`, value); } catch { /* not kept */ }
  },
};
