// How much of something is done, as a bar.
import { html } from "./dom.js";

export const Fill = ({ share }) =>
  html`<span class="fill" style=${{ width: `${Math.min(100, Math.max(0, 100 * share))}%` }}></span>`;
