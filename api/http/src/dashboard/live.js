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

export class Live extends EventTarget {
  #position;
  #listeners = new Set();
  #stopped = new AbortController();

  constructor(api, { withGauges }) {
    super();
    this.api = api;
    this.withGauges = withGauges;
    /** `connecting`, `live` or `lost`. */
    this.state = "connecting";
    this.gauge = undefined;
    this.left = { records: 0, repeated: 0, skipped: 0, restarts: 0 };
  }

  /** The last position that was told of. */
  get position() {
    return this.#position;
  }

  /** Reads until `stop`. */
  async run() {
    let wait = RETRY_MIN_MS;
    while (!this.#stopped.signal.aborted) {
      try {
        if (await this.#once()) wait = RETRY_MIN_MS;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        if (error instanceof Problem && error.code === "after_ahead") {
          // Another ledger, or one that was put back: positions of before mean nothing here.
          this.#position = undefined;
          this.#tell("reset");
        } else if (!(error instanceof Problem)) {
          console.warn("the event stream ended", error);
        }
      }
      if (this.#stopped.signal.aborted) return;
      this.#is("lost");
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(wait * 2, RETRY_MAX_MS);
      this.left.restarts += 1;
    }
  }

  stop() {
    this.#stopped.abort();
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
    const silence = new AbortController();
    const signal = AbortSignal.any([silence.signal, this.#stopped.signal]);
    const query = { batch: BATCH, after: this.#position, gauges: this.withGauges ? "true" : undefined };
    const answer = await this.api.fetch("GET", "/v1/stream", { query, signal, headers: { Accept: "text/event-stream" } });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let [rest, any] = ["", false];
    for (;;) {
      const timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
      const { value, done } = await reader.read().catch(() => ({ done: true })).finally(() => clearTimeout(timer));
      if (done) return any;
      any = true;
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      for (const message of messages) this.#take(message);
    }
  }

  #take(message) {
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
    else if (told.op === "error") console.warn("the event stream was ended by the server:", told.title);
  }

  #ready({ head, after }) {
    this.#position ??= after;
    if (BEHIND_MAX < head - this.#position) {
      this.left.skipped += head - this.#position;
      this.#position = head;
      this.#tell("skipped");
    }
    this.#is("live");
  }

  #gauge(summary) {
    this.gauge = summary;
    this.#tell("gauge");
  }

  #events({ seq, events }) {
    let last = 0;
    for (const event of events) {
      const position = Number(event.sequence);
      if (position <= this.#position) {
        // Told of before: what comes behind a position is what was asked for, so this is never expected.
        if (position !== last) this.left.repeated += 1;
        last = position;
        continue;
      }
      if (position !== last) this.left.records += 1;
      last = position;
      for (const { topics, handler } of this.#listeners) {
        if (topics.some((topic) => fits(topic, event.type))) handler(event);
      }
    }
    this.#reached(seq);
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

function fits(topic, type) {
  return topic === "*" || topic === type || (topic.endsWith(".*") && type.startsWith(topic.slice(0, -1)));
}
