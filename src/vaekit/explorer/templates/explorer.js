// The page that explores a model: a map of its rows, and pictures or values that follow the pointer.
// Questions go to the server at "ask/..."; in a page of one file their answers stand in it.
"use strict";

const $ = id => document.getElementById(id);
const MANY_SLIDERS = 20, STEPS = 60;
const NEAR = 12, FAR = 4000;  // pixels
const HAS_WEBGL = Boolean(document.createElement("canvas").getContext("webgl"));
const baked = $("answers") ? JSON.parse($("answers").textContent) : null;

let about = null;      // what the server tells of the model
let places = null;     // {x, y}: of every row on the map
let tints = null;      // what rows are coloured by
let base = [];         // the latent that the sliders show
let given = {};        // the condition
let cursor = null;     // [x, y] on the map
let pair = [];         // one or two rows that were clicked
let chosen = [];       // rows that were drawn around
let shownRow = null;   // the row under the pointer
let sliders = [];      // {dimension, input, output, svg}

// ---------------------------------------------------------------- questions

async function ask(question, asked = {}, signal) {
  if (baked) return answerFromFile(question, asked);
  let reply;
  try {
    reply = await fetch("ask/" + question, {method: "POST", body: JSON.stringify(asked), signal});
  } catch (error) {
    if (error.name !== "AbortError") alarm("The server has ended, and this page no longer answers. Start vaekit explore again, and open the address that it shows.");
    throw error;
  }
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

function answerFromFile(question, asked) {
  const nearest = (list, distance) => list.reduce((best, item) => distance(item) < distance(best) ? item : best);
  const kind = `${asked.kind}:${asked.first}:${asked.second}`;
  switch (question) {
    case "alive": return {};
    case "description": return baked.description;
    case "map": return baked.maps[kind];
    case "colours": return baked.colours[asked.by];
    case "row": return baked.rows[asked.row];
    case "decode_place": {
      const grid = baked.grids[kind];
      return nearest(grid, cell => (cell.place[0] - asked.place[0]) ** 2 + (cell.place[1] - asked.place[1]) ** 2);
    }
    case "decode": {
      const frames = baked.traversals[asked.moved];
      return frames ? nearest(frames, frame => Math.abs(frame.z[asked.moved] - asked.z[asked.moved])) : baked.middle;
    }
    case "neighbours": {
      const near = baked.neighbours[asked.row];
      return {...near, examples: near.rows.map(row => baked.rows[row].original)};
    }
    case "walk": {
      const {start, end} = asked, onward = baked.walks[`${start}:${end}`], walk = onward ?? baked.walks[`${end}:${start}`];
      if (walk.error) throw new Error(walk.error);
      const found = {...walk, places: walk.places[kind]};
      return onward ? found : {...found, examples: found.examples.toReversed(), places: found.places?.toReversed()};
    }
    default: throw new Error("a page of one file has no answer to this; vaekit explore has");
  }
}

// The newest question of a kind: while one is on its way only the latest of those that follow is kept.
class Newest {
  constructor(question, then) { Object.assign(this, {question, then, busy: false, next: null}); }
  ask(asked, local = null) {  // `local` is for what is to be done with the answer, and stays here
    this.next = [asked, local];
    if (!this.busy) this.run();
  }
  drop() { this.next = null; this.stale = true; }
  async run() {
    this.busy = true;
    while (this.next) {
      const [asked, local] = this.next;
      this.next = null;
      this.stale = false;
      try {
        const answer = await ask(this.question, asked);
        if (!this.stale) this.then(answer, local);
      } catch (error) { complain(error); }
    }
    this.busy = false;
  }
}

function alarm(words) { $("alarm").textContent = words; $("alarm").hidden = false; }

function complain(error) {
  if (error.name === "AbortError" || error instanceof TypeError && !$("alarm").hidden) return;
  $("facts").textContent = error.message;
}

function unpack(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

// ---------------------------------------------------------------- writing HTML

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function picture(example, words) {
  if (example.broken) return make("div", {class: "broken"}, "The model gives no finite numbers here.");
  return make("img", {src: example.image, alt: words, draggable: "false"});
}

function putPicture(figure, example, words) {
  const old = figure.querySelector("img, .broken");
  if (old && old.tagName === "IMG" && example.image) {  // no flicker: the same element
    old.src = example.image;
    old.alt = words;
  } else {
    old?.remove();
    figure.prepend(picture(example, words));
  }
  figure.hidden = false;
}

function tableOf(heads, rows) {
  const body = rows.map(([first, ...cells]) => make("tr", {}, make("th", {scope: "row", title: first}, first),
    ...cells.map(cell => cell instanceof Node ? cell : make("td", {}, cell))));
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map(head => make("th", {scope: "col"}, head)))), make("tbody", {}, ...body));
}

const number = value => value === null ? "–" : value.toPrecision(4).replace(/\.?0+(e|$)/, "$1");
const name = dimension => "z" + String(dimension).replace(/\d/g, digit => "₀₁₂₃₄₅₆₇₈₉"[digit]);
const numbered = row => about.numbers ? about.numbers[row] : row;
const noun = () => about.kind === "images" ? "image" : "row";

// ---------------------------------------------------------------- the map

const mapNow = () => ({kind: $("kind").value, first: +$("first").value, second: +$("second").value});
const theme = () => Object.fromEntries(["ink", "card", "line", "muted", "other"].map(name => [name, getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim()]));

function markers() {
  const size = Math.max(3, Math.min(8, 2.2 * Math.sqrt(9000 / about.rows)));
  const marker = {size, opacity: about.rows > 20000 ? 0.6 : 0.85, line: {width: 0}, color: tints.values};
  if (tints.kind === "classes") {
    const count = tints.names.length;
    const steps = tints.names.flatMap((_, i) => [[i / count, hue(i)], [(i + 1) / count, hue(i)]]);
    return {...marker, cmin: -0.5, cmax: count - 0.5, colorscale: steps, showscale: false};
  }
  const high = tints.high > tints.low ? tints.high : tints.low + 1;
  return {...marker, cmin: tints.low, cmax: high, colorscale: "Viridis", showscale: true,
    colorbar: {thickness: 12, outlinewidth: 0, tickfont: {color: theme().muted}, len: 0.9}};
}

const hue = i => tints.names.length === 1 ? about.palette[0] : tints.names[i] === "all others" ? "#8a9299" : about.palette[i % about.palette.length];

function draw() {
  const {ink, card, line, muted, other} = theme();
  const axis = title => ({title: {text: title, font: {size: 13}, standoff: 8}, color: muted, gridcolor: line, zerolinecolor: line, showgrid: true});
  const rows = {type: HAS_WEBGL ? "scattergl" : "scatter", mode: "markers", x: places.x, y: places.y, marker: markers(), hoverinfo: "none",
    unselected: {marker: {opacity: 0.16}}, selectedpoints: chosen.length ? chosen : null};
  const lasting = {hoverinfo: "skip", unselected: {marker: {opacity: 1}, textfont: {color: ink}}};
  const walked = {...lasting, type: "scatter", mode: "lines+markers", x: [], y: [],
    line: {color: ink, width: 2}, marker: {color: card, size: 8, line: {color: ink, width: 2}}};
  const pairs = {...lasting, type: "scatter", mode: "markers+text", x: [], y: [], text: [], textposition: "top center",
    textfont: {color: ink, size: 14, weight: 700, shadow: Array(4).fill(`0 0 3px ${card}`).join(", ")},
    marker: {color: "rgba(0,0,0,0)", size: 15, line: {color: other, width: 3}}};
  const layout = {
    margin: {l: 52, r: 12, t: 30, b: 46}, paper_bgcolor: card, plot_bgcolor: card, font: {color: ink}, showlegend: false,
    xaxis: axis(places.names[0]), yaxis: {...axis(places.names[1]), visible: places.names[1] !== ""},
    dragmode: "lasso", hovermode: false, uirevision: JSON.stringify(mapNow()), modebar: {bgcolor: card, color: muted, activecolor: ink},
  };
  // Named one by one: among plotly's own there is one that sends the points to a server of theirs.
  const buttons = [["zoom2d", "pan2d", "select2d", "lasso2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = {responsive: true, displaylogo: false, scrollZoom: true, displayModeBar: true, modeBarButtons: buttons};
  return Plotly.react($("map"), [rows, walked, pairs], layout, config);
}

async function changeMap() {
  const asked = JSON.stringify(mapNow());
  $("map-status").textContent = $("kind").value === "umap" ? "Computing the map: some seconds, and the longer the more rows there are." : "";
  const found = await ask("map", mapNow()).finally(() => { $("map-status").textContent = ""; });
  if (asked !== JSON.stringify(mapNow())) return;  // another map was chosen meanwhile
  places = {x: unpack(found.x), y: unpack(found.y), names: found.names};
  index = null;
  for (const label of document.querySelectorAll(".axis")) label.hidden = $("kind").value !== "dimensions" || about.dimensions.length === 1;
  $("map").setAttribute("aria-label", `Map of ${about.rows} ${noun()}s: ${found.names.filter(Boolean).join(" across, ")}${found.names[1] ? " up" : " across"}`);
  await draw();
  await drawPair();
  decodeBase(null, true);
}

async function changeColour() {
  $("scale").textContent = "Computing …";
  try {
    const found = await ask("colours", {by: $("colour").value});
    tints = {...found, values: unpack(found.values)};
  } catch (error) {
    $("scale").textContent = error.message;
    return;
  }
  const named = $("colour").selectedOptions[0].textContent;
  $("scale").textContent = tints.kind === "numbers" ? `Colour: ${named}${tints.unit ? ` (${tints.unit})` : ""}${tints.values.some(Number.isNaN) ? "; dark grey where there is no value" : ""}` : "";
  const legend = tints.kind === "classes" && tints.names.length > 1 ? tints.names : [];
  $("legend").replaceChildren(...legend.map((text, i) => make("li", {}, make("button", {type: "button", onclick: () => choose(rowsOfClass(i))},
    make("span", {class: "dot", style: `background: ${hue(i)}`, "aria-hidden": "true"}), text))));
  if (places) await draw();
}

const rowsOfClass = i => { const rows = []; tints.values.forEach((value, row) => { if (value === i) rows.push(row); }); return rows; };

// The rectangle of the plot on the screen, and the axes' ranges: where the pointer is on the map.
function geometry() {
  const box = $("map").querySelector(".nsewdrag").getBoundingClientRect();
  return {box, across: $("map").layout.xaxis.range, up: $("map").layout.yaxis.range};
}

function placeOf(clientX, clientY) {
  const {box, across, up} = geometry();
  const u = (clientX - box.left) / box.width, v = (box.bottom - clientY) / box.height;
  if (u < 0 || u > 1 || v < 0 || v > 1) return null;
  return [across[0] + u * (across[1] - across[0]), up[0] + v * (up[1] - up[0])];
}

let index = null;  // rows by cell of a grid, to find those near a place

function rowsNear([x, y], radius) {
  const {box, across, up} = geometry();
  const rx = radius * (across[1] - across[0]) / box.width, ry = radius * (up[1] - up[0]) / box.height;
  index ??= gridOf(places);
  const found = [];
  for (const row of index.within(x - rx, x + rx, y - ry, y + ry)) {
    const away = Math.hypot((places.x[row] - x) / rx, (places.y[row] - y) / ry);
    if (away <= 1) found.push([away, row]);
  }
  return found.sort((a, b) => a[0] - b[0]).map(pair => pair[1]);
}

function gridOf({x, y}) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < x.length; i++) {
    left = Math.min(left, x[i]); right = Math.max(right, x[i]); low = Math.min(low, y[i]); high = Math.max(high, y[i]);
  }
  const side = Math.max(1, Math.min(400, Math.ceil(Math.sqrt(x.length))));
  const column = value => Math.max(0, Math.min(side - 1, Math.floor((value - left) / (right - left || 1) * side)));
  const line = value => Math.max(0, Math.min(side - 1, Math.floor((value - low) / (high - low || 1) * side)));
  const cells = Array.from({length: side * side}, () => []);
  for (let i = 0; i < x.length; i++) cells[line(y[i]) * side + column(x[i])].push(i);
  return {
    * within(x0, x1, y0, y1) {
      for (let j = line(y0); j <= line(y1); j++)
        for (let i = column(x0); i <= column(x1); i++) yield* cells[j * side + i];
    },
  };
}

function moveCross(place) {
  cursor = place;
  $("cross").hidden = !place;
  if (!place) return;
  const {box, across, up} = geometry(), frame = $("frame").getBoundingClientRect();
  const x = box.left - frame.left + box.width * (place[0] - across[0]) / (across[1] - across[0]);
  const y = box.bottom - frame.top - box.height * (place[1] - up[0]) / (up[1] - up[0]);
  $("cross").style.left = `${x}px`;
  $("cross").style.top = `${y}px`;
  $("cross").hidden = x < 0 || y < 0 || x > frame.width || y > frame.height;
}

function lookAt(place) {
  moveCross(place);
  const [row] = rowsNear(place, about.codes ? FAR : NEAR);  // between codes there is nothing: the nearest row
  if (row !== undefined) showRow(row);
  else {
    forgetRow();
    decodeLatent.drop();
    decodePlace.ask({...mapNow(), place, base, given});
  }
}

function onPointer() {
  const map = $("map");
  let pressed = null;
  map.addEventListener("pointermove", event => {
    if (event.buttons || pressed) return;
    const place = placeOf(event.clientX, event.clientY);
    if (place) lookAt(place);
  });
  // A click is a press without a move: with one it is plotly's, who draws around rows.
  map.addEventListener("pointerdown", event => { pressed = {x: event.clientX, y: event.clientY, moved: false}; }, true);
  addEventListener("pointermove", event => {
    if (pressed && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 4) pressed.moved = true;
  }, true);
  addEventListener("pointerup", event => {
    const clicked = pressed && !pressed.moved;
    pressed = null;
    if (!clicked) return;
    const place = placeOf(event.clientX, event.clientY);
    if (!place) return;
    lookAt(place);
    const [row] = rowsNear(place, NEAR);
    if (row !== undefined) click(row);
  }, true);
  map.addEventListener("keydown", event => {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    const {across, up} = geometry();
    if (event.key in moves) {
      const [dx, dy] = moves[event.key].map(step => step * (event.shiftKey ? 5 : 1) / STEPS);
      const from = cursor ?? [(across[0] + across[1]) / 2, (up[0] + up[1]) / 2];
      lookAt([from[0] + dx * (across[1] - across[0]), from[1] + dy * (up[1] - up[0])]);
    } else if (event.key === "Enter" && cursor) {
      const [row] = rowsNear(cursor, FAR);
      if (row !== undefined) { lookAt([places.x[row], places.y[row]]); click(row); }
    } else if (event.key === "Escape") letGo();
    else return;
    event.preventDefault();
  });
  map.on("plotly_selected", event => { if (event) choose(event.points.filter(point => point.curveNumber === 0).map(point => point.pointIndex)); });
  map.on("plotly_deselect", () => choose([]));
  map.on("plotly_relayout", () => { if (cursor) moveCross(cursor); });
}

// ---------------------------------------------------------------- what is decoded

const decodePlace = new Newest("decode_place", answer => { if (shownRow === null) showDecoded(answer, true); });
const decodeLatent = new Newest("decode", (answer, moves) => {
  if (answer.place && moves) moveCross(answer.place);
  showDecoded(answer, false);
});
const askRow = new Newest("row", answer => { if (shownRow === answer.row) putRow(answer); });

function decodeBase(moved = null, moves = false) {
  decodePlace.drop();
  const asked = {...mapNow(), z: base, given};
  if (about.codes && !baked) return askCodes();
  if (baked) asked.moved = moved;
  decodeLatent.ask(asked, moves);
}

function showDecoded(answer, follow) {
  for (const id of ["original", "reconstruction"]) $(id).hidden = true;
  if (about.kind === "images") putPicture($("at-cursor"), answer, "The decoded image at the cross");
  else putValues([["decoded", answer]]);
  if (follow && answer.z) setSliders(answer.z);
  $("facts").textContent = answer.broken ? "The model gives no finite numbers here." : answer.z && answer.z.length <= 8 ? `z = (${answer.z.map(number).join(", ")})` : "";
  speak("Decoded a place without a row");
}

function showRow(row) {
  if (row === shownRow) return;
  shownRow = row;
  decodePlace.drop();
  decodeLatent.drop();
  askRow.ask({row});
}

function forgetRow() {
  if (shownRow === null) return;
  shownRow = null;
  drawSpreads(null);
}

function putRow(answer) {
  const title = `${noun()} ${answer.number}${answer.label === null ? "" : `, label ${answer.label}`}`;
  if (about.kind === "images") {
    $("at-cursor").hidden = true;
    putPicture($("original"), answer.original, title);
    putPicture($("reconstruction"), answer.reconstruction, `Reconstruction of ${title}`);
  } else putValues([["row", answer.original], ["reconstruction", answer.reconstruction]]);
  const scores = Object.entries(answer.scores).map(([what, value]) => `${what} ${number(value)} nats`);
  const told = Object.entries(answer.conditions).map(([what, value]) => `${what} ${value}`);
  $("facts").textContent = [title[0].toUpperCase() + title.slice(1), ...told, ...scores].join(" · ");
  speak($("facts").textContent);
  setSliders(answer.z);
  drawSpreads(answer);
  if (answer.codes) putCodes(answer.codes);
}

let speech = null;
function speak(words) {  // once the pointer rests, so that a screen reader is not flooded
  clearTimeout(speech);
  speech = setTimeout(() => { if ($("spoken").textContent !== words) $("spoken").textContent = words; }, 400);
}

function rangeBar(place) {
  if (place === null) return make("td", {}, "");
  const shown = Math.max(0, Math.min(1, place));
  return make("td", {}, make("div", {class: "range", "aria-hidden": "true"}, make("i", {style: `left: ${100 * shown}%`})));
}

function putValues(columns) {
  const broken = columns.find(([, example]) => example.broken);
  $("at-cursor").hidden = true;
  $("values").hidden = false;
  if (broken) { $("values").replaceChildren(make("p", {}, "The model gives no finite numbers here.")); return; }
  const last = columns.at(-1)[1];
  const rows = about.columns.map((column, j) => [column, ...columns.map(([, example]) => {
    const place = example.places[j], far = place !== null && (place < -0.05 || place > 1.05);
    return make("td", far ? {class: "far", title: "outside the usual range"} : {}, example.texts[j]);
  }), rangeBar(last.places[j]), make("td", {class: "usual"}, about.usual[j])]);
  const scroll = $("values").scrollTop;
  $("values").replaceChildren(tableOf(["column", ...columns.map(([head]) => head), "", "usual range\n5–95 %"], rows));
  $("values").scrollTop = scroll;
}

// ---------------------------------------------------------------- sliders, conditions, codes

function makeSliders(count) {
  const SVG = "http://www.w3.org/2000/svg";
  sliders = about.dimensions.slice(0, count).map(about_dimension => {
    const {dimension, low, high, histogram, information} = about_dimension;
    const id = `slider-${dimension}`, most = Math.max(...histogram, 1);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 20");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const wide = 100 / histogram.length;
    svg.innerHTML = histogram.map((n, i) => `<rect class="bar" x="${i * wide}" y="${20 - 20 * n / most}" width="${wide}" height="${20 * n / most}"/>`).join("")
      + '<rect class="spread" y="0" height="20" x="0" width="0"/><line class="mean" y1="0" y2="20" x1="-9" x2="-9"/>';
    const input = make("input", {id, type: "range", min: low, max: high, step: (high - low) / 400, value: base[dimension]});
    const output = make("output", {for: id});
    const item = {dimension, input, output, svg, low, high, about: about_dimension};
    input.addEventListener("input", () => {
      base = base.slice();
      base[dimension] = +input.value;
      label(item);
      forgetRow();
      shownRow = null;
      decodeBase(dimension, true);
    });
    const told = about.ranked_by === "kl" ? `${number(information)} nats` : `variance ${number(information)}`;
    item.node = make("div", {class: "slider"}, make("label", {for: id}, name(dimension), make("small", {}, told)), make("div", {class: "track"}, svg, input), output);
    return item;
  });
  $("sliders").replaceChildren(...sliders.map(item => item.node));
  sliders.forEach(label);
  drawSpreads(null);
  const left = about.dimensions.length - count;
  $("more").hidden = left <= 0;
  $("more").textContent = `Show ${Math.min(left, MANY_SLIDERS)} more of ${left} dimensions`;
}

function label(item) {
  item.input.value = base[item.dimension];
  item.output.textContent = base[item.dimension].toFixed(2);
  item.input.setAttribute("aria-valuetext", base[item.dimension].toFixed(2));
}

function setSliders(z) {
  base = z.slice();
  sliders.forEach(label);
}

// The posterior of a row, or where there is none the typical one around the slider: its mean, and two standard deviations.
function drawSpreads(row) {
  for (const item of sliders) {
    const spread = row ? row.spread?.[item.dimension] : item.about.spread;
    const band = item.svg.querySelector(".spread"), mean = item.svg.querySelector(".mean");
    const at = value => Math.max(0, Math.min(100, 100 * (value - item.low) / (item.high - item.low)));
    const centre = row ? row.z[item.dimension] : null;
    if (spread === null || spread === undefined || centre === null) {
      band.setAttribute("width", 0);
      mean.setAttribute("x1", -9); mean.setAttribute("x2", -9);
      continue;
    }
    const from = at(centre - 2 * spread);
    band.setAttribute("x", from);
    band.setAttribute("width", at(centre + 2 * spread) - from);
    mean.setAttribute("x1", at(centre)); mean.setAttribute("x2", at(centre));
  }
}

function makeConditions() {
  $("conditions").hidden = !about.conditions.length;
  for (const {name: told, categories, value} of about.conditions) {
    given[told] = value;
    const field = categories
      ? make("select", {}, ...categories.map(category => make("option", category === value ? {selected: ""} : {}, category)))
      : make("input", {type: "text", inputmode: "decimal", value});
    field.disabled = Boolean(baked);  // decoded beforehand, with this one
    field.addEventListener("change", () => { given = {...given, [told]: field.value}; forgetRow(); decodeBase(); });
    $("conditions").append(make("label", {}, `${told} `, field));
  }
}

const decodeCodes = new Newest("decode_codes", answer => showDecoded(answer, false));
const codesNow = () => [...$("codes").querySelectorAll("input")].map(input => +input.value);

function askCodes() {
  const codes = codesNow();
  if (codes.length && codes.every(code => Number.isInteger(code) && code >= 0 && code < about.codes.codes)) decodeCodes.ask({codes, given});
}

function makeCodes() {
  const {positions, codes, start} = about.codes, side = Math.round(Math.sqrt(positions));
  $("sliders-title").textContent = "Codes";
  $("codes").hidden = false;
  $("sliders").hidden = $("reset").hidden = true;
  if (side * side === positions && side <= 10) $("codes").style.gridTemplateColumns = `repeat(${side}, minmax(0, 1fr))`;
  $("codes").replaceChildren(...Array.from({length: positions}, (_, i) => make("input", {type: "number", min: 0, max: codes - 1, step: 1,
    value: start?.[i] ?? 0, "aria-label": `code of position ${i}`, oninput: () => { forgetRow(); askCodes(); }})));
}

function putCodes(codes) {
  $("codes").querySelectorAll("input").forEach((input, i) => { input.value = codes[i]; });
}

// ---------------------------------------------------------------- one row, two rows, many rows

function click(row) {
  pair = pair.length === 1 && pair[0] !== row && !baked ? [pair[0], row] : [row];
  drawPair();
  askNeighbours(row);
}

async function askNeighbours(row) {
  try {
    const near = await ask("neighbours", {row});
    $("near-section").hidden = false;
    $("near-facts").textContent = `Of ${noun()} ${numbered(row)}, by distance in the latent space.`;
    strip($("near"), near, i => `${noun()} ${near.numbers[i]}${near.labels[i] === undefined ? "" : `, ${near.labels[i]}`}, at ${number(near.distances[i])}`);
  } catch (error) { complain(error); }
}

function strip(list, found, words) {
  list.replaceChildren(...found.rows.map((row, i) => {
    const example = found.examples[i];
    const inside = example.image ? picture(example, words(i)) : words(i);
    return make("li", {}, make("button", {type: "button", title: words(i), onclick: () => {
      moveCross([places.x[row], places.y[row]]);
      shownRow = null;
      showRow(row);
    }}, inside));
  }));
}

// Where A and B are written: away from the walk between them.
function sides() {
  const [a, b] = pair.map(row => places.y[row]);
  return a >= b || b === undefined ? ["top center", "bottom center"] : ["bottom center", "top center"];
}

function makeWalks() {
  const ends = [$("walk-from"), $("walk-to")];
  for (const select of ends) {
    options(select, [["", "–"], ...about.typical.map(({row, label}) => [row, `${label ? `${label}: ` : ""}${noun()} ${numbered(row)}`])]);
    select.addEventListener("change", () => {
      const rows = ends.map(end => end.value);
      if (rows.includes("")) return;
      pair = rows[0] === rows[1] ? [+rows[0]] : rows.map(Number);
      drawPair();
    });
  }
  $("walk-section").hidden = about.codes !== null || about.typical.length < 2;
}

async function drawPair() {
  const at = pair.map(row => [places.x[row], places.y[row]]);
  await Plotly.restyle($("map"), {x: [at.map(p => p[0])], y: [at.map(p => p[1])], text: [at.map((_, i) => "AB"[i])], textposition: [sides()]}, [2]);
  if (about.codes) return;
  const shown = pair.length === 2;
  if (shown || !pair.length)
    [$("walk-from"), $("walk-to")].forEach((end, i) => { end.value = about.typical.some(({row}) => row === pair[i]) ? pair[i] : ""; });
  if (!shown) {
    $("walk-facts").textContent = baked ? "Choose two different rows." : "Choose two different rows here, or click two rows on the map.";
    $("walk").replaceChildren();
    $("walk-values").hidden = true;
    await Plotly.restyle($("map"), {x: [[]], y: [[]]}, [1]);
    return;
  }
  const [a, b] = pair.map(row => `${noun()} ${numbered(row)}`), asked = pair;
  try {
    const walk = await ask("walk", {...mapNow(), start: pair[0], end: pair[1], given});
    if (pair !== asked) return;
    $("walk-facts").textContent = `From ${a} (A) to ${b} (B) ${walk.described}, ${number(walk.length)} long, in ${walk.examples.length} equal steps.`;
    await Plotly.restyle($("map"), {x: [(walk.places ?? []).map(p => p[0])], y: [(walk.places ?? []).map(p => p[1])]}, [1]);
    const images = about.kind === "images";
    $("walk-values").hidden = images;
    $("walk").replaceChildren(...(images ? walk.examples.map((example, i) => make("li", {}, picture(example, `Step ${i + 1} of ${walk.examples.length}`))) : []));
    if (!images) $("walk-values").replaceChildren(tableOf(["column", ...walk.examples.map((_, i) => i === 0 ? "A" : i === walk.examples.length - 1 ? "B" : String(i))],
      about.columns.map((column, j) => [column, ...walk.examples.map(example => example.broken ? "–" : example.texts[j])])));
  } catch (error) {
    $("walk-facts").textContent = error.message[0].toUpperCase() + error.message.slice(1) + ".";
    $("walk").replaceChildren();
    $("walk-values").hidden = true;
  }
}

function letGo() {
  pair = [];
  $("near-section").hidden = true;
  drawPair();
  choose([]);
}

async function choose(rows) {
  chosen = rows;
  await Plotly.restyle($("map"), {selectedpoints: [rows.length ? rows : null]}, [0]);
  if (!rows.length) await Plotly.relayout($("map"), {selections: []});
  for (const id of ["csv", "let-go", "apart", "chosen"]) $(id).hidden = !rows.length;
  $("chosen-means").replaceChildren();
  if (!rows.length) { $("chosen-facts").textContent = "None: draw around rows on the map, or press a class of its legend."; return; }
  $("chosen-facts").textContent = `${rows.length.toLocaleString("en")} of ${about.rows.toLocaleString("en")} ${noun()}s.`;
  $("apart").hidden = true;
  if (baked) { showFirstChosen(rows.slice(0, 24).map(row => baked.rows[row])); return; }
  try {
    const found = await ask("selection", {rows});
    if (chosen !== rows) return;
    showSelection(found);
  } catch (error) { $("chosen-facts").textContent = error.message; }
}

const percent = share => `${Math.round(100 * share)} %`;

function showSelection(found) {
  if (found.labels.length)
    $("chosen-facts").textContent += " Labels: " + found.labels.map(({name: text, here, there}) => `${text}: ${percent(here)}, elsewhere ${percent(there)}`).join("; ") + ".";
  if (about.kind === "images") {
    const figures = [["mean", "their mean"], ["difference", "brighter (orange) and darker (purple) than the others"]].filter(([key]) => found[key]);
    $("chosen-means").replaceChildren(...figures.map(([key, words]) => make("figure", {}, picture(found[key], words), make("figcaption", {}, words))));
    const list = make("ol", {class: "strip"});
    strip(list, found, i => `image ${found.numbers[i]}`);
    $("chosen").replaceChildren(list);
    return;
  }
  $("apart").hidden = false;
  $("apart").replaceChildren(tableOf(["column", "here", "elsewhere", "apart (0 to 1)"], found.columns.map(column => [column.name, column.here, column.there, String(column.apart)])));
  $("chosen").replaceChildren(tableOf(["row", ...about.columns], found.examples.map((example, i) => [String(found.numbers[i]), ...(example.texts ?? [])])));
}

function showFirstChosen(rows) {
  if (about.kind === "table") {
    $("chosen").replaceChildren(tableOf(["row", ...about.columns], rows.map(row => [String(row.number), ...(row.original.texts ?? [])])));
    return;
  }
  const list = make("ol", {class: "strip"});
  strip(list, {rows: rows.map(row => row.row), examples: rows.map(row => row.original)}, i => `image ${rows[i].number}`);
  $("chosen").replaceChildren(list);
}

const quoted = cell => /[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;

function csvFromFile(rows) {
  const heads = ["row", ...(rows.some(row => baked.rows[row].label !== null) ? ["label"] : []), ...about.columns, ...base.map((_, j) => `z${j}`)];
  const lines = rows.map(row => baked.rows[row]).map(row => [String(row.number), ...(heads.includes("label") ? [row.label ?? ""] : []), ...(row.original.texts ?? []), ...row.z.map(String)]);
  return [heads, ...lines].map(line => line.map(quoted).join(",") + "\n").join("");
}

async function saveCsv() {
  try {
    const rows = [...chosen].sort((a, b) => a - b);
    const text = baked ? csvFromFile(rows) : await ask("selection_csv", {rows});
    const link = make("a", {href: URL.createObjectURL(new Blob([text], {type: "text/csv"})), download: "chosen-rows.csv"});
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (error) { complain(error); }
}

// ---------------------------------------------------------------- the beginning

function options(select, choices) {
  select.replaceChildren(...choices.map(([value, text]) => make("option", {value}, text)));
}

async function begin() {
  about = await ask("description");
  if (about.numbers) about.numbers = unpack(about.numbers);
  base = about.start;
  const latent = about.dimensions.length, plural = n => `${n.toLocaleString("en")} `;
  $("about").textContent = about.drawn
    ? `${plural(about.rows)}draws from the prior, in ${latent} latent dimension${latent === 1 ? "" : "s"}. Give the data to see its rows.`
    : `${plural(about.rows)}${noun()}s of ${about.source}, in ${latent} latent dimension${latent === 1 ? "" : "s"}.`;
  const notes = [];
  if (about.total > about.rows + about.unusable) notes.push(`The data have ${plural(about.total)}${noun()}s: those shown are evenly spaced among them.`);
  if (about.unusable) notes.push(`${plural(about.unusable)}${noun()}s are left out, which the model encodes to numbers that are not finite.`);
  if (baked) notes.push("This page is one file: decoded on a grid, along each dimension, and between typical rows. vaekit explore decodes anywhere.");
  if (!HAS_WEBGL) notes.push("This browser has no WebGL: drawing many points is slow.");
  $("notes").textContent = notes.join(" ");
  const kinds = {dimensions: latent === 1 ? "the latent dimension" : "two dimensions", components: "principal components", umap: "UMAP (takes a while)"};
  if (about.codes) about.maps.sort();  // principal components first: many rows share the place of two codes
  options($("kind"), about.maps.map(kind => [kind, kinds[kind]]));
  const listed = baked ? about.dimensions.slice(0, 2) : about.dimensions;
  for (const select of [$("first"), $("second")]) options(select, listed.map(({dimension}) => [dimension, name(dimension)]));
  $("first").value = about.dimensions[0].dimension;
  $("second").value = about.dimensions[Math.min(1, latent - 1)].dimension;
  $("first").disabled = $("second").disabled = Boolean(baked);
  options($("colour"), about.colours.map(({key, name: text}) => [key, text]));
  $("sliders-help").textContent = about.codes
    ? `The latents are codes: ${about.codes.positions} positions, each a whole number from 0 to ${about.codes.codes - 1}. Change one to see what it does.`
    : `The most informative first (${about.ranked_by === "kl" ? "mean KL from the prior" : "variance of the codes"}). Behind each slider: the codes of all rows, and of the row under the cross its posterior, two standard deviations to each side.`;
  makeConditions();
  if (about.codes) makeCodes(); else makeSliders(MANY_SLIDERS);
  makeWalks();
  $("help").open = innerWidth > 640;  // on a narrow screen what is decoded follows the map at once
  if (baked) $("nearest-form").hidden = true;
  await changeColour();
  await changeMap();
  onPointer();
  for (const id of ["kind", "first", "second"]) $(id).addEventListener("change", () => changeMap().catch(complain));
  $("colour").addEventListener("change", () => changeColour().catch(complain));
  $("reset").addEventListener("click", () => { forgetRow(); setSliders(about.start); decodeBase(null, true); });
  $("more").addEventListener("click", () => makeSliders(sliders.length + MANY_SLIDERS));
  $("csv").addEventListener("click", saveCsv);
  $("let-go").addEventListener("click", letGo);
  $("nearest-form").addEventListener("submit", event => {
    event.preventDefault();
    const {across, up} = geometry(), from = cursor ?? [(across[0] + across[1]) / 2, (up[0] + up[1]) / 2];
    const away = [...places.x.keys()].map(row => [Math.hypot((places.x[row] - from[0]) / (across[1] - across[0]), (places.y[row] - from[1]) / (up[1] - up[0])), row]);
    choose(away.sort((a, b) => a[0] - b[0]).slice(0, Math.max(1, +$("nearest-count").value)).map(([, row]) => row));
  });
  for (const form of document.forms) form.addEventListener("submit", event => event.preventDefault());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  if (!baked) setInterval(() => ask("alive").catch(() => {}), 2000);
  document.documentElement.dataset.ready = "true";
}

begin().catch(error => alarm(`The page could not begin: ${error.message}`));
