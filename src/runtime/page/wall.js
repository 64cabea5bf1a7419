// Cartridges as a wall of pictures.

import { address, paged, post, remove, report } from "./api.js";
import { by, count, duration, el, refill, several, within } from "./dom.js";
import { on } from "./events.js";
import { open } from "./program.js";
import { paint } from "./screen.js";

let list;
let items = [];

/** What cartridges drew since the page was opened, by their files. */
const drawn = new Map();

/** Runs a cartridge and puts what it draws in place of its label. */
async function run(item, card) {
  const result = card.querySelector(".result");
  result.classList.remove("bad");
  result.textContent = "Running…";
  try {
    const path = `/api/cartridges/${encodeURIComponent(item.id)}/run`;
    const run = await post(path, { canvas: "base64" });
    const did = `${several(run.cycles_executed, "cycle")}, ${duration(run.execution_time_ms)}, ${run.backend_used.toUpperCase()}`;
    result.textContent = run.success ? did : run.error;
    result.classList.toggle("bad", !run.success);
    if (run.canvas_data) {
      const canvas = el("canvas", {
        role: "img",
        "aria-label": `Canvas of ${item.name ?? item.slug}`,
      });
      paint(canvas, run.canvas, run.canvas_data);
      drawn.set(item.checksum, [canvas, result.textContent]);
      card.querySelector(".picture").replaceChildren(canvas);
    }
  } catch (problem) {
    result.textContent = problem.message;
    result.classList.add("bad");
  }
}

/** Takes a cartridge off the wall, when the person is sure. */
async function discard(item, name) {
  const dialog = by("sure");
  by("sure-what").textContent = `Delete ${name}?`;
  dialog.returnValue = "cancel"; // Escape closes without a value of its own
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "ok") return;
  await remove(`/api/cartridges/${encodeURIComponent(item.id)}`);
  await list.first(items.length - 1);
  by("title-cartridges").focus();
}

function card(item) {
  const name = item.name || item.slug;
  const show = () => open(item.id).catch(report);
  const image = el("img", {
    src: address(
      `/api/cartridges/${encodeURIComponent(item.id)}/image.png?v=${item.checksum.slice(0, 16)}`,
    ),
    alt: `Label of ${name}`,
    width: 256,
    height: 128,
    loading: "lazy",
    decoding: "async",
  });
  const [canvas, outcome] = drawn.get(item.checksum) ?? [];
  const { author, tags } = item.meta ?? {};
  const maker = author ? el("p", { class: "dim" }, `by ${author}`) : null;
  const marks = (Array.isArray(tags) ? tags : []).flatMap((tag) => [
    el("span", { class: "tag" }, String(tag)),
    " ",
  ]);
  const runs = item.executed_count ? `run ${several(item.executed_count, "time")}` : "";
  const made = el(
    "li",
    { class: "card", "data-slug": item.slug },
    el(
      "button",
      {
        type: "button",
        class: "picture",
        "aria-label": `Open ${name} in the editor`,
        onclick: show,
      },
      canvas ?? image,
    ),
    el(
      "div",
      { class: "about" },
      el("p", { class: "name" }, name),
      maker,
      marks.length ? el("p", {}, ...marks) : null,
      el("p", { class: "result dim", role: "status" }, outcome ?? runs),
    ),
    el(
      "div",
      { class: "actions" },
      el(
        "button",
        { type: "button", class: "quiet", onclick: show, "aria-label": `Open ${name}` },
        "Open",
      ),
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => run(item, made),
          "aria-label": `Run ${name}`,
        },
        "Run",
      ),
      el("span", { class: "grow" }),
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => discard(item, name).catch(report),
          "aria-label": `Delete ${name}`,
        },
        "Delete",
      ),
    ),
  );
  return made;
}

function fill(page, more, rest) {
  items = more ? [...items, ...page] : page;
  refill(by("wall"), items, card);
  by("wall-count").textContent = items.length
    ? `${count(items.length)}${rest ? ", and more" : ""}`
    : "";
  if (!items.length) {
    by("wall").append(
      el(
        "li",
        { class: "empty" },
        "No cartridges yet. Write a program, and save it: its canvas becomes its label.",
      ),
    );
  }
}

export const view = {
  title: "Cartridges",
  start() {
    list = paged(() => "/api/cartridges", by("wall-more"), fill);
    const again = within(300, () => view.show());
    on(["cartridge"], () => !by("view-cartridges").hidden && again());
  },
  show() {
    list.first(items.length).catch(report);
  },
};
