// Asks the daemon every two seconds and shows what it says.

const PERIOD = 2000;
const PATIENCE = 5000;
const NOW = 60;
const KINDS = ["memory", "disk", "put"];
const KEY = "layercache-token";

const byID = (id) => document.getElementById(id);
const history_ = new History();
let token = sessionStorage.getItem(KEY) ?? "";
let isPaused = false;
let lostAt = null;
let startedAnew = null;
let timer = 0;
let asking = null;

const clock = () => new Date().toLocaleTimeString("en-GB");

/** Says how things are, once for each change: screen readers read it out. */
const say = (text, look) => {
  const state = byID("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = `state ${look}`;
};

const put = (element, text, value) => {
  element.textContent = text;
  element.value = value ?? "";
};

const ask = async () => {
  clearTimeout(timer);
  const mine = (asking = {});
  try {
    const answer = await fetch("/v1/stats", {
      headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store", credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (mine !== asking) return;
    if (answer.status === 401 || answer.status === 403) return refuse(answer.status);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const stats = await answer.json();
    if (mine !== asking) return;
    if (history_.add({ time: performance.now() / 1000, stats })) startedAnew = clock();
    lostAt = null;
    show();
  } catch (error) {
    if (mine !== asking) return;
    lostAt ??= clock();
    byID("panels").classList.add("stale");
    say(`No answer since ${lostAt}: trying again${history_.last ? "; the numbers are from before" : ""}`, "bad");
  }
  if (!isPaused) timer = setTimeout(ask, PERIOD);
};

const refuse = (status) => {
  byID("refused").textContent = !token ? "" : status === 403 ? "The scope of this token is too small." : "The daemon does not know this token.";
  forget();
  byID("entry").hidden = false;
  byID("panels").hidden = true;
  say("Waiting for a token", "");
  byID("token").focus();
};

const forget = () => {
  token = "";
  sessionStorage.removeItem(KEY);
  history_.moments = [];
  byID("forget").hidden = true;
};

const show = () => {
  const { stats } = history_.last;
  byID("entry").hidden = true;
  byID("panels").hidden = false;
  byID("panels").classList.remove("stale");
  byID("forget").hidden = token === "";
  const state = stats.ready === false ? "Not ready: stopping, or repairing its store" : "Ready";
  say(startedAnew ? `${state}; started anew at ${startedAnew}` : state, stats.ready === false ? "bad" : "good");
  for (const element of document.querySelectorAll("[data-stat]")) {
    const value = at(stats, element.dataset.stat);
    if (value === undefined) put(element, MISSING);
    else put(element, as[element.dataset.as ?? "count"](value), value);
  }
  const live = liveNumbers(stats);
  for (const element of document.querySelectorAll("[data-live]")) {
    const [value, format] = live[element.dataset.live];
    put(element, value === null ? MISSING : format(value), value);
  }
  const span = history_.last.time - history_.before(NOW).time;
  byID("span").textContent = span > NOW - 5 ? "last minute" : `last ${Math.round(span)} s`;
  showErrors();
  showRing(stats.ring ?? []);
  drawAll(stats);
};

const liveNumbers = (stats) => {
  const [now, all] = [ratiosOf(readsBetween(history_.before(NOW), history_.last)), ratiosOf(readsOf(stats))];
  const rate = (path) => history_.rate(path, NOW);
  const most = (path) => {
    const values = flow(path).map(({ value }) => value);
    return values.length ? Math.max(...values) : null;
  };
  const numbers = {
    hitRatio: [now.hit, as.share], sent: [rate("bytesOut"), as.flow], received: [rate("bytesIn"), as.flow],
    requests: [rate("requests"), as.rate], sentMost: [most("bytesOut"), as.flow], receivedMost: [most("bytesIn"), as.flow],
    memoryRatio: [now.memory, as.share], storeRatio: [now.store, as.share], missRatio: [now.miss, as.share],
    memoryRatioTotal: [all.memory, as.share], storeRatioTotal: [all.store, as.share], missRatioTotal: [all.miss, as.share],
    memoryEvictions: [rate("memory.evictions"), as.rate], storeEvictions: [rate("disk.evictions"), as.rate],
  };
  const { bounds } = stats.latency;
  const [memory, disk] = ["memory", "disk"].map((kind) => timesBetween(history_.before(NOW), history_.last, kind));
  const recent = memory.map((count, index) => count + disk[index]);
  numbers.get50 = [quantile(recent, bounds, 0.5), as.time];
  numbers.get99 = [quantile(recent, bounds, 0.99), as.time];
  for (const kind of KINDS) {
    const counts = times(kind);
    for (const [name, share] of [["50", 0.5], ["90", 0.9], ["99", 0.99], ["999", 0.999]]) {
      numbers[`${kind}.${name}`] = [quantile(counts, bounds, share), as.time];
    }
    numbers[`${kind}.count`] = [sumOf(counts), as.count];
  }
  return numbers;
};

const flow = (path) => history_.series((first, last) =>
  (at(last.stats, path) - at(first.stats, path)) / (last.time - first.time));
/** Of five minutes; of all there is while there is but one moment. */
const times = (kind) => {
  const first = history_.moments.length > 1 ? history_.moments[0] : undefined;
  return timesBetween(first, history_.last, kind);
};

const showErrors = () => {
  for (const row of byID("errors").rows) {
    const path = row.cells[2].firstElementChild.dataset.stat;
    if (path === "connections.accepted") continue;
    const growth = history_.growth(path, NOW);
    const cell = row.cells[1].firstElementChild ?? row.cells[1].appendChild(document.createElement("data"));
    put(cell, Number.isFinite(growth) ? as.count(growth) : MISSING, growth);
    cell.classList.toggle("raised", growth > 0);
  }
};

const showRing = (nodes) => {
  byID("ring").hidden = nodes.length === 0;
  const list = byID("nodes");
  // Links are kept while they stay the same: whoever is on one stays there.
  if (list.dataset.nodes === nodes.join()) return;
  list.dataset.nodes = nodes.join();
  list.replaceChildren(...nodes.map((node) => {
    const item = document.createElement("li");
    const link = item.appendChild(document.createElement("a"));
    link.href = node;
    link.textContent = node;
    if (new URL(node).host === location.host) item.append(" (this one)");
    return item;
  }));
};

const drawAll = (stats) => {
  const reads = readsBetween(history_.before(NOW), history_.last);
  const all = reads.memory + reads.store + reads.miss;
  const parts = ["memory", "store", "miss"].map((look) => ({ share: all ? reads[look] / all : 0, look }));
  drawBars(byID("d-shares"), [parts]);
  const hits = history_.series((first, last) => ratiosOf(readsBetween(first, last)).hit);
  drawTime(byID("d-hits"), [{ points: hits, look: "first" }], {
    span: history_.shown, most: 1, format: (value) => `${value * 100} %`, filled: true,
  });
  const lines = [["bytesOut", "first"], ["bytesIn", "second"]].map(([path, look]) => ({ points: flow(path), look }));
  const most = Math.max(1024, ...lines.flatMap(({ points }) => points.map(({ value }) => value)));
  drawTime(byID("d-flow"), lines, { span: history_.shown, most: roundedUp(most, 1024), format: as.axis });
  const looks = ["first", "second", "third"];
  drawTimes(byID("d-time"), stats.latency.bounds, KINDS.map((kind, index) => ({ counts: times(kind), look: looks[index] })));
  drawBars(byID("d-room"), [[stats.memory, "memory"], [stats.disk, "store"]].map(([tier, look]) =>
    [{ share: tier.capacity ? tier.bytes / tier.capacity : 0, look }]));
};

byID("host").textContent = location.host;
byID("clear").hidden = isSecureContext;
byID("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = byID("token").value.trim();
  byID("token").value = "";
  if (!/^[!-~]+$/.test(given)) { byID("refused").textContent = "This is no token."; return; }
  token = given;
  sessionStorage.setItem(KEY, token);
  ask();
});
byID("forget").addEventListener("click", () => { forget(); ask(); });
byID("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byID("pause").setAttribute("aria-pressed", isPaused);
  if (isPaused) clearTimeout(timer); else ask();
});
// Nobody looks: nothing is asked.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { clearTimeout(timer); asking = null; } else if (!isPaused) ask();
});
addEventListener("resize", () => { if (history_.last) drawAll(history_.last.stats); });
ask();
