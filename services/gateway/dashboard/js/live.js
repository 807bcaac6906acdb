// Pages that keep themselves up to date.

import { Refused } from "./api.js";

const link = document.getElementById("link");

/**
 * Runs `update` at once and then every `period` milliseconds, never twice at a time, not while
 * nobody looks, and says in the bar when the gateway cannot be reached.
 */
export async function repeat(period, signal, update) {
  while (!signal.aborted) {
    if (!document.hidden) {
      try {
        await update();
        tell("");
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refused && error.status < 500) throw error;
        tell(error instanceof Refused ? error.message : "The gateway does not answer");
      }
    }
    await pause(period, signal);
  }
}

function tell(text) {
  link.textContent = text;
  link.classList.toggle("bad", text !== "");
}

/** Until the time is up, somebody looks again, or the page is left. */
function pause(period, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const seen = () => { if (!document.hidden) done(); };
    const timer = setTimeout(done, period);
    document.addEventListener("visibilitychange", seen);
    signal.addEventListener("abort", done);
  });
}
