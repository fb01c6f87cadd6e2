// SVG, drawn anew each time: a few dozen elements, none of which is kept.

const draw = (parent, name, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
};

/** Empties a drawing and gives it the size that it is shown with. */
const canvas = (svg) => {
  const { width, height } = svg.getBoundingClientRect();
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { width, height };
};

/** A number that axes end at: 1, 2 or 5 times a power of `base`, no smaller than `value`. */
const roundedUp = (value, base) => {
  const power = base ** Math.floor(Math.log(value) / Math.log(base));
  return [1, 2, 5, 10, 20, 50, 100, 200, 500, base].map((step) => step * power).find((end) => end >= value) ?? value;
};

/** Lines over time. lines: [{points: [{time, value or null}], look}] */
const drawTime = (svg, lines, { span, most, format, filled }) => {
  const { width, height } = canvas(svg);
  const [left, right, top, bottom] = [66, 8, 10, 20];
  const x = (time) => left + (1 + time / span) * (width - left - right);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  for (const value of [0, most / 2, most]) {
    draw(svg, "path", { class: "axis", d: `M${left} ${y(value)}H${width - right}` });
    draw(svg, "text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, format(value));
  }
  for (let time = span; time >= 0; time -= span > 60 ? 60 : span / 3) {
    const anchor = time === span ? "start" : time === 0 ? "end" : "middle";
    const text = time === 0 ? "now" : time % 60 === 0 ? `${time / 60} min` : `${time} s`;
    draw(svg, "text", { x: x(-time), y: height - 4, "text-anchor": anchor }, text);
  }
  for (const { points, look } of lines) {
    for (const run of runs(points)) {
      const way = run.map(({ time, value }) => `${x(time).toFixed(1)} ${y(Math.min(value, most)).toFixed(1)}`).join("L");
      const [start, end] = [x(run[0].time).toFixed(1), x(run.at(-1).time).toFixed(1)];
      if (filled) draw(svg, "path", { class: "area", d: `M${start} ${y(0)}L${way}L${end} ${y(0)}Z` });
      draw(svg, "path", { class: `curve ${look}`, d: `M${way}` });
    }
  }
};

/** Pieces of a line between moments without a value. */
const runs = (points) => {
  const found = [];
  let open = false;
  for (const point of points) {
    if (point.value === null) { open = false; continue; }
    if (!open) found.push([]);
    found.at(-1).push(point);
    open = true;
  }
  return found;
};

/** Shares of requests by time, on a logarithmic axis. lines: [{counts, look}] */
const drawTimes = (svg, bounds, lines) => {
  const { width, height } = canvas(svg);
  const [left, right, top, bottom] = [44, 14, 10, 20];
  const [least, most] = [Math.log10(bounds[0] / 5), Math.log10(bounds.at(-1))];
  const x = (seconds) => left + ((Math.log10(seconds) - least) / (most - least)) * (width - left - right);
  const y = (share) => height - bottom - share * (height - top - bottom);
  for (const share of [0, 0.5, 0.9, 1]) {
    draw(svg, "path", { class: "axis", d: `M${left} ${y(share)}H${width - right}` });
    if (share !== 0.9) draw(svg, "text", { x: left - 8, y: y(share) + 4, "text-anchor": "end" }, `${share * 100} %`);
  }
  for (let power = Math.ceil(least); power <= most; power += 1) {
    const place = x(10 ** power);
    draw(svg, "path", { class: "axis", d: `M${place} ${top}V${height - bottom}` });
    draw(svg, "text", { x: place, y: height - 4, "text-anchor": place > width - 40 ? "end" : "middle" }, as.time(+(10 ** power).toPrecision(1)));
  }
  for (const { counts, look } of lines) {
    const total = sumOf(counts);
    if (total === 0) continue;
    let sum = 0;
    const points = bounds.map((bound, index) => [x(bound), y((sum += counts[index]) / total)]);
    draw(svg, "path", { class: `curve ${look}`, d: `M${[[left, y(0)], ...points].map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L")}` });
    for (const [cx, cy] of points) draw(svg, "circle", { class: `point ${look}`, cx, cy, r: 2.5 });
  }
};

/** Bars below one another, each of parts. bars: [[{share of 0 to 1, look}]] */
const drawBars = (svg, bars) => {
  const { width, height } = canvas(svg);
  const gap = 6;
  const tall = (height - gap * (bars.length - 1)) / bars.length;
  bars.forEach((parts, row) => {
    const y = row * (tall + gap);
    draw(svg, "rect", { class: "part track", x: 0, y, width, height: tall });
    let x = 0;
    for (const { share, look } of parts) {
      const wide = Math.max(0, Math.min(share, 1)) * width;
      if (wide > 0) draw(svg, "rect", { class: `part ${look}`, x, y, width: Math.max(wide - 2, 1), height: tall });
      x += wide;
    }
  });
};
