// The view where programs are written, assembled, run and saved.

import { filled, get, post, put, report } from "./api.js";
import { by, count, duration, el, figures, folding, settled, several } from "./dom.js";
import { Editor } from "./editor.js";
import { fit, paint } from "./screen.js";

const DRAFT = "gvpie.draft";
const FIRST = `; A greeting on the night sky. Change a number, then run it: Ctrl+Enter.
.canvas 128 64

.reg x r0
.reg y r1
.reg n r2

        PAPER #101830
        CLS
        SET n 60
stars:  RND x n
        SET x 128
        RND x x
        SET y 64
        RND y y
        PLOT x y #8f9fd0
        DJNZ n stars

        DISC 100 18 10 #ffe9b0
        TXT 10 34 "Hello World" #ffffff
        HALT
`;

let editor;
let foldSave; // opens and closes the form that saves
let opened = null; // the cartridge that the text came from
let assembled = null; // the request in progress

const source = () => editor.text;

function say(words, state = "") {
  by("verdict").textContent = words;
  by("verdict").dataset.state = state;
}

/** Lists the assembler's errors below the text, each a way to its place. */
function list(errors) {
  editor.faults = errors;
  const row = (fault) => {
    const go = () => editor.go(fault.line, fault.column);
    const place = el("span", { class: "place" }, `${fault.line}:${fault.column}`);
    const help = fault.help ? el("span", { class: "help" }, fault.help) : null;
    return el(
      "li",
      {},
      el("button", { type: "button", onclick: go }, place, el("span", {}, fault.message), help),
    );
  };
  by("faults").replaceChildren(...errors.map(row));
  if (errors.length) say(`${several(errors.length, "error")}.`, "wrong");
}

async function assemble() {
  assembled?.abort();
  const mine = (assembled = new AbortController());
  try {
    const answer = await post("/api/pixel/assemble", { source: source() }, mine.signal);
    list([]);
    const [width, height] = answer.canvas;
    say(
      `${several(answer.instructions, "instruction")}, canvas ${width} × ${height}, ${answer.mode}.`,
    );
  } catch (problem) {
    if (problem.name === "AbortError") return;
    if (problem.errors?.length) list(problem.errors);
    else say(problem.message, "wrong");
  } finally {
    if (assembled === mine) assembled = null;
  }
}

function keep() {
  try {
    localStorage.setItem(DRAFT, source());
  } catch {
    // No room, or forbidden: the text lives as long as the page.
  }
}

/** The run's options as the API takes them. */
function options() {
  const { frames, text, ...given } = filled(by("options"));
  const inputs = { frames: frames ?? 1, ...(text === undefined ? {} : { text }) };
  return { ...given, inputs, canvas: "base64" };
}

function show(run) {
  const failed = !run.success;
  const outcome = by("outcome");
  const did = `${several(run.cycles_executed, "cycle")} in ${duration(run.execution_time_ms)} on the ${run.backend_used.toUpperCase()}.`;
  outcome.textContent = [failed ? (run.error ?? "It failed.") : did, run.notice]
    .filter(Boolean)
    .join(" ");
  outcome.dataset.state = failed ? "failed" : run.notice ? "notice" : "ok";
  if (run.canvas_data) {
    paint(by("canvas"), run.canvas, run.canvas_data);
    by("canvas").setAttribute(
      "aria-label",
      `Canvas of the program, ${run.canvas[0]} by ${run.canvas[1]} pixels`,
    );
    fit(by("canvas"), by("canvas-caption"));
  }
  figures(by("figures"), [
    ["Status", run.status],
    ["Cycles", count(run.cycles_executed)],
    ["Fuel", count(run.fuel)],
    ["Time", duration(run.execution_time_ms)],
    ["Backend", `${run.backend_used}, ${run.algorithm}`],
    ["Instruction", count(run.instruction_pointer)],
    run.canvas_sha256 && ["Canvas SHA-256", run.canvas_sha256, "whole"],
  ]);
  by("output").hidden = !run.stdout;
  by("output").querySelector("pre").textContent = run.stdout ?? "";
}

let running = false;

async function run() {
  if (running) return;
  const form = by("options");
  if (!form.checkValidity()) {
    form.closest("details").open = true;
    form.reportValidity();
    return;
  }
  running = true;
  const button = by("run");
  button.setAttribute("aria-busy", "true");
  try {
    show(await post("/api/pixel/run", { source: source(), ...options() }));
  } catch (problem) {
    if (problem.errors?.length) list(problem.errors);
    const many = problem.errors?.length
      ? `It does not assemble: ${several(problem.errors.length, "error")}.`
      : problem.message;
    by("outcome").textContent = many;
    by("outcome").dataset.state = "failed";
  } finally {
    running = false;
    button.removeAttribute("aria-busy");
  }
}

function title() {
  by("opened").textContent = opened ? `from ${opened.slug}` : "not saved";
  by("save-change").hidden = !opened;
}

async function save(event) {
  event.preventDefault();
  const form = event.target;
  const { name, author, tags } = filled(form);
  const tagged = (tags ?? "")
    .split(",")
    .map((tag) => tag.trim())
    .filter(Boolean);
  const body = { name, author, tags: tagged, source: source() };
  try {
    const change = opened && event.submitter?.value === "change";
    if (opened && !change) body.parent_id = opened.id;
    opened = change
      ? await put(`/api/cartridges/${opened.id}`, body)
      : await post("/api/cartridges", body);
    foldSave(false);
    title();
    by("outcome").textContent = `Saved as ${opened.slug}.`;
    by("outcome").dataset.state = "ok";
  } catch (problem) {
    if (problem.errors?.length) list(problem.errors);
    by("outcome").textContent = `Not saved. ${problem.message}`;
    by("outcome").dataset.state = "failed";
  }
}

/** Shows a text in the editor; `cartridge` is the one that it came from, if any. */
export function edit(text, cartridge = null) {
  location.hash = "#program";
  for (const view of document.querySelectorAll("main > section"))
    view.hidden = view.id !== "view-program";
  opened = cartridge;
  title();
  editor.text = text;
}

/** Opens a cartridge in the editor. */
export async function open(id) {
  const cartridge = await get(`/api/cartridges/${encodeURIComponent(id)}`);
  edit(cartridge.source ?? "", cartridge);
}

/** The editor's text. */
export const text = () => source();

export const view = {
  title: "Program",
  start() {
    const soon = settled(180, assemble);
    const later = settled(400, keep);
    editor = new Editor(
      by("editor"),
      () => {
        soon();
        later();
      },
      (line, column) => (by("caret").textContent = `${line}:${column}`),
    );
    let draft = null;
    try {
      draft = localStorage.getItem(DRAFT);
    } catch {
      // forbidden
    }
    editor.begin(draft || FIRST);
    foldSave = folding(by("save-open"), by("save-form"), by("save-close"), () => {
      const { name, author, tags } = by("save-form").elements;
      const named = /^[ \t]*\.meta[ \t]+name[ \t]+(.+)$/im.exec(source())?.[1].trim();
      name.value = opened?.name ?? named ?? name.value;
      author.value ||= opened?.meta?.author ?? "";
      tags.value = (opened?.meta?.tags ?? []).join(", ") || tags.value;
    });
    by("save-form").addEventListener("submit", save);
    by("run").addEventListener("click", run);
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !by("view-program").hidden) {
        event.preventDefault();
        run();
      }
      if (event.key === "s" && (event.ctrlKey || event.metaKey) && !by("view-program").hidden) {
        event.preventDefault(); // of the page itself, nobody wants a copy
        foldSave(true);
      }
    });
    new ResizeObserver(() => fit(by("canvas"), by("canvas-caption"))).observe(by("screen"));
    get("/api/pixel/backends").then(({ backends }) => {
      for (const { name, available } of backends) {
        const option = [...by("options").elements.backend.options].find(
          (option) => option.value === name,
        );
        if (option && !available) {
          option.disabled = true;
          option.textContent = `${name}, not here`;
        }
      }
    }, report);
    assemble();
  },
  show() {
    fit(by("canvas"), by("canvas-caption"));
  },
};
