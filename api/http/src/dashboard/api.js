// Requests to the API of this server, as whoever is logged in.

import { Problem } from "./session.js";

export class Api {
  constructor(session) {
    this.session = session;
  }

  /** Reads. `query` has what is asked by name; undefined and empty texts are left out. */
  get(path, query, signal) {
    return this.#ask("GET", path, { query, signal });
  }

  /** Changes something. `key` makes a repeat harmless: the same for as long as the same thing is meant. */
  send(method, path, body, { query, key, type } = {}) {
    return this.#ask(method, path, { query, key, type, body });
  }

  /** Reads text, for files to save. */
  async text(path, query, accept) {
    const answer = await this.fetch("GET", path, { query, headers: { Accept: accept } });
    return whole(() => answer.text());
  }

  async #ask(method, path, how) {
    const answer = await this.fetch(method, path, how);
    return answer.status === 204 ? undefined : whole(() => answer.json());
  }

  /** The answer itself, once it is one of success; anything else is thrown as a `Problem`. */
  async fetch(method, path, { query, body, key, signal, headers = {}, type = "application/json" } = {}) {
    const url = path + searchOf(query);
    if (body !== undefined) headers["Content-Type"] = type;
    if (key !== undefined) headers["Idempotency-Key"] = `"${key}"`;
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    // Once more with another token where the server no longer takes this one.
    for (let isSecond = false; ; isSecond = true) {
      const token = await this.session.token();
      const own = { ...headers, Authorization: `Bearer ${token}` };
      const answer = await fetch(url, { method, headers: own, body: text, signal }).catch((error) => {
        throw error.name === "AbortError" ? error : Problem.unreachable();
      });
      if (answer.ok) return answer;
      if (answer.status !== 401 || isSecond) throw await Problem.of(answer);
      this.session.distrust(token);
    }
  }
}

/** The body of an answer. One that breaks off says nothing of what became of the request. */
async function whole(read) {
  try {
    return await read();
  } catch (error) {
    throw error.name === "AbortError" ? error : Problem.unreachable();
  }
}

function searchOf(query) {
  const asked = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return asked.length === 0 ? "" : `?${new URLSearchParams(asked)}`;
}
