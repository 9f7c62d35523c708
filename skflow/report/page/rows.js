"use strict";
// The table of rows, and the chosen row. All else is in the page as it comes. Text from the data is
// set as text only, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const { rows, columns } = data;
const ROWS_PER_PAGE = 50;
const FEW_COLUMNS = 12; // shown at first, of many
const SHADES = [1 / 20, 1 / 100, 1 / 1000, 1 / 10000].map(Math.log);
const MOST_REASONS = 10;
const isWhole = new Set(rows.whole);
const byId = (id) => document.getElementById(id);

const state = { sort: "score", descending: false, page: 0, chosen: 0, few: true };

// Numbers and cells in words

function number(x) {
  if (x === 0) return "0"; // also -0
  const text =
    Math.abs(x) >= 1e-4
      ? x.toLocaleString("en", { maximumSignificantDigits: 3 })
      : x.toExponential(1);
  return text.replaceAll("-", "−");
}

function odds(logProb) {
  const log10 = -logProb / Math.LN10;
  if (log10 >= 6) return `1 in 10^${Math.round(log10)}`;
  const n = Math.exp(-logProb);
  if (n < 2) return "usual";
  return `1 in ${n < 10 ? Number(n.toPrecision(2)) : Math.round(n).toLocaleString("en")}`;
}

const text = (column, row) => column.texts[column.cells[row]];
const usual = (column, row) => column.ranges[column.usual[row]];
const shade = (logProb) => SHADES.filter((limit) => logProb <= limit).length;
const repair = (row, j) => (rows.repair[row] || {})[j];
const order = columns.map((_, j) => j);
const strangest = rows.name.map((_, row) =>
  order.slice().sort((a, b) => columns[a].blame[row] - columns[b].blame[row]),
);

// Elements

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat());
  return made;
}

const LONG = 24; // letters, from which on a text may break anywhere
const isolated = (content) => element("bdi", content, content.length > LONG ? { class: "long" } : {});

function drawn(name, attributes, content = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(content);
  return made;
}

// Which rows and columns are shown, in which order

const haystack = rows.name.map((name, row) =>
  [name, ...columns.map((column) => text(column, row))].join("\n").toLowerCase(),
);

function found() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const reason = byId("reason").value;
  const rate = Number(byId("rate").value);
  const kept = rows.name
    .map((_, row) => row)
    .filter(
      (row) =>
        words.every((word) => haystack[row].includes(word)) &&
        (reason === "" || strangest[row][0] === Number(reason)) &&
        rows.q[row] <= rate,
    );
  const key = sortKey();
  const sign = state.descending ? -1 : 1;
  return kept.sort((a, b) => sign * (key(a) - key(b)) || a - b);
}

function sortKey() {
  if (typeof state.sort === "number") return (row) => columns[state.sort].cells[row];
  if (state.sort === "name") return (row) => rows.position[row];
  return (row) => rows[state.sort][row];
}

// The columns that are the strongest reason most often. Where some columns are left out, the most
// blamed one is the first: the table may be wider than the page.
const blamed = (() => {
  const count = columns.map(() => 0);
  for (const ranked of strangest)
    ranked.slice(0, 3).forEach((j, rank) => (count[j] += [100, 10, 1][rank]));
  const ranked = order.slice().sort((a, b) => count[b] - count[a] || a - b).slice(0, FEW_COLUMNS);
  return ranked.length < order.length ? ranked : order;
})();

const shownColumns = () => (state.few ? blamed : order);

// The table

const HEAD = [
  ["name", "Row"],
  ["score", "Score"],
  ["p", "p-value"],
  ["q", "q-value"],
];

function drawHead() {
  const cells = [...HEAD, ...shownColumns().map((j) => [j, columns[j].name])];
  const line = element(
    "tr",
    cells.map(([key, name]) => {
      const button = element("button", isolated(name), { type: "button" });
      const cell = element("th", button, { scope: "col" });
      const isSorted = state.sort === key;
      const direction = state.descending ? "descending" : "ascending";
      cell.setAttribute("aria-sort", isSorted ? direction : "none");
      button.addEventListener("click", () => {
        state.descending = state.sort === key && !state.descending;
        state.sort = key;
        state.page = 0;
        draw();
        [...byId("row-table").tHead.rows[0].cells]
          .find((other) => other.getAttribute("aria-sort") !== "none")
          ?.querySelector("button")
          .focus();
      });
      return cell;
    }),
  );
  byId("row-table").tHead.replaceChildren(line);
}

function drawCell(row, j) {
  const column = columns[j];
  const level = shade(column.blame[row]);
  const cell = element("td", isolated(text(column, row)), level ? { class: `s${level}` } : {});
  if (level > 1) cell.append(element("small", ["usually ", isolated(usual(column, row))]));
  const wouldBe = repair(row, j);
  if (wouldBe !== undefined) cell.append(element("small", ["repair: ", isolated(wouldBe)]));
  if (level) {
    cell.title = odds(column.blame[row]);
    cell.append(element("span", `, ${odds(column.blame[row])}`, { class: "unseen" }));
  }
  return cell;
}

function drawRow(row) {
  const button = element("button", isolated(rows.name[row]), {
    type: "button",
    "aria-pressed": String(row === state.chosen),
    "data-row": row,
  });
  const numbers = ["score", "p", "q"].map((key) =>
    element("td", number(rows[key][row]), { class: "number" }),
  );
  const cells = shownColumns().map((j) => drawCell(row, j));
  const line = element("tr", [element("th", button, { scope: "row" }), ...numbers, ...cells]);
  if (row === state.chosen) line.className = "chosen";
  line.addEventListener("click", () => choose(row));
  return line;
}

function draw() {
  const kept = found();
  const nPages = Math.max(1, Math.ceil(kept.length / ROWS_PER_PAGE));
  state.page = Math.min(state.page, nPages - 1);
  const first = state.page * ROWS_PER_PAGE;
  const page = kept.slice(first, first + ROWS_PER_PAGE);
  drawHead();
  byId("row-table").tBodies[0].replaceChildren(...page.map(drawRow));
  const all = `${rows.name.length} ${rows.name.length === 1 ? "row" : "rows"}`;
  byId("status").textContent = kept.length === rows.name.length ? all : `${kept.length} of ${all}`;
  byId("page").textContent = `Rows ${Math.min(first + 1, kept.length)} to ${first + page.length} of ${kept.length}`;
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page === nPages - 1;
  byId("pager").hidden = nPages === 1;
}

function choose(row) {
  state.chosen = row;
  for (const line of byId("row-table").tBodies[0].rows) {
    const button = line.querySelector("button");
    const isChosen = Number(button.dataset.row) === row;
    button.setAttribute("aria-pressed", String(isChosen));
    line.className = isChosen ? "chosen" : "";
  }
  drawDetail(row);
  byId("status").textContent = `Row ${rows.name[row]} is chosen.`;
}

// The chosen row

function drawDetail(row) {
  const reasons = strangest[row].slice(0, MOST_REASONS);
  const lines = reasons.map((j) => {
    const column = columns[j];
    const level = shade(column.blame[row]);
    const cell = element("td", isolated(text(column, row)), level ? { class: `s${level}` } : {});
    cell.append(element("small", odds(column.blame[row])));
    const expected = element("td", isolated(usual(column, row)));
    if (repair(row, j) !== undefined)
      expected.append(element("small", ["repair: ", isolated(repair(row, j))]));
    return element("tr", [element("th", isolated(column.name), { scope: "row" }), cell, expected]);
  });
  const head = ["Column", "Cell", "Usual"].map((name) => element("th", name, { scope: "col" }));
  const table = element("table", [
    element("thead", element("tr", head)),
    element("tbody", lines),
  ], { id: "reason-table" });
  const scroll = { class: "scroll", tabindex: "0", role: "region", "aria-label": "Reasons" };
  byId("detail-title").replaceChildren("Row ", isolated(rows.name[row]));
  const said =
    `Score ${number(rows.score[row])}, p-value ${number(rows.p[row])}, q-value ` +
    `${number(rows.q[row])}; position ${rows.position[row]} in the table.` +
    (row >= rows.repair.length ? " Not repaired." : "") +
    (isWhole.has(row) ? " Its repair replaces the whole row: do not take it for a correction." : "") +
    (reasons.length < columns.length ? ` The ${reasons.length} strongest reasons:` : "");
  byId("detail-body").replaceChildren(
    element("p", said),
    drawPicture(row, strangest[row][0], partner(row)),
    element("div", table, scroll),
  );
}

// The second column of the picture: that of the second reason, if there is one, else the column
// that goes with the first most among drawn rows.
function partner(row) {
  const [first, second] = strangest[row];
  if (second === undefined) return first;
  if (shade(columns[second].blame[row])) return second;
  const others = order.filter((j) => j !== first);
  const strength = others.map((j) => Math.abs(correlation(columns[first].drawn, columns[j].drawn)));
  return others[strength.indexOf(Math.max(...strength))];
}

function correlation(one, other) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const about = (values) => {
    const middle = mean(values);
    return values.map((value) => value - middle);
  };
  const [a, b] = [about(one), about(other)];
  const product = (u, v) => u.reduce((sum, value, k) => sum + value * v[k], 0);
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b) || 1);
}

const PICTURE = { width: 360, height: 320, left: 100, right: 12, top: 34, bottom: 74 };
const LETTER = 8.5; // width of one, about

function clipped(content, most) {
  const letters = [...content];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : content;
}

// A number from 0 to 1 that looks random, the same in each drawing.
const noise = (k) => Math.abs(Math.sin(k * 12.9898) * 43758.5453) % 1;

const anchor = (place) => (place < 100 ? "start" : place > 900 ? "end" : "middle");

// Names of ticks in two lines, without those that overlap.
function inLines(ticks, x) {
  const ends = [-Infinity, -Infinity];
  const kept = [];
  for (const [place, name] of ticks.slice().sort((a, b) => a[0] - b[0])) {
    const short = clipped(name, ticks.length > 4 ? 10 : 18);
    const width = LETTER * [...short].length;
    const start = x(place) - { start: 0, middle: width / 2, end: width }[anchor(place)];
    const line = ends.findIndex((end) => end + LETTER <= start);
    if (line < 0) continue;
    ends[line] = start + width;
    kept.push({ place, name: short, line });
  }
  return kept;
}

function drawPicture(row, a, b) {
  const { width, height, left, right, top, bottom } = PICTURE;
  const x = (place) => left + ((width - left - right) * place) / 1000;
  const y = (place) => height - bottom - ((height - top - bottom) * place) / 1000;
  const [across, up] = [columns[a], columns[b]];
  const isOne = a === b;
  const label =
    `${across.name} ${text(across, row)}` +
    (isOne ? "" : ` and ${up.name} ${text(up, row)}`) +
    ", among rows drawn from the density";
  const svg = drawn("svg", { class: "chart", role: "img", viewBox: `0 0 ${width} ${height}`, "aria-label": label });
  svg.append(drawn("rect", { class: "frame", x: left, y: top, width: width - left - right, height: height - top - bottom }));
  for (const { place, name, line } of inLines(across.ticks, x)) {
    const end = height - bottom;
    svg.append(drawn("line", { class: "tick", x1: x(place), x2: x(place), y1: end, y2: end + 5 + 15 * line }));
    svg.append(drawn("text", { x: x(place), y: end + 19 + 18 * line, "text-anchor": anchor(place) }, name));
  }
  if (!isOne)
    for (const [place, name] of up.ticks) {
      svg.append(drawn("line", { class: "tick", x1: left - 5, x2: left, y1: y(place), y2: y(place) }));
      svg.append(drawn("text", { x: left - 8, y: y(place) + 4, "text-anchor": "end" }, clipped(name, 13)));
    }
  svg.append(drawn("text", { class: "name", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, clipped(across.name, 44)));
  if (!isOne) svg.append(drawn("text", { class: "name", x: 4, y: 16 }, clipped(up.name, 50)));
  // Rows that share a place are spread about it.
  const spread = (column, k) => (noise(k) - 0.5) * column.spread;
  across.drawn.forEach((place, k) => {
    const height = isOne ? 1000 * noise(k + 0.5) : up.drawn[k] + spread(up, k + 0.25);
    svg.append(drawn("circle", { class: "drawn", r: 2.4, cx: x(place + spread(across, k)).toFixed(1), cy: y(height).toFixed(1) }));
  });
  const at = [x(across.places[across.cells[row]]), y(isOne ? 500 : up.places[up.cells[row]])];
  svg.append(drawn("path", { class: "mark", d: `M${at[0]},${at[1] - 9}l9,9l-9,9l-9,-9z` }));
  return svg;
}

// Controls

function fillControls() {
  const counts = columns.map(() => 0);
  for (const ranked of strangest) counts[ranked[0]] += 1;
  const reasons = order.filter((j) => counts[j]).sort((a, b) => counts[b] - counts[a]);
  byId("reason").append(
    element("option", "any", { value: "" }),
    ...reasons.map((j) => element("option", `${columns[j].name} (${counts[j]})`, { value: j })),
  );
  byId("columns").append(
    element("option", `the ${blamed.length} to blame most`, { value: "few" }),
    element("option", `all ${columns.length}`, { value: "all" }),
  );
  byId("columns-label").hidden = columns.length <= FEW_COLUMNS;
  byId("columns").addEventListener("change", (event) => {
    state.few = event.target.value === "few";
    draw();
  });
  for (const id of ["search", "reason", "rate"])
    byId(id).addEventListener("input", () => {
      state.page = 0;
      draw();
    });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
}

function turn(step) {
  state.page += step;
  draw();
  document.querySelector(".tall").scrollTop = 0;
}

fillControls();
draw();
drawDetail(0);
