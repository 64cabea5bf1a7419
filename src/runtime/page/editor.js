// A text field with line numbers, the colours of PXL, and marks where the assembler objects.

import { parts } from "./syntax.js";
import { el } from "./dom.js";

/** Pixels of a line, as in program.css. */
const ROW = 20;

/** The UTF-16 offset in a line of a column, which counts characters from 1. */
function offset(line, column) {
  let at = 0;
  for (let left = column - 1; left > 0 && at < line.length; left -= 1) {
    at += line.codePointAt(at) > 0xffff ? 2 : 1;
  }
  return at;
}

/** A line as it is painted: its parts in their colours, its faults underlined. */
function painted(line, faults) {
  const marks = faults.map((fault) => {
    const start = Math.min(offset(line, fault.column), Math.max(line.length - 1, 0));
    return [start, Math.max(offset(line, fault.end_column), start + 1)];
  });
  const row = el("div", { class: faults.length ? "wrong" : null });
  const add = (start, end, kind) => {
    // A part is cut where a mark begins or ends.
    const cuts = marks
      .flat()
      .filter((at) => at > start && at < end)
      .sort((a, b) => a - b);
    let from = start;
    for (const to of [...cuts, end]) {
      const marked = marks.some(([a, b]) => a <= from && from < b);
      const text = line.slice(from, to);
      if (!kind && !marked) row.append(text);
      else {
        const span = el(
          "span",
          { class: [kind, marked && "mark"].filter(Boolean).join(" ") },
          text,
        );
        if (kind === "colour") span.style.setProperty("--shown", text);
        row.append(span);
      }
      from = to;
    }
  };
  let at = 0;
  for (const [start, end, kind] of parts(line)) {
    if (start > at) add(at, start, null);
    add(start, end, kind);
    at = end;
  }
  if (at < line.length) add(at, line.length, null);
  return row;
}

/** Columns of a line with its tabs; a wide character is two. */
function columns(line) {
  if (!/[^ -~]/.test(line)) return line.length;
  let at = 0;
  for (const character of line)
    at += character === "\t" ? 8 - (at % 8) : character > "\u2e80" ? 2 : 1;
  return at;
}

export class Editor {
  #box;
  #field;
  #ink;
  #gutter;
  #lines = [];
  #faults = new Map();
  #here = null;

  /** `onChange` is called after every change of the text, `onCaret` with line and column. */
  constructor(box, onChange, onCaret) {
    this.#box = box;
    this.#field = box.querySelector("textarea");
    this.#ink = box.querySelector(".ink");
    this.#gutter = box.querySelector(".gutter");
    this.#field.addEventListener("input", () => {
      this.#paint();
      onChange();
    });
    this.#field.addEventListener("keydown", (event) => this.#indent(event));
    document.addEventListener("selectionchange", () => {
      if (document.activeElement !== this.#field) return;
      const before = this.#field.value.slice(0, this.#field.selectionEnd);
      const line = before.split("\n").length;
      const column = 1 + [...before.slice(before.lastIndexOf("\n") + 1)].length;
      this.#point(line);
      onCaret(line, column);
    });
    // The field fills the sheet, but below it the box is empty.
    box.addEventListener("mousedown", (event) => {
      if (event.target !== box && !this.#gutter.contains(event.target)) return;
      event.preventDefault();
      this.#field.focus();
    });
  }

  get text() {
    return this.#field.value;
  }

  /** Puts another text in place of all; the browser's undo brings the former one back. */
  set text(text) {
    this.#field.focus({ preventScroll: true });
    this.#field.select();
    // Obsolete, and the only way that keeps the field's undo history.
    const done = text !== "" && document.execCommand("insertText", false, text);
    if (!done || this.#field.value !== text) this.#field.value = text;
    this.#field.setSelectionRange(0, 0);
    this.#box.scrollTo(0, 0);
    this.#field.dispatchEvent(new Event("input"));
  }

  /** Sets a text at the start, when there is nothing to undo. */
  begin(text) {
    this.#field.value = text;
    this.#paint();
  }

  /** Marks the places of these faults. */
  set faults(faults) {
    const before = this.#faults;
    this.#faults = new Map();
    for (const fault of faults) {
      this.#faults.set(fault.line, [...(this.#faults.get(fault.line) ?? []), fault]);
    }
    this.#field.setAttribute("aria-invalid", String(faults.length > 0));
    for (const line of new Set([...before.keys(), ...this.#faults.keys()])) this.#line(line - 1);
  }

  /** Moves the caret to a line and a column, into sight. */
  go(line, column) {
    const rows = this.#field.value.split("\n");
    const row = rows[Math.min(line, rows.length) - 1];
    const start = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
    const at = Math.min(start + offset(row, column), this.#field.value.length);
    this.#field.focus({ preventScroll: true });
    this.#field.setSelectionRange(at, at);
    const top = (line - 1) * ROW;
    const { scrollTop, clientHeight } = this.#box;
    if (top < scrollTop + ROW || top > scrollTop + clientHeight - 3 * ROW) {
      this.#box.scrollTop = top - clientHeight / 3;
    }
    this.#box.scrollLeft = 0;
    this.#box.scrollIntoView({ block: "nearest" });
  }

  focus() {
    this.#field.focus();
  }

  /** Paints the lines that have changed; a line's faults stay until the assembler has spoken. */
  #paint() {
    const lines = this.#field.value.split("\n");
    const old = this.#lines;
    const most = Math.min(lines.length, old.length);
    let same = 0;
    while (same < most && lines[same] === old[same]) same += 1;
    let tail = 0;
    while (tail < most - same && lines.at(-1 - tail) === old.at(-1 - tail)) tail += 1;
    const moved = lines.length - old.length;
    if (moved !== 0 && this.#faults.size) {
      const shifted = [...this.#faults].map(([line, faults]) => [
        line > old.length - tail ? line + moved : line,
        faults,
      ]);
      this.#faults = new Map(shifted);
    }
    this.#lines = lines;
    const rows = this.#ink.children;
    for (let gone = old.length - tail - 1; gone >= same; gone -= 1) rows[gone]?.remove();
    const added = lines
      .slice(same, lines.length - tail)
      .map((line, at) => painted(line, this.#faults.get(same + at + 1) ?? []));
    const after = rows[same] ?? null;
    for (const row of added) this.#ink.insertBefore(row, after);
    const wide = lines.reduce((most, line) => Math.max(most, columns(line)), 0);
    this.#ink.style.minWidth = `calc(${wide}ch + 36px)`; // and the paddings
    while (this.#gutter.childElementCount > lines.length) this.#gutter.lastElementChild.remove();
    while (this.#gutter.childElementCount < lines.length) {
      this.#gutter.append(el("div", {}, String(this.#gutter.childElementCount + 1)));
    }
    for (const number of this.#gutter.querySelectorAll(".wrong")) number.classList.remove("wrong");
    for (const line of this.#faults.keys()) this.#gutter.children[line - 1]?.classList.add("wrong");
  }

  #line(at) {
    const row = this.#ink.children[at];
    if (!row) return;
    row.replaceWith(painted(this.#lines[at], this.#faults.get(at + 1) ?? []));
    this.#gutter.children[at].classList.toggle("wrong", this.#faults.has(at + 1));
  }

  /** Shows in the gutter where the caret is. */
  #point(line) {
    this.#here?.classList.remove("here");
    this.#here = this.#gutter.children[line - 1] ?? null;
    this.#here?.classList.add("here");
  }

  /** Enter goes on at the column where the line began. Tab is left to go to the next control. */
  #indent(event) {
    if (
      event.key !== "Enter" ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.isComposing
    )
      return;
    const { value, selectionStart } = this.#field;
    const line = value.slice(value.lastIndexOf("\n", selectionStart - 1) + 1, selectionStart);
    const indent = /^[ \t]*/.exec(line)[0];
    if (indent === "") return;
    event.preventDefault();
    document.execCommand("insertText", false, `\n${indent}`);
  }
}
