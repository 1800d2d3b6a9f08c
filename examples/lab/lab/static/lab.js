// The dashboard: reads the public API, listens to live results, and explores when it is given the key.

const PAGE = 25;
const LIVE = 12;
const state = { offset: 0, total: 0, key: null };
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en-GB");

// ---- the API

async function api(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== "" && value != null);
  const query = new URLSearchParams(given).toString();
  const headers = state.key ? { "X-API-Key": state.key } : {};
  const answer = await fetch(query ? `${path}?${query}` : path, { headers });
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return answer;
}

const json = async (path, params) => (await api(path, params)).json();

// ---- building the page: text only ever enters as text

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawn(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

function row(cells) {
  return element("tr", {}, ...cells.map(([text, kind = ""]) => element("td", { class: kind }, String(text))));
}

function fill(id, rows, columns, nothing) {
  const empty = () => element("tr", {}, element("td", { class: "empty", colspan: columns }, nothing));
  $(id).tBodies[0].replaceChildren(...(rows.length ? rows : [empty()]));
}

const moment = (iso) => iso.slice(0, 16).replace("T", " ");
const month = (iso) => new Date(iso).toLocaleDateString("en-GB", { month: "short", year: "2-digit", timeZone: "UTC" });

// ---- charts

function frame(id, highest, lowest = 0) {
  const box = $(id).getBoundingClientRect();
  const area = { left: 46, right: box.width - 6, top: 10, bottom: box.height - 24 };
  const svg = drawn("svg", { viewBox: `0 0 ${box.width} ${box.height}` });
  const span = highest - lowest || 1;
  const y = (value) => area.bottom - ((value - lowest) / span) * (area.bottom - area.top);
  for (let step = 0; step <= 4; step += 1) {
    const value = lowest + (span * step) / 4;
    svg.append(drawn("line", { class: "grid", x1: area.left, x2: area.right, y1: y(value), y2: y(value) }));
    svg.append(drawn("text", { x: area.left - 8, y: y(value) + 4, "text-anchor": "end" }, number.format(value)));
  }
  return { svg, area, y };
}

function label(svg, area, texts, x) {
  const every = Math.max(1, Math.ceil(texts.length / ((area.right - area.left) / 64)));
  texts.forEach((text, index) => {
    if (index % every === 0) svg.append(drawn("text", { x: x(index), y: area.bottom + 18, "text-anchor": "middle" }, text));
  });
}

function drawActivity(points) {
  const { svg, area, y } = frame("activity", Math.max(4, ...points.map((point) => point.count)));
  const slot = (area.right - area.left) / Math.max(points.length, 12);
  points.forEach(({ count, month: start }, index) => {
    const bar = drawn("rect", {
      class: "bars", x: area.left + index * slot + slot * 0.14, width: slot * 0.72, rx: 2,
      y: y(count), height: Math.max(0, area.bottom - y(count)),
    });
    bar.append(drawn("title", {}, `${month(start)}: ${whole.format(count)} results`));
    svg.append(bar);
  });
  label(svg, area, points.map((point) => month(point.month)), (index) => area.left + (index + 0.5) * slot);
  $("activity").replaceChildren(svg);
}

function drawSeries({ points, unit }) {
  // The band is cut at the usual maximum, or one outlier would flatten every other point.
  const ordered = points.map((point) => point.maximum).sort((a, b) => a - b);
  const ceiling = Math.max(ordered[Math.floor(ordered.length * 0.5)] ?? 1, ...points.map((point) => point.mean)) * 1.1;
  const floor = Math.min(...points.map((point) => point.minimum), ceiling);
  const { svg, area, y } = frame("series", ceiling, floor < ceiling / 3 ? 0 : floor);
  const step = (area.right - area.left) / Math.max(points.length - 1, 1);
  const at = (index, value) => `${(area.left + index * step).toFixed(1)},${y(Math.min(value, ceiling)).toFixed(1)}`;
  const upper = points.map((point, index) => at(index, point.maximum));
  const lower = points.map((point, index) => at(index, point.minimum)).reverse();
  svg.append(drawn("polygon", { class: "band", points: [...upper, ...lower].join(" ") }));
  svg.append(drawn("polyline", { class: "mean", points: points.map((point, index) => at(index, point.mean)).join(" ") }));
  points.forEach((point, index) => {
    const [cx, cy] = at(index, point.mean).split(",");
    const dot = drawn("circle", { class: "dot", cx, cy, r: points.length > 200 ? 1.5 : 3 });
    const range = `${number.format(point.minimum)} to ${number.format(point.maximum)}`;
    dot.append(drawn("title", {}, `${point.start}: mean ${number.format(point.mean)} ${unit}, ${range}, ${point.count} results`));
    svg.append(dot);
  });
  label(svg, area, points.map((point) => month(point.start)), (index) => area.left + index * step);
  $("series").replaceChildren(svg);
}

// ---- overview

async function showOverview() {
  const [page, instruments, methods, activity] = await Promise.all([
    json("/analyses", { limit: 1 }), json("/instruments"), json("/methods"), json("/reports/activity"),
  ]);
  $("figure-total").textContent = whole.format(page.total);
  $("figure-instruments").textContent = instruments.filter((instrument) => instrument.active).length;
  const retired = instruments.filter((instrument) => !instrument.active).length;
  $("figure-retired").textContent = retired ? `at work, ${retired} retired` : "at work";
  $("figure-methods").textContent = methods.length;
  const last = activity.at(-1);
  $("figure-month").textContent = last ? `${whole.format(last.count)} in ${month(last.month)}` : "none yet";
  if (page.items.length) showLast(page.items[0]);
  offer(document.forms.filters.instrument_id, instruments.map(({ id, name }) => [id, name]));
  offer(document.forms.filters.method, methods.map(({ code, title }) => [code, title]));
  offer($("explorer-method"), methods.map(({ code, title }) => [code, title]));
  drawActivity(activity);
  window.addEventListener("resize", () => drawActivity(activity));
}

function showLast(analysis) {
  $("figure-last").textContent = moment(analysis.recorded_at);
  $("figure-last-what").textContent = `${analysis.method}, ${analysis.instrument_name}`;
}

function offer(select, options) {
  select.append(...options.map(([value, text]) => element("option", { value }, text)));
}

// ---- the table

function filters() {
  const chosen = Object.fromEntries(new FormData(document.forms.filters));
  if (chosen.until) {
    // The day in "To" is meant to be included; the API's until is not.
    const day = new Date(chosen.until);
    day.setUTCDate(day.getUTCDate() + 1);
    chosen.until = day.toISOString();
  }
  return chosen;
}

async function showAnalyses() {
  try {
    const page = await json("/analyses", { ...filters(), limit: PAGE, offset: state.offset });
    state.total = page.total;
    fill("analyses", page.items.map(analysisRow), 7, "No results fit these filters.");
    const from = page.total ? page.offset + 1 : 0;
    $("position").textContent = `${whole.format(from)}–${whole.format(page.offset + page.items.length)} of ${whole.format(page.total)}`;
  } catch (problem) {
    state.total = 0;
    fill("analyses", [], 7, problem.status === 400 ? "The period ends before it begins." : "The laboratory does not answer.");
    $("position").textContent = "";
  }
  $("newer").disabled = state.offset === 0;
  $("older").disabled = state.offset + PAGE >= state.total;
}

function analysisRow(analysis) {
  return row([
    [moment(analysis.recorded_at)], [analysis.sample, "code"], [analysis.method], [analysis.result, "n"],
    [analysis.unit], [analysis.instrument_name], [analysis.note ?? ""],
  ]);
}

function turn(pages) {
  state.offset = Math.max(0, state.offset + pages * PAGE);
  showAnalyses();
}

function restart() {
  state.offset = 0;
  showAnalyses();
}

// ---- live results

function listen() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/results?latest=${LIVE}`);
  socket.onopen = () => pulse("live", "live");
  socket.onmessage = (event) => hear(JSON.parse(event.data));
  socket.onclose = () => {
    pulse("lost", "reconnecting");
    setTimeout(listen, 3000);
  };
}

function hear(message) {
  if (message.type === "snapshot") $("live").replaceChildren(...message.analyses.map((analysis) => liveItem(analysis)));
  if (message.type === "analysis") {
    $("live").prepend(liveItem(message.analysis, "fresh"));
    while ($("live").children.length > LIVE) $("live").lastElementChild.remove();
    $("figure-total").textContent = whole.format(Number($("figure-total").textContent.replace(/\D/g, "")) + 1);
    showLast(message.analysis);
    if (state.offset === 0) showAnalyses();
  }
}

function liveItem(analysis, kind = "") {
  const value = element("strong", {}, `${analysis.result} ${analysis.unit}`);
  const when = element("small", {}, `${moment(analysis.recorded_at)} · ${analysis.instrument_name}`);
  return element("li", { class: kind }, element("span", {}, `${analysis.method} · `, element("span", { class: "code" }, analysis.sample)), value, when);
}

function pulse(name, text) {
  $("pulse").dataset.state = name;
  $("pulse").lastElementChild.textContent = text;
}

// ---- the explorer

async function explore() {
  const method = $("explorer-method").value;
  const [series, summary, outliers] = await Promise.all([
    json("/explorer/series", { method, bucket: $("explorer-bucket").value }),
    json("/explorer/summary", { method }),
    json("/explorer/outliers", { method, limit: 8 }),
  ]);
  unlocked(true);
  drawSeries(series);
  fill("summary", summary.map(summaryRow), 5, "No results yet.");
  fill("outliers", outliers.map(outlierRow), 4, "Nothing stands out.");
}

function summaryRow(each) {
  const range = `${number.format(each.minimum)} – ${number.format(each.maximum)}`;
  return row([
    [each.instrument_name], [whole.format(each.count), "n"], [number.format(each.mean), "n"],
    [number.format(each.deviation), "n"], [range, "n"],
  ]);
}

function outlierRow({ analysis, score }) {
  return row([
    [moment(analysis.recorded_at)], [analysis.sample, "code"], [`${analysis.result} ${analysis.unit}`, "n"],
    [`${score > 0 ? "+" : "−"}${Math.abs(score).toFixed(1)} σ`, "n"],
  ]);
}

function unlocked(open) {
  $("unlock").hidden = $("explorer-hint").hidden = open;
  $("explorer-tools").hidden = $("explorer-body").hidden = $("export").hidden = !open;
  $("unlock-problem").textContent = "";
}

function lock(reason = "") {
  state.key = null;
  unlocked(false);
  $("unlock-problem").textContent = reason;
}

async function tryToExplore() {
  try {
    await explore();
  } catch (problem) {
    lock(problem.status === 401 ? "That key is not accepted." : "The laboratory does not answer.");
  }
}

async function download() {
  const answer = await api("/explorer/export.csv", filters());
  const address = URL.createObjectURL(await answer.blob());
  element("a", { href: address, download: "analyses.csv" }).click();
  URL.revokeObjectURL(address);
}

// ---- light and dark

function theme(chosen) {
  document.documentElement.dataset.theme = chosen;
}

// ---- start

theme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("newer").onclick = () => turn(-1);
$("older").onclick = () => turn(1);
$("export").onclick = () => download().catch(() => lock("The export was refused."));
$("lock").onclick = () => lock();
$("explorer-method").onchange = $("explorer-bucket").onchange = tryToExplore;
document.forms.filters.onchange = restart;
document.forms.filters.onsubmit = (event) => { event.preventDefault(); restart(); };
document.forms.filters.onreset = () => setTimeout(restart);
$("unlock").onsubmit = (event) => {
  event.preventDefault();
  state.key = $("key").value;
  $("key").value = "";
  tryToExplore();
};

showOverview().catch(() => pulse("lost", "the laboratory does not answer"));
showAnalyses();
listen();
