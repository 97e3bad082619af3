// A client of Dompet Digital Sawit and of its marketplace, as an app of that world would write it, with graphql-request. Ends with an error
// where an answer is not what Dompet's rules come to. Run by the test `marketplace::a_graphql_client_walks_through`, which says where both
// are. Prints the number that the order was paid under.
import assert from "node:assert/strict";
import { ClientError, GraphQLClient, gql } from "graphql-request";

const password = "a long password";
const shop = new GraphQLClient(process.env.MARKETPLACE_URL);
const dompet = new GraphQLClient(process.env.DOMPET_URL);
const admin = new GraphQLClient(process.env.DOMPET_URL, { headers: { Authorization: `Bearer ${process.env.ADMIN_TOKEN}` } });

async function refused(asked) {
  const error = await asked.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof ClientError, String(error));
  return error.response.errors[0].message;
}

// Somebody orders.
await shop.request(
  gql`mutation ($email: String!, $password: String!) { register(nama: "Ann", email: $email, password: $password) { id } }`,
  { email: "ann@gmail.com", password },
);
const session = await shop.request(
  gql`mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token user { nama } } }`,
  { email: "ann@gmail.com", password },
);
shop.setHeader("Authorization", `Bearer ${session.login.token}`);
const { createOrder: order } = await shop.request(
  gql`mutation ($input: OrderInput!) { createOrder(input: $input) { id totalHarga nomorVA status paymentStatus ongkir } }`,
  { input: { productId: "kopi", quantity: 2, alamatPengiriman: "Bandung", kotaTujuanId: "23", metodePengiriman: "REG" } },
);
assert.equal(order.totalHarga, 60000);
assert.match(order.nomorVA, /^DS-8800\d+$/);

// The same person opens a wallet, and an operator puts money into it.
const register = gql`
  mutation Register($username: String!, $fullname: String!, $email: String!, $password: String!) {
    registerUser(username: $username, fullname: $fullname, email: $email, password: $password)
  }
`;
const person = { username: "ann", fullname: "Ann Sawit", email: "ann@gmail.com", password };
assert.deepEqual(await dompet.request(register, person), { registerUser: "Registrasi Berhasil" });
assert.equal(await refused(dompet.request(register, person)), "Email already registered");
const login = gql`
  mutation ($email: String!, $password: String!) {
    loginUser(email: $email, password: $password) { access_token token_type user { user_id email role } }
  }
`;
const { loginUser } = await dompet.request(login, { email: "ann@gmail.com", password });
assert.equal(loginUser.user.role, "Nasabah");
dompet.setHeader("Authorization", `Bearer ${loginUser.access_token}`);
const { myProfile } = await dompet.request(gql`query ($token: String!) { myProfile(token: $token) { user_id email } }`, {
  token: loginUser.access_token,
});
assert.deepEqual(myProfile, { user_id: loginUser.user.user_id, email: "ann@gmail.com" });
const { createWallet: wallet } = await dompet.request(
  gql`mutation { createWallet(walletName: "Belanja") { walletId walletName balance status } }`,
);
assert.deepEqual([wallet.walletName, wallet.balance, wallet.status], ["Belanja", 0, "ACTIVE"]);
const move = gql`
  mutation Move($input: TransactionInput!) {
    createTransaction(input: $input) { transactionId walletId amount type vaNumber status createdAt }
  }
`;
const deposit = { input: { walletId: wallet.walletId, amount: 100000, type: "DEPOSIT" } };
assert.equal(await refused(dompet.request(move, deposit)), "Admin Only");
assert.equal((await admin.request(move, deposit)).createTransaction.status, "SUCCESS");

// And pays what was ordered, once, to the rupiah.
const pay = (amount) => ({ input: { walletId: wallet.walletId, amount, type: "PAYMENT", vaNumber: order.nomorVA } });
assert.equal(await refused(dompet.request(move, pay(59999))), "Total harga tidak sesuai dengan tagihan VA");
const { createTransaction: paid } = await dompet.request(move, pay(order.totalHarga));
assert.deepEqual([paid.status, paid.type, paid.vaNumber], ["SUCCESS", "PAYMENT", order.nomorVA]);
assert.equal(
  await refused(dompet.request(move, pay(order.totalHarga))),
  "Transaksi Ditolak: Tagihan VA ini sudah lunas sebelumnya.",
);
const shown = await dompet.request(gql`
  query { myWallets { walletId balance } myTransactions { type amount vaNumber status } myHistory { transactionId status } }
`);
assert.equal(shown.myWallets.find((own) => own.walletId === wallet.walletId).balance, 40000);
assert.deepEqual(shown.myTransactions, [
  { type: "PAYMENT", amount: 60000, vaNumber: order.nomorVA, status: "SUCCESS" },
  { type: "DEPOSIT", amount: 100000, vaNumber: null, status: "SUCCESS" },
]);
assert.equal(shown.myHistory[0].transactionId, paid.transactionId);
const { getFraudLogs } = await admin.request(gql`query { getFraudLogs { amount status reason } }`);
assert.deepEqual(getFraudLogs[0], { amount: 60000, status: "SAFE", reason: "Aman" });
console.log(order.nomorVA);
