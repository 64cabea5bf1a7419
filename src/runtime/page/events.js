// The server's events, as long as the page is open.

import { address } from "./api.js";

const KINDS = ["run", "cycle", "script", "cartridge", "notice"];
const listeners = new Map(KINDS.map((kind) => [kind, new Set()]));
const states = new Set();

/** Calls `act` with the data of every event of one of these kinds, and the kind. */
export function on(kinds, act) {
  for (const kind of kinds) listeners.get(kind).add(act);
}

/** Calls `act` with "live" or "lost" whenever the stream begins or breaks. */
export function onState(act) {
  states.add(act);
}

/** Milliseconds from one attempt to the next, at first and at most. */
const SOON = 1000;
const LATE = 15_000;

/** Opens the stream, and again for ever where it breaks. */
export function connect() {
  let wait = SOON;
  let timer = 0;
  let source = null;
  const open = () => {
    source = new EventSource(address("/api/events"));
    source.addEventListener("open", () => {
      wait = SOON;
      for (const act of states) act("live");
    });
    source.addEventListener("error", () => {
      // The browser tries again by itself at its own pace, and after some answers not at all.
      source.close();
      for (const act of states) act("lost");
      timer = setTimeout(open, wait);
      wait = Math.min(2 * wait, LATE);
    });
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        let data;
        try {
          data = JSON.parse(event.data);
        } catch {
          return; // not ours
        }
        for (const act of listeners.get(kind)) act(data, kind);
      });
    }
  };
  open();
  // A page that the browser keeps for the way back would hold its connection, of which there are
  // six to a server.
  addEventListener("pagehide", () => {
    clearTimeout(timer);
    source.close();
  });
  addEventListener("pageshow", (event) => event.persisted && open());
}
