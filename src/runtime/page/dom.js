// Elements, figures and times. What comes from the server becomes text nodes, never markup.

/** The element with this id. */
export const by = (id) => document.getElementById(id);

/**
 * A new element. Attributes that are null, undefined or false are left out; those that begin with
 * "on" are listeners. Children are nodes or texts.
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.filter((child) => child !== null && child !== undefined && child !== ""),
  );
  return element;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A count, with its thousands apart. */
export const count = (number) => (Number.isFinite(number) ? whole.format(number) : "–");

/** "1 row", "2 rows". */
export const several = (number, one, many = `${one}s`) =>
  `${count(number)} ${number === 1 ? one : many}`;

/** Milliseconds, in the unit that suits them. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms === 0) return "< 1 ms"; // counted in whole ones
  if (ms < 1000) return `${ms < 100 ? fine.format(ms) : whole.format(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${fine.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48
    ? `${hours} h ${minutes % 60} min`
    : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The moment that a time of the database names; all of them are UTC. */
export function moment(text) {
  const date = new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text.replace(" ", "T")}Z`);
  return Number.isNaN(date.getTime()) ? null : date;
}

function told(date) {
  const ms = Date.now() - date.getTime();
  if (Math.abs(ms) < 2000) return "now";
  const words = duration(
    Math.abs(ms) < 120_000 ? Math.round(Math.abs(ms) / 1000) * 1000 : Math.abs(ms),
  );
  return ms > 0 ? `${words} ago` : `in ${words}`;
}

/** How long ago a time of the database was, kept right as time goes on. */
export function ago(text) {
  const date = text ? moment(text) : null;
  if (!date) return el("span", {}, text || "–");
  const attributes = {
    datetime: date.toISOString(),
    title: date.toLocaleString(),
    "data-ago": true,
  };
  return el("time", attributes, told(date));
}

setInterval(() => {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const words = told(new Date(time.dateTime));
    if (time.textContent !== words) time.textContent = words;
  }
}, 1000);

/** Calls `act` once, this many milliseconds after the last of many calls. */
export function settled(ms, act) {
  let timer = 0;
  return (...rest) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...rest), ms);
  };
}

/** Calls `act` this many milliseconds after the first of many calls, however many follow. */
export function within(ms, act) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      act();
    }, ms);
  };
}

/** A list of names and values in place of what `list` shows; `null` leaves a row out. */
export function figures(list, rows) {
  const row = ([name, value, kind]) =>
    el(
      "div",
      { class: kind },
      el("dt", {}, name),
      el("dd", { class: kind === "whole" ? "text" : null }, value),
    );
  list.replaceChildren(...rows.filter(Boolean).map(row));
}

/** A button that opens and closes a form, and what closes it. */
export function folding(button, form, closer, onOpen = () => {}) {
  const set = (open) => {
    form.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) {
      onOpen();
      form.elements[0].focus();
    } else if (form.contains(document.activeElement) || document.activeElement === document.body) {
      button.focus();
    }
  };
  button.addEventListener("click", () => set(form.hidden));
  closer.addEventListener("click", () => {
    set(false);
    button.focus();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    set(false);
    button.focus();
  });
  return set;
}

const states = new WeakMap();

/**
 * Makes the children of `list` those that `make` makes of `items`, by their ids. One whose item is as
 * before stays untouched; one that is made anew keeps the focus (by data-act) and what is unfolded.
 */
export function refill(list, items, make) {
  const before = new Map([...list.children].map((child) => [child.dataset.id, child]));
  const children = items.map((item) => {
    const state = JSON.stringify(item);
    const old = before.get(String(item.id));
    if (old && states.get(old) === state) return old;
    const made = make(item);
    made.dataset.id = item.id;
    states.set(made, state);
    if (!old) return made;
    const folds = made.querySelectorAll("details");
    for (const fold of old.querySelectorAll("details[open]")) {
      const same = [...folds].find(
        (one) => one.firstChild.textContent === fold.firstChild.textContent,
      );
      if (same) same.open = true;
    }
    const act = old.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    old.replaceWith(made);
    if (act) made.querySelector(`[data-act="${act}"]`)?.focus();
    return made;
  });
  for (const [at, child] of children.entries()) {
    if (list.children[at] !== child) list.insertBefore(child, list.children[at] ?? null);
  }
  while (list.childElementCount > children.length) list.lastElementChild.remove();
}
