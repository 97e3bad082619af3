// The program under test: a server that can be killed and started again, and calls of its API as an admin and as a partner.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

export const TENANT = "journey";
export const PASSWORD = "correct horse battery";
const API_KEY = "grocer-demo-key";
const HOLDER = "operator-token-of-tests";
const ENVIRONMENT = {
  ...process.env,
  KEMBALI_INSTALLATION_KEY: "07".repeat(32),
  KEMBALI_SECRETS_KEY: "08".repeat(32),
  KEMBALI_OPERATOR_TOKEN: HOLDER,
  RUST_BACKTRACE: "0",
};

async function freePort() {
  const socket = createServer().listen(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

export class Server {
  #child;
  #token;

  constructor({ binary, data, demo, port }) {
    this.binary = binary;
    this.data = data;
    this.demo = demo;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts a server on an empty ledger, with every kind of rule, its people, and a part of the sample's purchases. */
  static async open({ binary, data, demo }) {
    const server = new Server({ binary, data, demo, port: await freePort() });
    // Whatever ends this program ends the server.
    process.on("exit", () => server.#child?.kill("SIGKILL"));
    await server.start();
    server.#run(["apply", "--yes", "--url", server.url, `${demo}/full.toml`]);
    for (const [username, role] of [["boss", "admin"], ["ops", "operator"]]) {
      await server.call("POST", "/v1/accounts?tenant=journey", { username, password: PASSWORD, role }, { Authorization: `Bearer ${HOLDER}` });
    }
    await server.call("POST", "/v1/auth/register", { tenant: TENANT, username: "ann@example.com", password: PASSWORD }, { Authorization: "" });
    const lines = gunzipSync(readFileSync(`${demo}/purchases.ndjson.gz`)).toString().split("\n").slice(0, 1_000);
    await server.partner("POST", "/v1/purchases", lines.join("\n"), { "Content-Type": "application/x-ndjson" });
    return server;
  }

  /** Starts the program, and waits until it answers; for a minute at most. */
  async start() {
    const arguments_ = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data-dir", this.data, "--registration", TENANT,
      "--webhook-networks", "127.0.0.0/8", "--mail-tenants", TENANT, "--mail-from", "Shop <no-reply@shop.example>"];
    this.#child = spawn(this.binary, arguments_, { env: ENVIRONMENT, stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    this.#child.stderr.setEncoding("utf8").on("data", (text) => { log += text; });
    for (const until = Date.now() + 60_000; ;) {
      if (this.#child.exitCode !== null || until < Date.now()) throw new Error(`the server does not answer:\n${log}`);
      const ready = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (ready?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** As a power cut of the process would end it. */
  async kill() {
    if (this.#child === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #run(arguments_) {
    const ran = spawnSync(this.binary, arguments_, { env: ENVIRONMENT, encoding: "utf8" });
    if (ran.status !== 0) throw new Error(`${arguments_.join(" ")}: ${ran.stderr}`);
  }

  /** Calls the API, as an admin if nobody else is named, and returns what it answers. */
  async call(method, path, body, headers = {}) {
    const authorization = headers.Authorization ?? `Bearer ${await this.#admin()}`;
    return this.#ask(method, path, body, { ...headers, Authorization: authorization });
  }

  /** Calls the API as the partner. */
  partner(method, path, body, headers = {}) {
    return this.#ask(method, path, body, { ...headers, "X-Api-Key": API_KEY });
  }

  /** Books a purchase: `{ ref, amount, ... }`. */
  buy({ ref, ...more }) {
    this.bought = (this.bought ?? 0) + 1;
    return this.partner("POST", "/v1/purchases", { origin_id: `test-${this.bought}`, customer: { ref }, amount: 250_000, quantity: 1, ...more });
  }

  /** Books a purchase as a partner does that knows of kills: it sends it again until it is answered. */
  async buySurely(purchase) {
    const origin_id = `surely-${(this.bought = (this.bought ?? 0) + 1)}`;
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.buy({ ...purchase, origin_id });
      } catch (error) {
        // `fetch` fails by this where nobody answers; what the server refuses is something else.
        if (!(error instanceof TypeError) || tries === 1_000) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async #admin() {
    if (this.#token === undefined) {
      const body = { tenant: TENANT, username: "boss", password: PASSWORD };
      this.#token = (await this.#ask("POST", "/v1/auth/login", body, {})).access_token;
    }
    return this.#token;
  }

  async #ask(method, path, body, headers) {
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    const sent = { "Content-Type": "application/json", ...headers };
    for (const [name, value] of Object.entries(sent)) if (value === "") delete sent[name];
    const answer = await fetch(this.url + path, { method, body: text, headers: sent });
    const said = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${said}`);
    return answer.headers.get("content-type")?.includes("json") && !answer.headers.get("content-type").includes("ndjson") ? JSON.parse(said) : said;
  }
}
