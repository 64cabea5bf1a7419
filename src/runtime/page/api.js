// Requests to the server, the token, and what goes wrong.

import { by } from "./dom.js";

const KEPT = "gvpie.token";

/** What the server answered instead of a result; `errors` are the assembler's, where it has some. */
export class Problem extends Error {
  constructor(status, title, detail, errors) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.errors = errors;
  }
}

const token = () => sessionStorage.getItem(KEPT);

/** The address with the token, for what cannot send a header: pictures and events. */
export function address(path) {
  if (!token()) return path;
  return `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token())}`;
}

let asking = null;

/** Asks for the token, once for all requests that wait for it; tells whether there is one. */
function ask() {
  asking ??= new Promise((resolve) => {
    const dialog = by("token-dialog");
    const input = dialog.querySelector("input");
    input.value = "";
    dialog.returnValue = "cancel"; // Escape closes without a value of its own
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const given = dialog.returnValue === "ok" && input.value !== "";
        if (given) sessionStorage.setItem(KEPT, input.value);
        resolve(given);
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

/** Sends a request and returns the JSON of its answer, or null for one without. Throws a Problem. */
export async function request(method, path, body, signal) {
  const sent = token();
  const headers = sent ? { Authorization: `Bearer ${sent}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The server does not answer.", []);
  }
  if (response.status === 401) {
    // Another request may have asked meanwhile; then its token is worth a try first.
    if (token() !== sent || (await ask())) return request(method, path, body, signal);
    throw new Problem(401, "No token", "The server asks for a token.", []);
  }
  const json = (response.headers.get("Content-Type") ?? "").includes("json");
  let answer = null;
  try {
    answer = json ? await response.json() : null;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(response.status, "No answer", "The server's answer broke off.", []);
  }
  if (response.ok) return answer;
  const wait = response.headers.get("Retry-After");
  const again = wait ? ` Try again in ${wait} s.` : "";
  const title = answer?.title ?? response.statusText;
  const detail = `${answer?.detail ?? `${title} (${response.status})`}${again}`;
  // Other errors have places in the request's JSON, which nobody has seen.
  throw new Problem(
    response.status,
    title,
    detail,
    response.status === 422 ? (answer?.errors ?? []) : [],
  );
}

export const get = (path, signal) => request("GET", path, undefined, signal);
export const post = (path, body, signal) => request("POST", path, body, signal);
export const patch = (path, body) => request("PATCH", path, body);
export const remove = (path) => request("DELETE", path);
export const put = (path, body) => request("PUT", path, body);

/** What the fields of a form say, those that are empty left out, numbers as numbers. */
export function filled(form) {
  const given = {};
  for (const field of form.elements) {
    if (!field.name || field.value === "" || field.type === "checkbox") continue;
    given[field.name] = field.type === "number" ? field.valueAsNumber : field.value;
  }
  return given;
}

/** A list that comes in pages: `first()` loads it anew, `next()` goes on; both call `show`. */
export function paged(path, button, show) {
  let cursor = null;
  let latest = 0;
  async function load(from, limit) {
    const mine = (latest += 1);
    const join = path().includes("?") ? "&" : "?";
    const after = from ? `&cursor=${encodeURIComponent(from)}` : "";
    const page = await get(`${path()}${join}limit=${limit}${after}`);
    if (mine !== latest) return; // a later request has taken its place
    cursor = page.next;
    button.hidden = !cursor;
    show(page.items, Boolean(from), Boolean(cursor));
  }
  const list = {
    /** Loads from the start as many as are shown, a page at least. */
    first: (shown = 0) => load(null, Math.min(500, Math.max(50, shown))),
    next: () => load(cursor, 50),
  };
  button.addEventListener("click", () => list.next().catch(report));
  return list;
}

/** Tells of a problem that has no place of its own; the page shows it on top. */
export function report(problem) {
  if (problem.name === "AbortError") return;
  document.dispatchEvent(new CustomEvent("problem", { detail: problem.message }));
  if (!(problem instanceof Problem)) throw problem; // a mistake of the page itself belongs on the console
}
