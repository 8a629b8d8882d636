// A value that pages share, and that tells those who show it when it changes.
import { useEffect, useState } from "./dom.js";

export function createStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(change) {
      value = { ...value, ...(typeof change === "function" ? change(value) : change) };
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore(store) {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    setValue(store.get());
    return store.subscribe(setValue);
  }, [store]);
  return value;
}

// What every page shows at its top: the state of saving, and the line at the bottom.
export const status = createStore({ saved: "", pending: 0, gone: false, line: null });

let lineTimer = 0;

// A line at the bottom of the window, with a button where something can be done about it.
export function say(text, { kind = "info", action = null, seconds = 6 } = {}) {
  clearTimeout(lineTimer);
  status.set({ line: { text, kind, action } });
  if (kind !== "fault") lineTimer = setTimeout(() => status.set({ line: null }), seconds * 1000);
}

export const sayFault = (error) => {
  if (error.name !== "AbortError") say(error.message, { kind: "fault" });
};
