// The event stream, as one subscription of the whole page: `GET /v1/stream` as an event source, read with `fetch` since an `EventSource`
// sends no token. Whatever breaks, it goes on behind the last position that it has seen, so nothing is missing and nothing comes twice.

import { Problem } from "./session.js";

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;
/** The server says something every 5 s: after this long without anything the connection is dead. */
const SILENCE_MAX_MS = 20_000;
/** A page that is this far behind is of no use: it goes on with the newest, and says what it left out. */
const BEHIND_MAX = 100_000;
const BATCH = 200;
/** A page that nobody has looked at for so long gives its connection up. */
const HIDDEN_MAX_MS = 30_000;

export class Live extends EventTarget {
  #position;
  #listeners = new Set();
  #stopped = new AbortController();
  /** The connection that is read. */
  #connection = new AbortController();
  /** Gives the connection up once the page was hidden for long. */
  #hiding;

  constructor(api, { withGauges }) {
    super();
    this.api = api;
    this.withGauges = withGauges;
    /** `connecting`, `live`, `lost`, or `resting` while nobody looks. */
    this.state = "connecting";
    /** Why it is lost, where the server said so: a `Problem`. */
    this.problem = undefined;
    this.gauge = undefined;
    /** Positions that were left out, since the page was too far behind. */
    this.skipped = 0;
  }

  /** The last position that was told of. */
  get position() {
    return this.#position;
  }

  /** Reads until `stop`. While the page is hidden it rests, since a browser has few connections to one server; then it goes on. */
  async run() {
    const { signal } = this.#stopped;
    const look = () => {
      clearTimeout(this.#hiding);
      if (document.hidden) this.#hiding = setTimeout(() => this.#connection.abort(), HIDDEN_MAX_MS);
    };
    document.addEventListener("visibilitychange", look, { signal });
    let wait = RETRY_MIN_MS;
    while (!signal.aborted) {
      try {
        if (await this.#once()) wait = RETRY_MIN_MS;
        this.problem = undefined;
      } catch (error) {
        if (signal.aborted) return;
        this.problem = error instanceof Problem && error.status !== 0 ? error : undefined;
        // Another ledger, or one that was put back: positions of before mean nothing here.
        if (this.problem?.code === "after_ahead") this.#position = undefined;
        else if (!(error instanceof Problem)) console.error("the event stream failed", error);
      }
      if (signal.aborted) return;
      if (document.hidden) {
        this.#is("resting");
        await shownAgain(signal);
        continue;
      }
      this.#is("lost");
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, RETRY_MAX_MS);
    }
  }

  stop() {
    this.#stopped.abort();
  }

  /** Waits until it is known from which position on events are told, for so long at most. */
  async began(ms) {
    if (this.#position !== undefined) return;
    await new Promise((resolve) => {
      this.addEventListener("state", resolve, { once: true });
      setTimeout(resolve, ms);
    });
  }

  /** Calls `handler(event)` for each event of these topics, as `purchase.accepted` or `purchase.*`, until `signal` is aborted. */
  on(topics, handler, signal) {
    const listener = { topics, handler };
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener));
  }

  /** Calls `handler(gauge)` with the sums of the tenant, with the newest now and whenever they change, until `signal` is aborted. */
  onGauge(handler, signal) {
    this.addEventListener("gauge", () => handler(this.gauge), { signal });
    if (this.gauge !== undefined) handler(this.gauge);
  }

  /** One connection. Returns whether anything came. */
  async #once() {
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    const ended = AbortSignal.any([signal, this.#stopped.signal]);
    const query = { batch: BATCH, after: this.#position, gauges: this.withGauges ? "true" : undefined };
    let silence = setTimeout(() => this.#connection.abort(), SILENCE_MAX_MS);
    try {
      const answer = await this.api.fetch("GET", "/v1/stream", { query, signal: ended, headers: { Accept: "text/event-stream" } });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let [rest, any] = ["", false];
      while (!ended.aborted) {
        const { value, done } = await reader.read().catch(() => ({ done: true }));
        clearTimeout(silence);
        if (done) return any;
        silence = setTimeout(() => this.#connection.abort(), SILENCE_MAX_MS);
        any = true;
        const messages = (rest + value).split("\n\n");
        rest = messages.pop();
        for (const message of messages) this.#take(message);
      }
      return any;
    } catch (error) {
      if (error.name === "AbortError") return false;
      throw error;
    } finally {
      clearTimeout(silence);
    }
  }

  #take(message) {
    // What comes behind the end of a connection is asked for again.
    if (this.#connection.signal.aborted) return;
    const lines = message.split("\n");
    const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
    if (data === "") {
      // An id with nothing else: everything up to there was somebody else's.
      const id = lines.find((line) => line.startsWith("id: "));
      if (id !== undefined) this.#reached(Number(id.slice(4)));
      return;
    }
    const told = JSON.parse(data);
    if (told.op === "ready") this.#ready(told);
    else if (told.op === "gauge") this.#gauge(told.summary);
    else if (told.op === "ev") this.#events(told);
    // The next connection goes on where this one was told to.
    else if (told.op === "lag") this.#reached(told.resume_after);
    else if (told.op === "error") this.problem = new Problem(503, { code: told.code, title: told.title, detail: told.detail });
  }

  #ready({ head, after }) {
    this.#position ??= after;
    if (BEHIND_MAX < head - this.#position) {
      this.skipped += head - this.#position;
      this.#position = head;
      // What was asked for is on its way already: another connection asks from here on.
      this.#connection.abort();
      return;
    }
    this.#is("live");
  }

  #gauge(summary) {
    this.gauge = summary;
    this.#tell("gauge");
  }

  #events({ seq, events }) {
    for (const event of events) {
      // Told of before: never expected, since what was asked for is what comes behind the position.
      if (Number(event.sequence) <= this.#position) continue;
      for (const { topics, handler } of this.#listeners) {
        if (topics.some((topic) => fits(topic, event.type))) this.#hand(event, handler);
      }
    }
    this.#reached(seq);
  }

  /** Whatever a screen makes of an event, the stream goes on. */
  #hand(event, handler) {
    try {
      handler(event);
    } catch (error) {
      console.error(`seq ${event.sequence} could not be shown`, error);
    }
  }

  #reached(position) {
    if (this.#position === undefined || this.#position < position) this.#position = position;
    this.#tell("position");
  }

  #is(state) {
    this.state = state;
    this.#tell("state");
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

function shownAgain(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (!document.hidden) resolve();
    };
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", resolve);
    look();
  });
}

function fits(topic, type) {
  return topic === "*" || topic === type || (topic.endsWith(".*") && type.startsWith(topic.slice(0, -1)));
}
