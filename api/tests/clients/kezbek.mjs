// A client of KezBek, as a partner and a customer would write it, with nothing but fetch. Ends with an error where an answer is not
// what KezBek's rules come to. Run by the test `kezbek::a_fetch_client_walks_through`, which says where the server is.
import assert from "node:assert/strict";

const base = process.env.KEZBEK_URL;
const partner = { partner_api_key: process.env.KEZBEK_API_KEY, partner_api_secret: process.env.KEZBEK_API_SECRET };

async function call(method, path, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  return { status: answer.status, ...(await answer.json()) };
}

async function buy(origin, quantity, amount) {
  const promo_code = "KEZBEK1000";
  const asked = { transaction_origin_id: origin, ...partner, promo_code };
  const { data } = await call("POST", "/transaction/api/v1/generate-journey-id", asked);
  return call("POST", "/transaction/api/v1/new-transaction", {
    transaction_origin_id: origin,
    partner_api_key: partner.partner_api_key,
    customer_email: "fetch@gmail.com",
    promo_code,
    quantity,
    act_trx: amount,
    journey_id: data.journey_id,
  });
}

const person = { name: "Fetch", username: "fetch", email: "fetch@gmail.com", phone: "+62811", password: "a long password" };
assert.equal((await call("POST", "/authenticator/api/v1/register", person)).status, 201);
const login = await call("POST", "/authenticator/api/v1/login", { username: "fetch", password: "a long password" });
const token = login.data.token;
assert.equal(token.split(".").length, 3);

// KezBek's worked example: a promo of 33,000 and the third purchase of a bronze customer.
await buy("F-1", 1, 1_000_000);
await buy("F-2", 1, 1_000_000);
const third = await buy("F-3", 2, 1_200_000);
assert.deepEqual(
  [third.status, third.data.prosentase, third.data.point_transaction, third.data.point_loyalty, third.data.point_total],
  [201, 2.75, 33_000, 15_000, 48_000],
);
const again = await buy("F-3", 2, 1_200_000);
assert.equal(again.data.transaction_id, third.data.transaction_id);

// Twenty at a time, each paid once.
const many = await Promise.all(Array.from({ length: 20 }, (_, number) => buy(`M-${number}`, 1, 200_000)));
assert.ok(many.every((own) => own.status === 201), JSON.stringify(many.find((own) => own.status !== 201)));
const wallet = await call("GET", "/customer/api/v1/get-wallet-ballance", undefined, token);
const paid = many.reduce((sum, own) => sum + own.data.point_total, third.data.point_total);
assert.equal(wallet.data.current_balance, paid);

const forged = await call("POST", "/transaction/api/v1/generate-journey-id", {
  transaction_origin_id: "F-9",
  ...partner,
  partner_api_secret: "another secret, as long",
  promo_code: "KEZBEK1000",
});
assert.deepEqual([forged.status, forged.statusCode], [401, 401]);
console.log(`paid ${paid}`);
