// Draws the page's charts in the reader's colours.  All data stands in the element "data".
"use strict";
const told = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const VIEW_MAX = 1500; // candles, or trades, drawn at once
const ROWS = 12; // of the list of trades
const MINUTE = 60000;

// ------------------------------------------------------------------ colours
const system = matchMedia("(prefers-color-scheme: dark)");
const asked = new URLSearchParams(location.hash.slice(1)).get("scheme");
let chosen = asked === "dark" || asked === "light" ? asked : null;

function colour(name) {
  const [token, part] = name.slice(1).split("/");
  const hex = getComputedStyle(root).getPropertyValue("--" + token).trim();
  if (!part) return hex;
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${part})`;
}

function painted(part) {
  if (typeof part === "string") return part[0] === "@" ? colour(part) : part;
  if (Array.isArray(part)) return typeof part[0] === "number" ? part : part.map(painted);
  if (part === null || typeof part !== "object" || ArrayBuffer.isView(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, painted(value)]));
}

function framed(layout) {
  const axis = {
    gridcolor: colour("@line"), zerolinecolor: colour("@line"), linecolor: colour("@line"),
    tickfont: { color: colour("@muted"), size: 12 }, automargin: true, zeroline: false,
  };
  const whole = {
    margin: { l: 62, r: 16, t: 22, b: 36 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, bargap: 0.05,
    font: { family: getComputedStyle(document.body).fontFamily, color: colour("@ink"), size: 12.5 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    modebar: {
      bgcolor: "rgba(0,0,0,0)", color: colour("@muted/0.55"), activecolor: colour("@ink"),
    },
    hoverlabel: {
      bgcolor: colour("@card"), bordercolor: colour("@line"), font: { color: colour("@ink") },
    },
    ...painted(layout),
  };
  for (const name of ["xaxis", "yaxis", "yaxis2"]) {
    if (!layout[name] && name === "yaxis2") continue;
    const mine = painted(layout[name] || {});
    if (mine.title) {
      mine.title = { standoff: 12, font: { color: colour("@muted"), size: 12 }, ...mine.title };
    }
    whole[name] = { ...axis, ...(name === "xaxis" ? { showgrid: false } : {}), ...mine };
  }
  return whole;
}

const CONFIG = {
  displaylogo: false, responsive: true,
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
};
const STILL = { ...CONFIG, displayModeBar: false };

function drawAll() {
  for (const place of document.querySelectorAll("[data-figure]")) {
    const figure = told.figures[place.dataset.figure];
    const config = figure.layout.xaxis.type === "date" ? CONFIG : STILL;
    Plotly.react(place, painted(figure.data), framed(figure.layout), config);
  }
  if (candles) drawCandles(view);
}

function paint() {
  root.dataset.scheme = chosen || (system.matches ? "dark" : "light");
  root.style.colorScheme = root.dataset.scheme;
  drawAll();
}

// ------------------------------------------------------------------ candles and trades
const candles = document.getElementById("candles");
const list = document.getElementById("list");
const opened = {}; // levels and trades by symbol, unpacked when first looked at
let symbol = Object.keys(told.candles)[0];
let view = null; // [from, to] ms, or null: all
let sorting = { column: 0, down: true };
let page = 0;
let drawing = false;

function numbers(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

function open(name) {
  if (opened[name]) return opened[name];
  const given = told.candles[name];
  const levels = given.levels.map((level) => ({
    step: level.step,
    whole: level.whole,
    at: Float64Array.from(numbers(level.at, Uint32Array), (k) => level.start + k * level.step),
    ohlc: level.ohlc.map((row) => numbers(row, Float32Array)),
  }));
  const trades = given.trades.map((row) => ({
    side: row[0], quantity: row[1], entered: row[2], entry: row[3], left: row[4], exit: row[5],
    pnl: row[6], reason: row[7], stop: row[8], target: row[9],
  }));
  opened[name] = { levels, trades, left_out: given.left_out };
  return opened[name];
}

function before(at, moment) {
  let [low, high] = [0, at.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at[middle] < moment) low = middle + 1; else high = middle;
  }
  return low;
}

// The finest level that has room in the view, and that covers it.
function fitting(levels, from, to) {
  for (let place = levels.length - 1; place > 0; place--) {
    const { at, step, whole } = levels[place];
    const [first, end] = [before(at, from), before(at, to)];
    const wanted = Math.min(to, levels[0].at.at(-1)) - Math.max(from, levels[0].at[0]);
    const covered = whole || (end - first) * step > 0.9 * wanted;
    if (covered && end - first <= VIEW_MAX && end > first) return levels[place];
  }
  return levels[0];
}

function spanOf({ levels, trades }) {
  if (levels.length) return [levels[0].at[0], levels[0].at.at(-1) + levels[0].step];
  if (!trades.length) return [0, 1];
  return [Math.min(...trades.map((t) => t.entered)), Math.max(...trades.map((t) => t.left))];
}

function drawCandles(wanted) {
  const { levels, trades, left_out } = open(symbol);
  const [from, to] = wanted || spanOf(open(symbol));
  const traces = [];
  let said = "No prices are stored for this symbol. ";
  if (levels.length) {
    const level = fitting(levels, from, to);
    const margin = (to - from) / 2; // so that a drag finds something there
    const first = before(level.at, from - margin);
    const end = before(level.at, to + margin);
    traces.push(priceTrace(level, first, end));
    said = `${level.ohlc.length > 1 ? "Candles" : "Closes"} of ${lasting(level.step)}. `;
    if (!level.whole) said = `True bars of ${lasting(level.step)}. `;
  }
  let inView = trades.filter((t) => t.left >= from && t.entered <= to);
  const every = Math.ceil(inView.length / VIEW_MAX);
  if (every > 1) {
    inView = inView.filter((_, place) => place % every === 0);
    said += `One trade in ${every} is drawn; zoom in for all. `;
  }
  if (left_out) said += `The oldest ${left_out.toLocaleString("en")} trades are left out. `;
  traces.push(...tradeTraces(inView, to - from));
  said += "Drag to zoom, double-click for all; a row of the list shows its trade.";
  document.getElementById("detail").textContent = said;
  const layout = framed({
    height: 480, hovermode: "closest", showlegend: true, dragmode: "zoom",
    xaxis: { type: "date", range: [from, to], rangeslider: { visible: false } },
    yaxis: { title: { text: "price" }, range: heights(traces, from, to) },
  });
  drawing = true;
  Plotly.react(candles, painted(traces), layout, CONFIG).then(() => { drawing = false; });
}

function priceTrace(level, first, end) {
  const x = Array.from(level.at.subarray(first, end));
  const rows = level.ohlc.map((row) => Array.from(row.subarray(first, end)));
  if (rows.length === 1) {
    return {
      type: "scatter", mode: "lines", name: symbol, x, y: rows[0],
      line: { color: "@muted", width: 1 },
    };
  }
  const side = (name) => ({ line: { color: "@" + name, width: 1 }, fillcolor: `@${name}/0.6` });
  return {
    type: "candlestick", name: symbol, x, showlegend: false,
    open: rows[0], high: rows[1], low: rows[2], close: rows[3],
    increasing: side("gain"), decreasing: side("loss"), opacity: 0.55,
  };
}

function tradeTraces(trades, span) {
  const traces = [];
  for (const [won, name, shade] of [[true, "won", "@gain"], [false, "lost", "@loss"]]) {
    const some = trades.filter((t) => t.pnl > 0 === won);
    traces.push({
      type: "scatter", mode: "lines", name, hoverinfo: "skip", line: { color: shade, width: 2 },
      x: some.flatMap((t) => [t.entered, t.left, null]),
      y: some.flatMap((t) => [t.entry, t.exit, null]),
    });
  }
  const words = (t) =>
    `${t.side} ${t.quantity} at ${t.entry}, ${clock(t.entered)}<br>` +
    `${t.reason} at ${t.exit}, ${clock(t.left)}<br>${signed(t.pnl)} USDT net`;
  for (const [side, name, mark] of [
    ["BUY", "long entry", "triangle-up"], ["SELL", "short entry", "triangle-down"],
  ]) {
    const some = trades.filter((t) => t.side === side);
    traces.push({
      type: "scatter", mode: "markers", name, x: some.map((t) => t.entered),
      y: some.map((t) => t.entry), text: some.map(words), hovertemplate: "%{text}<extra></extra>",
      marker: { symbol: mark, size: 10, color: "@accent", line: { color: "@card", width: 1 } },
    });
  }
  traces.push({
    type: "scatter", mode: "markers", name: "exit", x: trades.map((t) => t.left),
    y: trades.map((t) => t.exit), text: trades.map(words), hovertemplate: "%{text}<extra></extra>",
    marker: {
      symbol: "circle", size: 6, line: { color: "@card", width: 1 },
      color: trades.map((t) => (t.pnl > 0 ? "@gain" : "@loss")),
    },
  });
  if (trades.length && span < 4 * 86400000 && trades.length <= 40) traces.push(...levelsOf(trades));
  return traces;
}

function levelsOf(trades) {
  return [["stop", "@loss"], ["target", "@gain"]].map(([name, shade]) => {
    const some = trades.filter((t) => t[name] > 0);
    return {
      type: "scatter", mode: "lines", name, hoverinfo: "skip",
      line: { color: shade + "/0.7", width: 1, dash: "dot" },
      x: some.flatMap((t) => [t.entered, t.left, null]),
      y: some.flatMap((t) => [t[name], t[name], null]),
    };
  });
}

function heights(traces, from, to) {
  let [low, high] = [Infinity, -Infinity];
  for (const trace of traces) {
    const [lows, highs] = trace.type === "candlestick" ? [trace.low, trace.high] : [trace.y, trace.y];
    trace.x.forEach((x, place) => {
      if (x === null || x < from || x > to) return;
      low = Math.min(low, lows[place]);
      high = Math.max(high, highs[place]);
    });
  }
  const room = (high - low || high * 0.01) * 0.06;
  return low < Infinity ? [low - room, high + room] : [0, 1];
}

function zoomed(event) {
  if (drawing) return;
  if (event["xaxis.autorange"]) view = null;
  else if (event["xaxis.range[0]"] !== undefined) {
    view = [0, 1].map((end) => moment(event[`xaxis.range[${end}]`]));
  } else return;
  drawCandles(view);
}

// Plotly writes UTC without saying so.
function moment(said) {
  return typeof said === "number" ? said : Date.parse(said.replace(" ", "T") + (said.length > 10 ? "Z" : ""));
}

// ------------------------------------------------------------------ the list of trades
const COLUMNS = [
  ["entered", (t) => t.entered, (t) => clock(t.entered)],
  ["side", (t) => t.side, (t) => (t.side === "BUY" ? "long" : "short")],
  ["quantity", (t) => t.quantity, (t) => String(t.quantity)],
  ["entry", (t) => t.entry, (t) => String(t.entry)],
  ["exit", (t) => t.exit, (t) => String(t.exit)],
  ["held", (t) => t.left - t.entered, (t) => lasting(t.left - t.entered)],
  ["closed by", (t) => t.reason, (t) => t.reason],
  ["net, USDT", (t) => t.pnl, (t) => signed(t.pnl)],
];

function showList() {
  const { trades } = open(symbol);
  const value = COLUMNS[sorting.column][1];
  const rows = [...trades].sort((a, b) => {
    const order = value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0;
    return sorting.down ? -order : order;
  });
  const pages = Math.max(1, Math.ceil(rows.length / ROWS));
  page = Math.min(page, pages - 1);
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  COLUMNS.forEach(([name], place) => {
    const cell = document.createElement("th");
    const arrow = sorting.down ? " ↓" : " ↑";
    cell.textContent = name + (place === sorting.column ? arrow : "");
    cell.onclick = () => {
      sorting = { column: place, down: place === sorting.column ? !sorting.down : true };
      page = 0;
      showList();
    };
    head.append(cell);
  });
  const body = table.createTBody();
  for (const trade of rows.slice(page * ROWS, (page + 1) * ROWS)) {
    const row = body.insertRow();
    for (const [, , text] of COLUMNS) row.insertCell().textContent = text(trade);
    row.lastChild.className = trade.pnl > 0 ? "gain" : "loss";
    row.onclick = () => {
      const room = Math.max(30 * MINUTE, (trade.left - trade.entered) * 0.6);
      view = [trade.entered - room, trade.left + room];
      drawCandles(view);
      candles.scrollIntoView({ block: "center" });
    };
  }
  const box = document.createElement("div");
  box.className = "scroll";
  box.append(table);
  list.replaceChildren(box, turning(pages, rows.length));
}

function turning(pages, count) {
  const turn = document.createElement("div");
  turn.className = "turn";
  const button = (text, by) => {
    const made = document.createElement("button");
    made.textContent = text;
    made.disabled = page + by < 0 || page + by >= pages;
    made.onclick = () => { page += by; showList(); };
    return made;
  };
  const words = document.createElement("span");
  words.textContent = `${count.toLocaleString("en")} trades, page ${page + 1} of ${pages}`;
  turn.append(words, button("‹", -1), button("›", 1));
  return turn;
}

function clock(ms) {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

function signed(value) {
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return (value < 0 ? "−" : "+") + text;
}

function lasting(ms) {
  if (ms < 3600000) return `${+(ms / MINUTE).toFixed(1)} min`;
  return ms < 86400000 ? `${+(ms / 3600000).toFixed(1)} h` : `${+(ms / 86400000).toFixed(1)} d`;
}

function choose(name) {
  symbol = name;
  [view, page] = [null, 0];
  for (const tab of document.querySelectorAll("[data-symbol]")) {
    tab.classList.toggle("chosen", tab.dataset.symbol === symbol);
  }
  drawCandles(view);
  showList();
}

// ------------------------------------------------------------------ begin
system.addEventListener("change", paint);
document.getElementById("scheme").onclick = () => {
  chosen = root.dataset.scheme === "dark" ? "light" : "dark";
  paint();
};
paint();
if (candles) {
  for (const tab of document.querySelectorAll("[data-symbol]")) {
    tab.onclick = () => choose(tab.dataset.symbol);
  }
  choose(symbol);
  candles.on("plotly_relayout", zoomed);
}
root.dataset.ready = "yes";
