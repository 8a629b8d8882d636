// A few words at the first use of a page. A cookie remembers them: the app's port changes, it does not.
import { html, useState } from "./dom.js";

const COOKIE = "mapose-hints", YEAR = 31536000;
const listSeen = () => (document.cookie.split("; ").find((c) => c.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) ?? "").split("|").filter(Boolean);

export function Hint({ page, children }) {
  const [seen, setSeen] = useState(() => listSeen().includes(page));
  if (seen) return null;
  const done = () => {
    document.cookie = `${COOKIE}=${[...listSeen(), page].join("|")}; path=/; max-age=${YEAR}; samesite=strict`;
    setSeen(true);
  };
  return html`<div class="welcome" role="note"><p>${children}</p><button onClick=${done}>Got it</button></div>`;
}
