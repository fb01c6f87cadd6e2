// From what /v1/stats says at two moments to what the page shows.

const MISSING = "–";

const units = (value, step, names) => {
  let index = 0;
  while (index < names.length - 1 && value >= step) { value /= step; index += 1; }
  return `${index === 0 || value >= 100 ? Math.round(value) : value.toPrecision(3)} ${names[index]}`;
};

const as = {
  count: (value) => value.toLocaleString("en"),
  bytes: (value) => units(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
  axis: (value) => (value === 0 ? "0" : `${as.bytes(value).replace(/\.0+(?= )/, "")}/s`),
  flow: (value) => `${as.bytes(value)}/s`,
  rate: (value) => `${value >= 100 || value === 0 ? Math.round(value).toLocaleString("en") : value.toPrecision(2)} /s`,
  // Never 100 % or 0 % of what is not.
  share: (value) => {
    const percent = value * 100;
    if (percent === 0 || percent === 100) return `${percent} %`;
    return `${Math.min(Math.max(percent, 0.01), 99.99).toFixed(percent > 99 || percent < 1 ? 2 : 1)} %`;
  },
  time: (seconds) => {
    if (!Number.isFinite(seconds)) return "> 10 s";
    if (seconds >= 1) return `${seconds} s`;
    return seconds >= 0.001 ? `${+(seconds * 1e3).toPrecision(3)} ms` : `${+(seconds * 1e6).toPrecision(3)} µs`;
  },
  age: (seconds) => {
    const minutes = Math.floor(seconds / 60);
    if (minutes < 1) return `${Math.floor(seconds)} s`;
    if (minutes < 60) return `${minutes} min`;
    return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} days`;
  },
};

/** The value of `a.b.c` in an object; undefined where an older daemon has none. */
const at = (object, path) => path.split(".").reduce((value, name) => value?.[name], object);

/** What several moments of one daemon say. A moment: {time: seconds, stats}. */
class History {
  static span = 300;
  moments = [];

  /** Seconds that drawings show: as many as there are, in steps. */
  get shown() {
    const age = this.last.time - this.moments[0].time;
    return [30, 60, 120, History.span].find((span) => age <= span) ?? History.span;
  }

  get last() { return this.moments.at(-1); }

  /** Returns whether the daemon was started anew since the moment before. */
  add(moment) {
    const restarted = this.last !== undefined && moment.stats.uptimeSeconds < this.last.stats.uptimeSeconds;
    if (restarted) this.moments = [];
    this.moments.push(moment);
    while (moment.time - this.moments[0].time > History.span) this.moments.shift();
    return restarted;
  }

  /** The oldest moment that is no older than so many seconds before the last. */
  before(seconds) { return this.moments.find((moment) => this.last.time - moment.time <= seconds); }

  /** How much a counter has grown within the last so many seconds; null while there is but one moment. */
  growth(path, seconds) {
    const first = this.before(seconds);
    return first === this.last ? null : at(this.last.stats, path) - at(first.stats, path);
  }

  rate(path, seconds) {
    const growth = this.growth(path, seconds);
    return growth === null ? null : growth / (this.last.time - this.before(seconds).time);
  }

  /** [{time, value}] of what `value` makes of each pair of moments that follow one another. */
  series(value) {
    return this.moments.slice(1).map((moment, index) => ({
      time: moment.time - this.last.time, value: value(this.moments[index], moment),
    }));
  }
}

const readsOf = (stats) => ({ memory: stats.memory.hits, store: stats.disk.hits, miss: stats.misses });

/** Reads between two moments, or all since the start. */
const readsBetween = (first, last) => {
  const reads = readsOf(last.stats);
  if (first) for (const [tier, count] of Object.entries(readsOf(first.stats))) reads[tier] -= count;
  return reads;
};

const ratio = (part, whole) => (whole > 0 ? part / whole : null);
const ratiosOf = ({ memory, store, miss }) => ({
  hit: ratio(memory + store, memory + store + miss), memory: ratio(memory, memory + store + miss),
  store: ratio(store, store + miss), miss: ratio(miss, memory + store + miss),
});

/** Requests by the time that they took: counts for each bound, the last one for what is beyond. */
const timesBetween = (first, last, kind) =>
  last.stats.latency[kind].counts.map((count, index) => count - (first?.stats.latency[kind].counts[index] ?? 0));

const sumOf = (counts) => counts.reduce((sum, count) => sum + count, 0);

/** The bound within which that share of the requests was answered; null without requests. */
const quantile = (counts, bounds, share) => {
  const total = sumOf(counts);
  if (total === 0) return null;
  let sum = 0;
  const index = counts.findIndex((count) => (sum += count) >= share * total);
  return bounds[index] ?? Infinity;
};
