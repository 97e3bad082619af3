// Who is logged in. The access token is in memory alone; the refresh token is kept for this tab, so a page that is loaded again goes on.

const KEPT = "kembali.session";
/** Another access token is fetched this much before the old one ends. */
const EARLY_MS = 30_000;
/** A server that is not there does not keep anybody logged in for longer. */
const LOG_OUT_MS = 3_000;

export class Session {
  #access;
  #endsAt = 0;
  #refreshing;
  /** Changes with each log-in and log-out: what was asked before it is of somebody else. */
  #turn = 0;

  /** `onEnded(problem)` is called once nobody is logged in any more; with the reason, where the server has ended the session. */
  constructor(onEnded) {
    this.account = undefined;
    this.onEnded = onEnded;
  }

  get role() {
    return this.account?.role;
  }

  get isAdmin() {
    return this.role === "admin";
  }

  get isOperator() {
    return this.role === "operator" || this.isAdmin;
  }

  /** Logs in. Throws a `Problem` where the server refuses. */
  async logIn(tenant, username, password) {
    this.#turn += 1;
    this.#take(await ask("/v1/auth/login", { tenant, username, password }), this.#turn);
  }

  /** Goes on with what this tab kept; returns false where there is nothing to go on with. */
  async resume() {
    if (sessionStorage.getItem(KEPT) === null) return false;
    try {
      await this.#refresh();
    } catch (error) {
      if (isEnd(error)) return false;
      throw error;
    }
    return true;
  }

  /** The token for the next request. */
  async token() {
    if (this.#access === undefined || this.#endsAt - EARLY_MS < Date.now()) await this.#refresh();
    return this.#access;
  }

  /** Forgets a token that the server did not take, so that the next request has another. */
  distrust(token) {
    if (this.#access === token) this.#access = undefined;
  }

  async logOut() {
    // A session ends by an access token that holds.
    const late = new Promise((resolve) => setTimeout(resolve, LOG_OUT_MS));
    const token = await Promise.race([this.token().catch(() => undefined), late]);
    this.#end();
    if (token === undefined) return;
    // Whatever the server says, this tab has forgotten; what it kept open ends by itself.
    await fetch("/v1/auth/logout", { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => undefined);
  }

  /** One refresh however many requests need it: a refresh token is good for once. */
  #refresh() {
    this.#refreshing ??= this.#refreshOnce().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refreshOnce() {
    const turn = this.#turn;
    const kept = sessionStorage.getItem(KEPT);
    if (kept === null) throw new Problem(401, { code: "session_ended", title: "Nobody is logged in." });
    try {
      this.#take(await ask("/v1/auth/refresh", { refresh_token: kept }), turn);
    } catch (error) {
      // A server that cannot be reached, or that is starting, ends no session.
      if (isEnd(error) && turn === this.#turn) this.#end(error);
      throw error;
    }
  }

  #take(tokens, turn) {
    if (turn !== this.#turn) throw new Problem(401, { code: "session_ended", title: "Somebody else has logged in, or nobody." });
    this.#access = tokens.access_token;
    this.#endsAt = Date.now() + tokens.expires_in * 1_000;
    this.account = tokens.account;
    sessionStorage.setItem(KEPT, tokens.refresh_token);
  }

  #end(problem) {
    this.#turn += 1;
    this.#access = undefined;
    const wasLoggedIn = this.account !== undefined;
    this.account = undefined;
    sessionStorage.removeItem(KEPT);
    if (wasLoggedIn) this.onEnded(problem);
  }
}

/** The server will not go on with the session. */
function isEnd(error) {
  return error instanceof Problem && (error.status === 401 || error.status === 403);
}

/** What every refusal has. */
const USUAL = new Set(["type", "title", "status", "detail", "code", "retryable", "request_id", "retry_after"]);

/** What the server refused, as it says it (RFC 9457), or that it was not reached: status 0. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.title = body.title ?? `The server answered ${status}.`;
    this.detail = body.detail;
    this.pointer = body.pointer;
    this.requestId = body.request_id;
    this.retryAfter = body.retry_after;
    /** What the server says beside that, such as how much there is, and `pointer`, the place of the fault in what was sent. */
    this.members = Object.fromEntries(Object.entries(body).filter(([name]) => !USUAL.has(name)));
  }

  static unreachable() {
    return new Problem(0, {
      code: "unreachable",
      title: "The server cannot be reached.",
      detail: "It may be starting, or the network is down. A change that was asked for may be made: look before you ask for it again.",
    });
  }

  static async of(answer) {
    const body = await answer.json().catch(() => ({}));
    return new Problem(answer.status, { retry_after: answer.headers.get("retry-after") ?? undefined, ...body });
  }
}

async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => {
    throw Problem.unreachable();
  });
  if (!answer.ok) throw await Problem.of(answer);
  return answer.json();
}
