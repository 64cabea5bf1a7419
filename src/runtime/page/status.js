// How the server fares, and what happens.

import { get, report } from "./api.js";
import { ago, by, count, duration, el, figures, several, within } from "./dom.js";
import { on, onState } from "./events.js";

/** Events that are kept in sight. */
const KEPT = 200;

let latest = null;

function show(status) {
  latest = status;
  const { daemon, queue } = status;
  figures(by("status-list"), [
    ["Version", `${status.name} ${status.version}`],
    ["Adapter", status.adapter ?? "no GPU: the CPU runs all"],
    ["Backend", status.backend],
    ["Uptime", duration(status.uptime_s * 1000)],
    ["Queue", `${count(queue.waiting)} of ${count(queue.limit)}`],
    ["Daemon", daemon ? `cycle ${count(daemon.cycle)}` : "none seen"],
    ["Last cycle", daemon ? ago(new Date(Date.now() - 1000 * daemon.idle_s).toISOString()) : "–"],
    ["Runs", count(status.runs_total)],
    ["Failed", count(status.runs_failed)],
    ["Scripts", count(status.scripts)],
    ["Rows of the map", count(status.map_rows)],
    ["Disk", status.disk_full ? el("span", { class: "bad" }, "full") : "has room"],
    ["Data", status.data, "whole"],
  ]);
  document.dispatchEvent(new CustomEvent("disk", { detail: status.disk_full }));
  headline();
}

let link = "waiting";

/** The line in the head of the page: whether events come, and the daemon's cycle. */
function headline() {
  const cycle = latest?.daemon ? `, cycle ${count(latest.daemon.cycle)}` : "";
  by("link").dataset.state = link;
  const words = { waiting: "Connecting", lost: "No connection", live: `Live${cycle}` }[link];
  if (by("link-text").textContent !== words) by("link-text").textContent = words;
}

/** What an event says, as a line of text. */
function line(data, kind) {
  switch (kind) {
    case "run": {
      const how = [
        Number.isInteger(data.script) ? `script ${data.script}` : (data.script ?? "asked for"),
        data.backend && data.backend !== "none" ? data.backend.toUpperCase() : null,
        Number.isFinite(data.duration_ms) ? duration(data.duration_ms) : null,
        Number.isFinite(data.cycles) ? several(data.cycles, "cycle") : null,
      ];
      return [
        el("span", { class: `badge ${data.status}` }, data.status),
        ` ${how.filter(Boolean).join(", ")}`,
      ];
    }
    case "cycle":
      return [`${count(data.cycle)}: ${count(data.ran)} ran, ${count(data.failed)} failed`];
    case "script":
      return [`${data.name ?? data.id} ${data.change}`];
    case "cartridge":
      return [`${data.id} ${data.change}`];
    default:
      return [data.message ?? ""];
  }
}

function add(data, kind) {
  const feed = by("feed");
  feed.querySelector(".none")?.remove();
  const now = new Date();
  const time = el(
    "time",
    { datetime: now.toISOString() },
    now.toLocaleTimeString([], { hour12: false }),
  );
  feed.prepend(
    el("li", {}, time, el("span", { class: "kind" }, kind), el("span", {}, ...line(data, kind))),
  );
  while (feed.childElementCount > KEPT) feed.lastElementChild.remove();
}

const refresh = () =>
  get("/status").then(show, (problem) => {
    if (problem.status) report(problem); // that nothing answers, the head of the page says
  });

export const view = {
  title: "Status",
  start() {
    by("feed").append(
      el("li", { class: "none" }, "Nothing has happened since this page was opened."),
    );
    const soon = within(250, refresh);
    on(["run", "cycle", "script", "cartridge", "notice"], (data, kind) => {
      add(data, kind);
      if (kind === "cycle" && latest) {
        latest.daemon = { cycle: data.cycle, idle_s: 0 };
        headline();
      }
      if (kind === "cycle" || !by("view-status").hidden) soon();
    });
    onState((state) => {
      link = state;
      headline();
      if (state === "live") refresh();
    });
    setInterval(() => document.hidden || refresh(), 10_000);
    refresh();
  },
  show() {
    refresh();
  },
};
