// What the daemon is to come to.

import { filled, paged, patch, post, report } from "./api.js";
import { ago, by, count, el } from "./dom.js";

let list;
let shown = 0;

function goal(item) {
  const { id, goal, priority, completed } = item;
  const change = async (event) => {
    event.currentTarget.disabled = true;
    try {
      await patch(`/api/goals/${encodeURIComponent(id)}`, { completed: !completed });
    } catch (problem) {
      report(problem);
    }
    await list.first(shown).catch(report);
    by("title-goals").focus();
  };
  const when = completed ? ["done ", ago(item.completed_at)] : ["since ", ago(item.created_at)];
  const label = completed ? "Take up again" : "Done";
  return el("li", { class: completed ? "goal done" : "goal" },
    el("span", { class: "rank", title: "Priority" }, el("span", { class: "unseen" }, "Priority "), String(priority)),
    el("p", { class: "grow" }, el("span", { class: "what" }, goal), el("br"), el("small", { class: "dim" }, ...when)),
    el("button", { type: "button", "aria-label": `${label}: ${goal}`, onclick: change }, label));
}

function fill(items, more) {
  if (!more) {
    by("goal-list").replaceChildren();
    shown = 0;
  }
  by("goal-list").append(...items.map(goal));
  shown += items.length;
  const open = items.filter((item) => !item.completed).length;
  by("goals-count").textContent = shown ? `${count(open)} open` : "";
  if (!shown) by("goal-list").append(el("li", { class: "empty" }, "No goals."));
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
    await list.first(shown);
  } catch (problem) {
    said.textContent = problem.message;
  }
}

export const view = {
  title: "Goals",
  start() {
    const none = document.createElement("button"); // a page of 500 is enough of goals
    list = paged(() => `/api/goals?all=${by("goals-all").checked}`, none, fill);
    by("goal-form").addEventListener("submit", add);
    by("goals-all").addEventListener("change", () => view.show());
  },
  show() {
    list.first(500).catch(report);
  },
};
