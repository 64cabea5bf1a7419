// Runs before the first paint, so that a page of the chosen theme does not flash in the other one.
"use strict";
try {
  const chosen = localStorage.getItem("gvpie.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is forbidden here: the system's theme it is.
}
