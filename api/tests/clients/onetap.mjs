// Clients of onetap's notices, with socket.io-client. Ends with an error where one is told something else than what happened, or where
// somebody is told who may not be. Run by the test `onetap::a_socket_io_client_is_told_what_happened`, which says where the server is.
import assert from "node:assert/strict";
import { io } from "socket.io-client";
import WebSocket from "ws";

const { ONETAP_URL: url, MERCHANT: merchant, OTHER: other, PASSWORD: password, ORDERS: orders, PRODUCT: product } = process.env;
const headers = { "Content-Type": "application/json" };

async function post(path, body, more = {}) {
  const answer = await fetch(url + path, { method: "POST", headers: { ...headers, ...more }, body: JSON.stringify(body) });
  return { status: answer.status, cookie: answer.headers.get("set-cookie"), ...(await answer.json()) };
}

async function person(tenant, username) {
  assert.equal((await post("/v1/auth/register", { tenant, username, password })).status, 201);
  return (await post("/v1/auth/login", { tenant, username, password })).access_token;
}

let count = 0;
async function buy(customerId, amount) {
  const order = { orderId: `s-${++count}`, customerId, merchantId: merchant, productId: product, amount };
  const booked = await post("/order", order, { Authorization: orders });
  assert.equal(booked.status, 201, JSON.stringify(booked));
  return booked.notifications;
}

// A client that is connected, and what it was told.
async function connected(options) {
  const socket = io(url, { reconnection: false, forceNew: true, ...options });
  const told = [];
  socket.on("notification", (text) => told.push(text));
  await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
  // Waits until it was told so much.
  const hears = async (expected) => {
    while (told.length < expected.length) await new Promise((resolve) => socket.once("notification", resolve));
    assert.deepEqual(told, expected);
  };
  return { socket, told, hears, waitsFor: (id) => socket.timeout(10000).emitWithAck("id", id) };
}

async function refused(options) {
  const socket = io(url, { reconnection: false, forceNew: true, ...options });
  const error = await new Promise((resolve, reject) => {
    socket.on("connect", () => reject(new Error("it is connected"))).on("connect_error", resolve);
  });
  socket.close();
  return error.message;
}

const ann = await person(merchant, "ann@gmail.com");
const eve = await person(merchant, "eve@gmail.com");
const stranger = await person(other, "ann@gmail.com");
const { cookie } = await post("/v1/signin", { username: `${merchant}/clerk`, password });
const clerk = cookie.split(";")[0];

// Nobody is connected without a token, or with one that is none.
for (const options of [{}, { auth: {} }, { auth: { token: 5 } }, { auth: { token: "a.b.c" } }, { auth: { token: "a\nb" } }]) {
  assert.match(await refused(options), /unauthorized/, JSON.stringify(options));
}
// A customer waits with two clients, over both transports; an employee, by the cookie, for another customer.
const phone = await connected({ auth: { token: ann } });
const laptop = await connected({ auth: { token: ann }, transports: ["websocket"] });
const till = await connected({ extraHeaders: { Cookie: clerk }, transports: ["polling"] });
assert.equal(await phone.waitsFor("ann@gmail.com"), true);
assert.equal(await laptop.waitsFor("Ann@gmail.com"), true);
await buy("budi", 10);
assert.equal(await till.waitsFor("budi"), true);
// Nobody waits for somebody else, of another merchant, or for nobody.
const spy = await connected({ auth: { token: eve } });
const foreign = await connected({ auth: { token: stranger } });
for (const [client, id] of [[spy, "ann@gmail.com"], [spy, "budi"], [foreign, "budi"], [till, "nobody"], [spy, ""]]) {
  assert.equal(await client.waitsFor(id), false, id);
}
assert.equal(await foreign.waitsFor("ann@gmail.com"), true, "this one is another, of another merchant");

// What happened is told, and nothing else; the answer of the order says the same.
assert.deepEqual(await buy("ann@gmail.com", 40), ["tier: Bronze", "cashback: 1 points of Two percent"]);
assert.deepEqual(await buy("ann@gmail.com", 1), []);
assert.deepEqual(await buy("ann@gmail.com", 1000), ["tier upgrade: Silver", "cashback: 20 points of Two percent"]);
assert.deepEqual(await buy("budi", 100), ["cashback: 2 points of Two percent"]);
const happened = ["tier: Bronze", "cashback: 1 points of Two percent", "tier upgrade: Silver", "cashback: 20 points of Two percent"];
await phone.hears(happened);
await laptop.hears(happened);
await till.hears(["cashback: 2 points of Two percent"]);
// One that goes leaves the other.
laptop.socket.close();
await buy("ann@gmail.com", 500);
await phone.hears([...happened, "cashback: 10 points of Two percent"]);
assert.deepEqual([spy.told, foreign.told, laptop.told.length], [[], [], 4]);
// Much at one time is told whole, over both transports.
await Promise.all(Array.from({ length: 200 }, () => buy("ann@gmail.com", 100)));
await phone.hears([...happened, ...Array(201).fill(null).map((_, at) => `cashback: ${at ? 2 : 10} points of Two percent`)]);
await Promise.all(Array.from({ length: 200 }, () => buy("budi", 100)));
const many = Array(201).fill("cashback: 2 points of Two percent");
// The tenth of them leads budi up: 110 were spent before.
await till.hears([...many.slice(0, 9), "tier upgrade: Silver", ...many.slice(9)]);
// One account does not take all the room there is, also not by leaving and keeping the connection.
const raw = (token) => new Promise((resolve, reject) => {
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  socket.onmessage = ({ data }) => {
    if (data.startsWith("0")) socket.send(`40${JSON.stringify({ token })}`);
    if (data.startsWith("40")) { socket.send("41"); resolve(socket); }
    if (data.startsWith("44")) { socket.close(); resolve(null); }
  };
  socket.onerror = reject;
});
const left = [];
for (let i = 0; i < 19; i++) left.push(await raw(eve));
assert.ok(left.every((socket) => socket !== null));
assert.match(await refused({ auth: { token: eve } }), /too many/);
assert.equal(await raw(eve), null);
for (const client of [phone, till, spy, foreign]) client.socket.close();
for (const socket of left) socket.close();
// Whoever still waits when the server stops does not hold it up.
const waiting = (await fetch(`${url}/socket.io/?EIO=4&transport=polling`).then((answer) => answer.text())).slice(1);
fetch(`${url}/socket.io/?EIO=4&transport=polling&sid=${JSON.parse(waiting).sid}`).catch(() => {});
console.log("told what happened");
process.exit(0);
