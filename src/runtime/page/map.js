// The map: every run there ever was, and what came from what.

import { address, get, report } from "./api.js";
import { ago, by, count, el, settled, several, within } from "./dom.js";
import { on } from "./events.js";
import { Plane, look } from "./plane.js";
import { edit } from "./program.js";
import { names } from "./scripts.js";

/** Rows that a request asks for, and that are kept while the plane is moved. */
const MOST = 2000;
const KEPT = 20_000;

/** Cycles that are shown at first. */
const LATEST = 48;

let plane;
let rows = new Map();
let newest = null;
let following = true; // until the plane is moved by hand
let begun = false;
let loading = null;

/** Loads what is seen, and as much again around it for the lines that lead there. */
async function load() {
  if (by("view-map").hidden) return;
  loading?.abort();
  const mine = (loading = new AbortController());
  const [x0, y0, x1, y1] = plane.seen;
  const [wide, high] = [(x1 - x0) / 2, (y1 - y0) / 2];
  const ends = [
    Math.max(0, Math.floor(x0 - wide)),
    Math.max(0, Math.floor(y0 - high)),
    Math.max(0, Math.ceil(x1 + wide)),
    Math.max(0, Math.ceil(y1 + high)),
  ];
  const [a, b, c, d] = ends;
  try {
    const { items } = await get(
      `/api/map/region?x0=${a}&y0=${b}&x1=${c}&y1=${d}&limit=${MOST}`,
      mine.signal,
    );
    if (rows.size + items.length > KEPT)
      rows = new Map([...rows].filter(([id]) => id === plane.selected || plane.kin.has(id)));
    for (const row of items) rows.set(row.id, row);
    plane.rows = rows;
    legend();
    const all = newest ? `${several(newest.id, "row")}` : "";
    by("map-count").textContent =
      items.length >= MOST ? `${all}, ${count(MOST)} of those here are shown` : all;
  } catch (problem) {
    report(problem);
  }
}

/** The kinds that are on the plane, in their colours, which the plane takes from here. */
function legend() {
  const kinds = [...new Set([...rows.values()].map(look))].sort();
  const shown = [...by("legend").children].map((item) => item.dataset.kind);
  if (kinds.join() !== shown.join()) {
    by("legend").replaceChildren(
      ...kinds.map((kind) => el("li", { "data-kind": kind }, el("i"), el("span", {}, kind))),
    );
    colours();
  }
}

function colours() {
  const colour = (element) => getComputedStyle(element).color;
  const probe = by("map-keys");
  const kinds = [...by("legend").children].map((item) => [item.dataset.kind, colour(item)]);
  plane.style = {
    kinds: Object.fromEntries(kinds),
    text: colour(by("title-map")),
    dim: colour(probe),
    line: getComputedStyle(by("row")).borderTopColor,
    accent: colour(by("map-verify")),
    font: `12px ${getComputedStyle(probe).fontFamily}`,
  };
}

/** A way to another row. */
const kin = (id) =>
  el("button", { type: "button", class: "quiet kin", onclick: () => choose(id, true) }, `#${id}`);

/** A row's result: the JSON of a run, or words. */
function read(result) {
  try {
    return JSON.parse(result);
  } catch {
    return null;
  }
}

/** What a script's run drew; of other runs only the hash is kept. */
function picture(row, result) {
  if (row.kind !== "run" || !row.y || !row.run_id || !result?.canvas_sha256) return null;
  const [width, height] = result.canvas ?? [];
  const zoom = Math.max(1, Math.min(Math.floor(300 / width), Math.floor(240 / height)));
  const source = address(`/api/runs/${row.run_id}/canvas.png`);
  const size = { width: width * zoom, height: height * zoom };
  return el("img", { class: "drawn", src: source, alt: "What it drew", ...size });
}

function details(row, children) {
  const result = read(row.result);
  const pair = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];
  const parents = [row.parent_iteration, row.parent_b].filter(
    (id) => id !== null && id !== undefined,
  );
  const shown = children.slice(0, 12).flatMap((child) => [kin(child.id), " "]);
  if (children.length > 12) shown.push(`and ${count(children.length - 12)} more`);
  const list = [
    pair("Cycle", count(row.iteration)),
    pair(
      "Place",
      `${row.x}, ${row.y}`,
      row.y && plane.names.has(row.y) ? ` (${plane.names.get(row.y)})` : "",
    ),
    pair("When", ago(row.timestamp)),
    parents.length
      ? pair(parents.length > 1 ? "Parents" : "Parent", ...parents.flatMap((id) => [kin(id), " "]))
      : [],
    shown.length ? pair("Children", ...shown) : [],
    row.score === null || row.score === undefined ? [] : pair("Score", String(row.score)),
    row.operator ? pair("Operator", row.operator) : [],
    row.seed === null || row.seed === undefined ? [] : pair("Seed", String(row.seed)),
    row.run_id ? pair("Run", String(row.run_id)) : [],
    row.goal_id ? pair("Goal", String(row.goal_id)) : [],
    pair("Hash", el("code", {}, row.row_hash)),
  ];
  const part = (name, words) =>
    words
      ? [el("h3", {}, name), el("pre", { class: "text", tabindex: 0, "aria-label": name }, words)]
      : [];
  const open = row.code
    ? [
        el(
          "p",
          {},
          el(
            "button",
            { type: "button", class: "quiet", onclick: () => edit(row.code) },
            "Open the code in the editor",
          ),
        ),
      ]
    : [];
  by("map-said").textContent =
    `Row ${row.id}, ${row.kind}${row.task_description ? `: ${row.task_description}` : ""}`;
  by("row").replaceChildren(
    el("h2", {}, `Row ${row.id}`, el("span", { "data-kind": row.kind }, row.kind)),
    row.task_description ? el("p", {}, row.task_description) : "",
    el("dl", {}, ...list.flat()),
    picture(row, result) ?? "",
    ...part("Result", result ? JSON.stringify(result, null, 2) : row.result),
    ...part("Analysis", row.analysis),
    ...part("Code", row.code),
    ...open,
  );
}

/** Chooses a row, shows its details, and draws the lines of its ancestors and children. */
async function choose(id, reveal = false) {
  plane.selected = id;
  plane.kin = new Set([id]);
  plane.redraw();
  try {
    const [row, { items, children }] = await Promise.all([
      get(`/api/map/${id}`),
      get(`/api/map/${id}/lineage`),
    ]);
    if (plane.selected !== id) return;
    for (const one of [...items, row, ...children]) {
      rows.set(one.id, one);
      plane.kin.add(one.id);
    }
    plane.rows = rows;
    legend();
    details(row, children);
    if (reveal) {
      following = false;
      plane.reveal(row.x, row.y);
    }
  } catch (problem) {
    report(problem);
  }
}

/** Shows the latest cycles, and goes along with the next ones. */
async function latest() {
  following = true;
  const { items } = await get("/api/map?limit=1");
  newest = items[0] ?? null;
  const end = Math.max((newest?.x ?? 0) + 2, LATEST / 4);
  plane.show([Math.max(0, end - LATEST), 0, end, Math.max(...plane.names.keys(), 3) + 1.5]);
}

async function all() {
  following = false;
  const { items } = await get("/api/map?limit=1");
  newest = items[0] ?? null;
  plane.show([0, 0, (newest?.x ?? 0) + 2, Math.max(...plane.names.keys(), 3) + 1.5]);
}

function first() {
  const [x0, y0, x1, y1] = plane.seen;
  following = false;
  plane.show([0, 0, x1 - x0, y1 - y0], Infinity);
}

async function verify() {
  const note = by("map-said");
  note.textContent = "Verifying…";
  const answer = await get("/api/map/verify");
  note.textContent = answer.whole
    ? `The chain is whole: ${several(answer.rows, "row")}, head ${answer.head.slice(0, 12)}`
    : `The chain is broken at row ${answer.id}: ${answer.why}`;
}

export const view = {
  title: "Map",
  start() {
    const soon = settled(120, load);
    const moved = (byHand) => {
      if (byHand) following = false;
      soon();
    };
    const act = (what) => () => Promise.resolve(what()).catch(report);
    plane = new Plane(by("plane"), {
      chosen: (id) => choose(id),
      moved,
      all: act(all),
      latest: act(latest),
      first,
    });
    by("map-in").addEventListener("click", () => plane.zoom(1.6));
    by("map-out").addEventListener("click", () => plane.zoom(1 / 1.6));
    by("map-fit").addEventListener("click", act(all));
    by("map-latest").addEventListener("click", act(latest));
    by("map-verify").addEventListener("click", act(verify));
    by("row").append(
      el(
        "p",
        { class: "dim" },
        "Click a square, or step through them with , and . to see what it is and what it came from.",
      ),
    );
    const news = within(600, () => (following ? latest() : load()).catch(report));
    on(["run", "cycle"], () => !by("view-map").hidden && news());
    document.addEventListener("theme", colours);
  },
  async show() {
    try {
      plane.names = new Map([[0, "API"], ...(await names())]);
      if (!begun || following) await latest();
      else await load();
      begun = true;
    } catch (problem) {
      report(problem);
    }
  },
};
