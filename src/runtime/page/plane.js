// A plane of cells that is moved and zoomed: rows of the map as squares, lines to their parents.

/** Pixels left and below for the numbers, and the least and most pixels of a cell. */
const LEFT = 92;
const BELOW = 26;
const LEAST = 0.002;
const MOST = 240;

/** Pixels that an arrow moves, and the factor of a step of zoom. */
const STEP = 64;
const FACTOR = 1.4;

/** Steps of 1, 2 or 5 times a power of ten, of which there are at most so many in a range. */
function step(range, most) {
  const least = Math.max(range / Math.max(most, 1), 1);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least);
}

/** What a row looks like: its kind, but that runs which failed are told from others. */
export const look = (row) => (row.kind === "run" && row.status === "failed" ? "failed run" : row.kind);

export class Plane {
  #canvas;
  #rows = new Map();
  #places = new Map(); // of a row's id, how many share its cell, and which of them it is
  #view = { x: 0, y: 0, sx: 32, sy: 32 };
  #pointers = new Map();
  #dragged = 0;
  #pending = false;
  #when;
  #style = {};
  selected = null;
  kin = new Set();
  names = new Map();

  /** `when.chosen(id)` on a click, `when.moved(byHand)` when another part is seen. */
  constructor(canvas, when) {
    this.#canvas = canvas;
    this.#when = when;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const notches = event.deltaMode ? event.deltaY * 16 : event.deltaY;
        const factor = Math.exp(-Math.max(-120, Math.min(120, notches)) / 300);
        this.zoom(factor, event.offsetX, event.offsetY, event.shiftKey);
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      this.#dragged = this.#pointers.size > 1 ? Infinity : 0;
      canvas.classList.add("held");
    });
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    const up = (event) => {
      if (!this.#pointers.delete(event.pointerId)) return;
      canvas.classList.toggle("held", this.#pointers.size > 0);
      if (event.type === "pointerup" && this.#dragged < 5)
        this.#click(event.offsetX, event.offsetY);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  get #size() {
    return [this.#canvas.clientWidth, this.#canvas.clientHeight];
  }

  /** The part of the plane that is seen: x0, y0, x1, y1. */
  get seen() {
    const [width, height] = this.#size;
    const { x, y, sx, sy } = this.#view;
    return [x, y, x + (width - LEFT) / sx, y + (height - BELOW) / sy];
  }

  /** Shows this part of the plane, its cells no larger than `most` pixels. */
  show([x0, y0, x1, y1], most = 48) {
    const [width, height] = this.#size;
    const clamp = (size) => Math.min(most, Math.max(LEAST, size));
    const sx = clamp((width - LEFT) / (x1 - x0));
    const sy = clamp((height - BELOW) / (y1 - y0));
    // Cells are not drawn much higher than wide, but high enough for the names beside them.
    this.#view = { x: x0, y: y0, sx, sy: Math.min(sy, Math.max(1.5 * sx, 24)) };
    this.#moved(false);
  }

  /** Zooms about a point of the canvas, its middle unless said; `across` leaves the height alone. */
  zoom(factor, px, py, across = false) {
    const [width, height] = this.#size;
    const [cx, cy] = [(px ?? (width + LEFT) / 2) - LEFT, py ?? (height - BELOW) / 2];
    const { x, y, sx, sy } = this.#view;
    const limit = (size) => Math.min(MOST, Math.max(LEAST, size));
    const [nx, ny] = [limit(sx * factor), across ? sy : limit(sy * factor)];
    this.#view = { x: x + cx / sx - cx / nx, y: y + cy / sy - cy / ny, sx: nx, sy: ny };
    this.#moved(true);
  }

  /** Moves by pixels. */
  pan(px, py) {
    this.#view.x += px / this.#view.sx;
    this.#view.y += py / this.#view.sy;
    this.#moved(true);
  }

  /** Brings a cell into sight, to the middle unless it is there already. */
  reveal(x, y) {
    const [x0, y0, x1, y1] = this.seen;
    if (x < x0 || x + 1 > x1) this.#view.x = Math.max(0, x + 0.5 - (x1 - x0) / 2);
    if (y < y0 || y + 1 > y1) this.#view.y = Math.max(0, y + 0.5 - (y1 - y0) / 2);
    this.#moved(false);
  }

  /** The rows that are drawn, by their ids. */
  set rows(rows) {
    this.#rows = rows;
    const cells = Map.groupBy(rows.values(), (row) => `${row.x},${row.y}`);
    this.#places = new Map();
    for (const cell of cells.values()) {
      cell.sort((a, b) => a.id - b.id);
      for (const [at, row] of cell.entries()) this.#places.set(row.id, [cell.length, at]);
    }
    this.redraw();
  }

  /** Colours of the theme: text, line, accent, and those of kinds of rows. */
  set style(style) {
    this.#style = style;
    this.redraw();
  }

  redraw() {
    if (this.#pending) return;
    this.#pending = true;
    requestAnimationFrame(() => {
      this.#pending = false;
      this.#draw();
    });
  }

  #moved(byHand) {
    this.redraw();
    this.#when.moved(byHand);
  }

  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    this.#pointers.set(event.pointerId, now);
    const [dx, dy] = [before[0] - now[0], before[1] - now[1]];
    if (this.#pointers.size === 1) {
      this.#dragged += Math.hypot(dx, dy);
      if (this.#dragged >= 5) this.pan(dx, dy);
      return;
    }
    // Two fingers: the other one stays, and the distance between them zooms.
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)[1];
    const apart = ([x, y]) => Math.max(Math.hypot(x - other[0], y - other[1]), 1);
    this.zoom(apart(now) / apart(before), other[0], other[1]);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const acts = {
      "+": () => this.zoom(FACTOR),
      "=": () => this.zoom(FACTOR),
      "-": () => this.zoom(1 / FACTOR),
      0: () => this.#when.all(),
      Home: () => this.#when.first(),
      End: () => this.#when.latest(),
      ",": () => this.#neighbour(-1),
      ".": () => this.#neighbour(1),
    };
    const act = moves[event.key] ? () => this.pan(...moves[event.key]) : acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** Chooses the row before or after the chosen one. */
  #neighbour(way) {
    const ids = [...this.#rows.keys()].sort((a, b) => a - b);
    if (!ids.length) return;
    const at = ids.indexOf(this.selected);
    const id = at < 0 ? ids[way > 0 ? 0 : ids.length - 1] : ids[at + way];
    if (id === undefined) return;
    const { x, y } = this.#rows.get(id);
    this.#when.chosen(id);
    this.reveal(x, y);
  }

  #click(px, py) {
    let best = null;
    let least = 12; // pixels that a finger may be wrong
    for (const row of this.#rows.values()) {
      const [x, y, width, height] = this.#box(row);
      const off = Math.hypot(
        Math.max(x - px, 0, px - x - width),
        Math.max(y - py, 0, py - y - height),
      );
      if (off < least || (off === least && best && row.id > best.id)) [best, least] = [row, off];
    }
    if (best) this.#when.chosen(best.id);
  }

  /** Where a row is on the canvas; rows of one cell share it as a grid, in the order of their ids. */
  #box(row) {
    const { x, y, sx, sy } = this.#view;
    const [many, at] = this.#places.get(row.id);
    const wide = Math.max(1, Math.min(many, Math.round(Math.sqrt((many * sx) / sy))));
    const high = Math.ceil(many / wide);
    const [width, height] = [(0.84 * sx) / wide, (0.84 * sy) / high];
    const left = LEFT + (row.x - x + 0.08) * sx + (at % wide) * width;
    const top = (row.y - y + 0.08) * sy + Math.floor(at / wide) * height;
    const gap = many > 1 && Math.min(width, height) > 4 ? 1 : 0;
    return [left, top, Math.max(width - gap, 2.5), Math.max(height - gap, 2.5)];
  }

  #draw() {
    const canvas = this.#canvas;
    const [width, height] = this.#size;
    if (!width || !height) return;
    const dense = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dense)) canvas.width = Math.round(width * dense);
    if (canvas.height !== Math.round(height * dense)) canvas.height = Math.round(height * dense);
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, 0, width - LEFT, height - BELOW);
    pen.clip();
    this.#grid(pen, width, height);
    this.#lines(pen, false);
    this.#lines(pen, true);
    for (const row of this.#rows.values()) {
      const [x, y, w, h] = this.#box(row);
      if (x > width || y > height || x + w < LEFT || y + h < 0) continue;
      pen.fillStyle = this.#style.kinds?.[look(row)] ?? this.#style.dim;
      pen.fillRect(x, y, w, h);
      if (!this.kin.has(row.id)) continue;
      pen.strokeStyle = this.#style.text;
      pen.lineWidth = 1;
      pen.strokeRect(x - 0.5, y - 0.5, w + 1, h + 1);
    }
    const chosen = this.#rows.get(this.selected);
    if (chosen) {
      const [x, y, w, h] = this.#box(chosen);
      pen.strokeStyle = this.#style.text;
      pen.lineWidth = 2;
      pen.strokeRect(x - 3, y - 3, w + 6, h + 6);
    }
    pen.restore();
    this.#numbers(pen, width, height);
  }

  #grid(pen, width, height) {
    const [x0, , x1] = this.seen;
    const { x, y, sx, sy } = this.#view;
    pen.strokeStyle = this.#style.line;
    pen.lineWidth = 1;
    pen.beginPath();
    const size = step(x1 - x0, (width - LEFT) / 90);
    for (let at = Math.max(0, Math.ceil(x0 / size) * size); at <= x1; at += size) {
      const px = Math.round(LEFT + (at - x) * sx) + 0.5;
      pen.moveTo(px, 0);
      pen.lineTo(px, height);
    }
    const rows = step(height / sy, height / 14);
    for (let at = Math.max(0, Math.floor(y / rows) * rows); (at - y) * sy <= height; at += rows) {
      const py = Math.round((at - y) * sy) + 0.5;
      pen.moveTo(LEFT, py);
      pen.lineTo(width, py);
    }
    pen.stroke();
  }

  /** Lines from rows to their parents: all of them faintly, or those of the chosen row. */
  #lines(pen, chosen) {
    pen.strokeStyle = chosen ? this.#style.accent : this.#style.dim;
    pen.globalAlpha = chosen ? 1 : 0.35;
    pen.lineWidth = chosen ? 2 : 1;
    pen.beginPath();
    for (const row of this.#rows.values()) {
      for (const id of [row.parent_iteration, row.parent_b]) {
        const parent = this.#rows.get(id);
        if (!parent || (chosen && !(this.kin.has(row.id) && this.kin.has(id)))) continue;
        const [from, to] = [this.#box(parent), this.#box(row)].map(([x, y, w, h]) => [
          x + w / 2,
          y + h / 2,
        ]);
        const middle = (from[0] + to[0]) / 2;
        pen.moveTo(...from);
        pen.bezierCurveTo(middle, from[1], middle, to[1], ...to);
      }
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  #numbers(pen, width, height) {
    const [x0, , x1, y1] = this.seen;
    const { x, y, sx, sy } = this.#view;
    pen.fillStyle = this.#style.dim;
    pen.font = this.#style.font;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    pen.fillText("cycle", 10, height - BELOW / 2);
    const size = step(x1 - x0, (width - LEFT) / 90);
    for (let at = Math.max(0, Math.ceil(x0 / size) * size); at <= x1; at += size) {
      const px = LEFT + (at - x) * sx;
      if (px < width - 30) pen.fillText(at.toLocaleString("en"), px + 3, height - BELOW / 2);
    }
    pen.textAlign = "right";
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, LEFT, height - BELOW);
    pen.clip();
    const rows = step(height / sy, height / 16);
    for (let at = Math.max(0, Math.floor(y / rows) * rows); at <= y1; at += rows) {
      const name = (rows === 1 && this.names.get(at)) || String(at);
      const short = name.length > 13 ? `${name.slice(0, 12)}…` : name;
      pen.fillText(short, LEFT - 8, (at + (rows === 1 ? 0.5 : 0) - y) * sy, LEFT - 14);
    }
    pen.restore();
  }
}
