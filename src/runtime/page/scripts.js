// The daemon's scripts: what they drew last, how they fare, and new ones.

import { address, filled, get, paged, patch, post, report } from "./api.js";
import { ago, by, count, duration, el, folding, refill, several, within } from "./dom.js";
import { on } from "./events.js";
import { edit, text } from "./program.js";

let list;
let items = [];

const path = (script) => `/api/scripts/${encodeURIComponent(script.id)}`;

function picture(script) {
  const { last } = script;
  if (!last?.canvas || !last.canvas_sha256) return el("div", { class: "blank" });
  const [width, height] = last.canvas;
  const source = address(`${path(script)}/canvas.png?v=${last.canvas_sha256.slice(0, 16)}`);
  return el("img", {
    src: source,
    alt: `Last canvas of ${script.name}, ${width} by ${height}`,
    width: 96,
    height: 48,
  });
}

function outcome({ last }) {
  if (!last) return [el("span", { class: "dim" }, "never run")];
  const figures = [
    last.backend && last.backend !== "none" ? last.backend.toUpperCase() : null,
    Number.isFinite(last.duration_ms) ? duration(last.duration_ms) : null,
  ];
  const said = (last.status === "ok" ? last.stdout : last.stderr || last.stdout || "").trim();
  return [
    el(
      "p",
      {},
      el("span", { class: `badge ${last.status}` }, last.status),
      " ",
      figures.filter(Boolean).join(", "),
    ),
    el("p", { class: "small" }, ago(last.started_at)),
    said
      ? el(
          "details",
          {},
          el("summary", {}, last.status === "ok" ? "Output" : "What it said"),
          el("pre", { class: "text" }, said),
        )
      : null,
  ];
}

/** Runs `act`, with the button out of use meanwhile, then shows what has come of it. */
async function doing(button, act) {
  button.setAttribute("aria-disabled", "true"); // it keeps the focus
  try {
    await act();
  } catch (problem) {
    report(problem);
  }
  button.removeAttribute("aria-disabled");
  await refresh();
}

function row(script) {
  const { name, enabled } = script;
  const button = (act, label, run) =>
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        "data-act": act,
        "aria-label": `${label} ${name}`,
        onclick: ({ currentTarget }) => currentTarget.ariaDisabled || doing(currentTarget, run),
      },
      label,
    );
  const next = !enabled ? "off" : script.next_run_at ? ago(script.next_run_at) : "next cycle";
  const every = script.interval_s ? `every ${duration(script.interval_s * 1000)}` : "every cycle";
  const why =
    !enabled && script.disabled_reason
      ? el("p", { class: "small bad" }, script.disabled_reason)
      : null;
  const failing = script.fail_streak
    ? el("p", { class: "small bad" }, `${several(script.fail_streak, "failure")} in a row`)
    : null;
  const open =
    script.lang === "pixel"
      ? el(
          "button",
          { type: "button", class: "quiet", onclick: () => edit(script.code) },
          "Open in the editor",
        )
      : null;
  return el(
    "tr",
    { "data-name": name, class: enabled ? null : "off" },
    el("td", { class: "shot" }, picture(script)),
    el(
      "td",
      {},
      el("p", { class: "name" }, name),
      el(
        "p",
        { class: "small" },
        [script.lang, script.origin === "user" ? null : script.origin, script.purpose]
          .filter(Boolean)
          .join(" · "),
      ),
      why,
      el(
        "details",
        {},
        el("summary", {}, "Code"),
        el("pre", { class: "text", tabindex: 0, "aria-label": `Code of ${name}` }, script.code),
        open,
      ),
    ),
    el("td", { class: "last" }, ...outcome(script)),
    el(
      "td",
      { class: "number", "data-label": "Runs" },
      `${count(script.success_count)} of ${count(script.run_count)}`,
      failing,
    ),
    el("td", { "data-label": "Next" }, el("span", {}, next), el("p", { class: "small" }, every)),
    el(
      "td",
      { class: "does" },
      el(
        "div",
        { class: "actions" },
        button("run", "Run", () => post(`${path(script)}/run`)),
        enabled
          ? button("switch", "Disable", () => patch(path(script), { enabled: false }))
          : button("switch", "Enable", () => patch(path(script), { enabled: true })),
      ),
    ),
  );
}

function draw(rest) {
  const body = by("script-table").tBodies[0];
  refill(body, items, row);
  if (!items.length) {
    body.append(
      el(
        "tr",
        { class: "empty-row" },
        el(
          "td",
          { colspan: 6 },
          "No scripts yet. The daemon runs those that are added here, cycle after cycle.",
        ),
      ),
    );
  }
  const on = items.filter((script) => script.enabled).length;
  const all = `${several(items.length, "script")}${rest ? " and more" : ""}`;
  by("scripts-count").textContent = items.length ? `${all}, ${count(on)} enabled` : "";
}

const refresh = () => list.first(items.length).catch(report);

async function add(event) {
  event.preventDefault();
  const form = event.target;
  const said = form.querySelector(".form-error");
  said.textContent = "";
  try {
    await post("/api/scripts", filled(form));
    form.reset();
    fold(false);
    by("script-open").focus();
    await refresh();
  } catch (problem) {
    const places = (problem.errors ?? []).map(
      (fault) => `${fault.line}:${fault.column} ${fault.message}`,
    );
    said.textContent = places.length ? places.join("; ") : problem.message;
  }
}

let fold;

/** Names of all scripts by their ids, for the map. */
export async function names() {
  const { items } = await get("/api/scripts?limit=500");
  return new Map(items.map((script) => [script.id, script.name]));
}

export const view = {
  title: "Scripts",
  start() {
    list = paged(
      () => "/api/scripts",
      by("scripts-more"),
      (page, more, rest) => {
        items = more ? [...items, ...page] : page;
        draw(rest);
      },
    );
    fold = folding(by("script-open"), by("script-form"), by("script-close"));
    by("script-form").addEventListener("submit", add);
    by("script-take").addEventListener("click", () => {
      by("script-form").elements.code.value = text();
      by("script-form").elements.lang.value = "pixel";
    });
    const again = within(400, () => refresh());
    on(["run", "script", "cycle"], (data, kind) => {
      if (!by("view-scripts").hidden && (kind !== "run" || data.script)) again();
    });
  },
  show() {
    refresh();
  },
};
