/* Sends what happens in a shop's pages to its collector, once the visitor agreed; nothing is stored or sent before.
   An event keeps its id until it is acknowledged, so sending it twice counts once. */
(() => {
  "use strict";
  const PREFIX = "purchase-prediction:", LIMIT = 200, BATCH = 50, FIRST_MS = 1000, LONGEST_MS = 300000;
  const source = (document.currentScript || {}).src || "";
  let options = {}, agreed = false, busy = false, wait = FIRST_MS, timer = 0, stop = null, store = {};
  const beaconed = new Set();
  try { store = window.localStorage || store; } catch (refused) { /* then for this page only */ }

  const warn = (what, why) => console.warn("purchasePrediction:", what, why);
  const kept = () => Object.keys(store).filter((key) => key.startsWith(PREFIX)).sort();
  const forget = (keys) => keys.forEach((key) => delete store[key]);
  const bodyOf = (keys) => "[" + keys.map((key) => store[key]).join(",") + "]";
  const hex = (byte) => byte.toString(16).padStart(2, "0");
  const newId = () => crypto.randomUUID ? crypto.randomUUID()  // missing in pages without https
    : Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");

  function later(ms) { clearTimeout(timer); timer = setTimeout(send, ms); }

  function retry(seconds) {
    later(seconds > 0 ? seconds * 1000 * (1 + Math.random() / 4) : wait * (0.5 + Math.random()));  // not all pages at once
    wait = Math.min(2 * wait, LONGEST_MS);
  }

  async function settle(keys, answer) {
    if (answer.status >= 500 || answer.status === 429) { return retry(answer.headers.get("Retry-After")); }
    const said = await answer.json().catch(() => ({}));  // a proxy may answer too
    forget(keys);
    if (answer.status !== 202) { warn("dropped " + keys.length + " events", said.detail); }
    (said.events || []).filter((one) => one.reason).forEach((one) => warn(one.event_id, one.reason));
    wait = FIRST_MS;
    later(0);
  }

  async function send() {
    const keys = kept().slice(0, BATCH);
    if (!agreed || !options.key || busy || !keys.length) { return; }
    busy = true;
    stop = new AbortController();
    try {
      await settle(keys, await fetch(options.url + "/events", {
        method: "POST", body: bodyOf(keys), keepalive: true, credentials: "omit", signal: stop.signal,
        headers: { "Content-Type": "application/json", "X-API-Key": options.key }
      }));
    } catch (offline) { retry(0); }
    busy = false;
  }

  // A closing page learns no answer: what it sends stays stored, and the next page sends it again, a duplicate.
  function beacon() {
    const keys = kept().filter((key) => !beaconed.has(key)).slice(0, BATCH);
    const url = options.url + "/events?key=" + encodeURIComponent(options.key);
    if (agreed && options.key && keys.length && navigator.sendBeacon(url, bodyOf(keys))) { keys.forEach((key) => beaconed.add(key)); }
  }

  function record(type, fields) {
    if (!agreed) { return; }
    const event = { event_id: newId(), occurred_at: new Date().toISOString(), quantity: 1,
      ...options.defaults, ...fields, event_type: type };
    try {
      forget(kept().slice(0, 1 - LIMIT));
      store[PREFIX + event.occurred_at + event.event_id] = JSON.stringify(event);
    } catch (full) { warn("an event could not be kept", full); }
    if (wait === FIRST_MS) { later(type === "purchase" ? 0 : 300); }  // else a retry is due already
  }

  function consent(given) {
    agreed = given;
    wait = FIRST_MS;
    if (agreed) { return later(0); }
    clearTimeout(timer);
    if (stop) { stop.abort(); }
    forget(kept());
  }

  const api = window.purchasePrediction = {
    init(given) {
      options = { url: source.replace(/\/collector\.js.*$/, ""), ...given };
      if (given.consent || agreed) { consent(true); }
    },
    consent
  };
  ["view", "cart", "purchase", "return"].forEach((type) => { api[type] = (fields) => record(type, fields); });
  addEventListener("pagehide", beacon);
  document.addEventListener("visibilitychange", () => document.hidden && beacon());
  addEventListener("online", () => later(0));
})();
