// What the daemon is to come to.

import { filled, paged, patch, post, report } from "./api.js";
import { ago, by, count, el, refill } from "./dom.js";

/** Goals that are shown at most. */
const MOST = 500;

let list;

function goal(item) {
  const { id, goal, priority, completed } = item;
  const change = async (event) => {
    event.currentTarget.disabled = true;
    try {
      await patch(`/api/goals/${encodeURIComponent(id)}`, { completed: !completed });
    } catch (problem) {
      report(problem);
    }
    await list.first(MOST).catch(report);
    by("title-goals").focus();
  };
  const when = completed ? ["done ", ago(item.completed_at)] : ["since ", ago(item.created_at)];
  const label = completed ? "Take up again" : "Done";
  return el(
    "li",
    { class: completed ? "goal done" : "goal" },
    el(
      "span",
      { class: "rank", title: "Priority" },
      el("span", { class: "unseen" }, "Priority "),
      String(priority),
    ),
    el(
      "p",
      { class: "grow" },
      el("span", { class: "what" }, goal),
      el("br"),
      el("small", { class: "dim" }, ...when),
    ),
    el("button", { type: "button", "aria-label": `${label}: ${goal}`, onclick: change }, label),
  );
}

/** Those that are open first, and of them the most important. */
const order = (a, b) => a.completed - b.completed || b.priority - a.priority || a.id - b.id;

function fill(items) {
  refill(by("goal-list"), items.sort(order), goal);
  const open = items.filter((item) => !item.completed).length;
  by("goals-count").textContent = items.length ? `${count(open)} open` : "";
  if (!items.length) by("goal-list").append(el("li", { class: "empty" }, "No goals."));
}

async function add(event) {
  event.preventDefault();
  const form = event.target;
  const said = form.querySelector(".form-error");
  said.textContent = "";
  const { goal, priority } = filled(form);
  try {
    await post("/api/goals", { goal, priority: Number(priority) });
    form.reset();
    form.elements.goal.focus();
    await list.first(MOST);
  } catch (problem) {
    said.textContent = problem.message;
  }
}

export const view = {
  title: "Goals",
  start() {
    const more = el("button"); // in no place: one page is enough
    list = paged(() => `/api/goals?all=${by("goals-all").checked}`, more, fill);
    by("goal-form").addEventListener("submit", add);
    by("goals-all").addEventListener("change", () => view.show());
  },
  show() {
    list.first(MOST).catch(report);
  },
};
