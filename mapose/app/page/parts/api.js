// The server: questions, changes, and the stream of what others change.
import { status } from "./store.js";

export const tab = Math.random().toString(36).slice(2, 10);

export class ApiError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    status.set({ gone: true });
    throw new ApiError(0, "The server does not answer.");
  }
  status.set({ gone: false });
  if (answer.ok) return answer;
  let told = `The server answers ${answer.status}.`;
  try { told = (await answer.json()).error ?? told; } catch { /* not in words */ }
  throw new ApiError(answer.status, told);
}

export const get = async (path, options) => (await ask(path, options)).json();
export const getBytes = async (path, options) => (await ask(path, options)).arrayBuffer();
export const getBlob = async (path, options) => (await ask(path, options)).blob();

export async function post(path, body) {
  const answer = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return answer.json();
}

export const name = encodeURIComponent;
export const api = (project, ...parts) => `/api/p/${project}${parts.map((p) => `/${name(p)}`).join("")}`;
export const frameAddress = (project, video, frame, height = 0) =>
  `/frame/${project}/${name(video)}/${frame}${height ? `?height=${height}` : ""}`;
export const stillAddress = (project, video, image, height = 0) =>
  `/still/${project}/${name(video)}/${name(image)}${height ? `?height=${height}` : ""}`;

// Listens while the page can be seen: a browser keeps six connections to a server, no more.
export function listen(project, hear) {
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(`/events/${project}`);
    source.onmessage = (message) => {
      status.set({ gone: false });
      hear(JSON.parse(message.data));
    };
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) { close(); setTimeout(turn, 2000); }
    };
  };
  const close = () => { source?.close(); source = null; };
  const turn = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", turn);
  open();
  return () => { document.removeEventListener("visibilitychange", turn); close(); };
}
