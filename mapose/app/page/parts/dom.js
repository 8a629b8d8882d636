// Preact and htm, under one roof.
export { html, render, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback }
  from "../vendor/htm-preact.js";
