// Keys of a page: what is listed here works, and is shown by the question mark.
import { html, useEffect, useRef } from "./dom.js";

const isTyping = (target) =>
  target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) ||
  (target.tagName === "INPUT" && !/^(range|checkbox|radio|button)$/.test(target.type));

// "Shift+A" as the browser tells it: the letter with what is held.
export function nameKey(event) {
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const held = [];
  if (event.ctrlKey || event.metaKey) held.push("Ctrl");
  if (event.altKey) held.push("Alt");
  if (event.shiftKey && (event.key.length > 1 || /[A-Z ]/.test(key))) held.push("Shift");
  return [...held, key === " " ? "Space" : key].join("+");
}

// keys: list of [keys, words, run, group]; several keys are separated by blanks.
export function useShortcuts(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const press = (event) => {
      if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
      const pressed = nameKey(event);
      const onButton = /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName);
      if (onButton && (pressed === "Space" || pressed === "Enter")) return;
      const found = latest.current.find(([names]) => names.split(" ").includes(pressed));
      if (!found) return;
      event.preventDefault();
      found[2](event, pressed);
    };
    // After a click the keys are the page's again: Space would press the same button once more.
    const letGo = (event) => {
      const button = event.detail > 0 && event.target.closest("button, summary");
      if (button && !button.closest("dialog")) button.blur();
    };
    window.addEventListener("keydown", press);
    window.addEventListener("click", letGo);
    return () => { window.removeEventListener("keydown", press); window.removeEventListener("click", letGo); };
  }, []);
}

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Delete: "Del" };
const tellKey = (key) => (key === "+" ? ["+"] : key.split("+")).map((part) => SIGNS[part] ?? part).join(" ");

// Of a row of digits only the ends are shown.
function listKeys(text) {
  const keys = text.split(" ");
  return keys.length > 4 ? [`${keys[0]} – ${keys[keys.length - 1]}`] : keys;
}

export function KeysHelp({ keys, onClose }) {
  const groups = [...new Set(keys.map((entry) => entry[3] ?? "Keys"))];
  return html`<${Dialog} title="All keys" onClose=${onClose} wide>
    <div class="keys">${groups.map((group) => html`<section>
      <h3>${group}</h3>
      <dl>${keys.filter((entry) => (entry[3] ?? "Keys") === group && entry[1]).map((entry) => html`
        <div><dt>${listKeys(entry[0]).map((key) => html`<kbd>${tellKey(key)}</kbd>`)}</dt>
        <dd>${entry[1]}</dd></div>`)}</dl>
    </section>`)}</div>
  </${Dialog}>`;
}

export function Dialog({ title, onClose, children, wide = false }) {
  const place = useRef();
  useEffect(() => { place.current.showModal(); }, []);
  return html`<dialog ref=${place} class=${wide ? "wide" : ""} aria-label=${title}
      onClose=${onClose} onClick=${(e) => e.target === place.current && place.current.close()}>
    <header><h2>${title}</h2>
      <button class="quiet" aria-label="close" onClick=${() => place.current.close()}>✕</button></header>
    ${children}
  </dialog>`;
}
