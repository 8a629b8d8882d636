// Preact and htm, under one roof.
export { html, render, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback }
  from "../vendor/htm-preact.js";

// In a list longer than its place, what is chosen is in sight.
export const showChosen = (list) => document.querySelector(`${list} [aria-pressed="true"]`)?.scrollIntoView({ block: "nearest" });
