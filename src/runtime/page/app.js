// The page: its views, its theme, and the line on top that says what is wrong.

import { get, report } from "./api.js";
import { by } from "./dom.js";
import { connect } from "./events.js";
import { view as goals } from "./goals.js";
import { view as map } from "./map.js";
import { view as program } from "./program.js";
import { view as scripts } from "./scripts.js";
import { view as status } from "./status.js";
import { view as cartridges } from "./wall.js";

const views = { program, cartridges, scripts, goals, map, status };

/** Shows the view that the address names, the first one unless it names one. */
function route(moved) {
  const name = location.hash.slice(1);
  const chosen = Object.hasOwn(views, name) ? name : "program";
  for (const [name, view] of Object.entries(views)) {
    by(`view-${name}`).hidden = name !== chosen;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (name === chosen) document.title = `${view.title} · gvpie`;
  }
  views[chosen].show();
  if (moved && !by("editor").contains(document.activeElement))
    by(`title-${chosen}`).focus({ preventScroll: true });
}

const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const theme = () => root.dataset.theme ?? (system.matches ? "dark" : "light");

/** The button names what it changes to; the system's own theme is followed, not kept. */
function themed() {
  const other = theme() === "dark" ? "Light" : "Dark";
  by("theme").textContent = other;
  by("theme").setAttribute("aria-label", `${other} theme`);
  document.dispatchEvent(new Event("theme"));
}

function switchTheme() {
  const other = theme() === "dark" ? "light" : "dark";
  const own = system.matches ? "dark" : "light";
  if (other === own) delete root.dataset.theme;
  else root.dataset.theme = other;
  try {
    if (other === own) localStorage.removeItem("gvpie.theme");
    else localStorage.setItem("gvpie.theme", other);
  } catch {
    // Storage is forbidden here: it lasts as long as the page.
  }
  themed();
}

const FULL = "The disk is full: runs go on, but nothing is recorded until there is room again.";
let full = false;
let fading = 0;

function banner(words) {
  by("banner").textContent = words;
  by("banner").hidden = !words;
}

document.addEventListener("disk", ({ detail }) => {
  if (full === detail) return;
  full = detail;
  banner(full ? FULL : "");
});
document.addEventListener("problem", ({ detail }) => {
  banner(detail);
  clearTimeout(fading);
  fading = setTimeout(() => banner(full ? FULL : ""), 8000);
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view, not its place
  by("main").focus();
});
by("theme").addEventListener("click", switchTheme);
system.addEventListener("change", themed);
addEventListener("hashchange", () => route(true));

for (const view of Object.values(views)) view.start();
themed();
route(false);
// The stream cannot ask for a token; a request that comes before it does.
get("/api/pixel/backends").catch(report).finally(connect);
