// Drives the dashboard of a real server in a real browser. Ends with an error where a screen shows something else than what is so, has a
// fault for whoever uses it, or says something on the console. Run by the test `dashboard::a_browser_shows_what_is_so`, which says where the
// program is; with `SCREENS` it leaves pictures there, which the README shows. Names of tests as arguments run these alone.
import { Visit, launch } from "./browser.mjs";
import { account } from "./account.mjs";
import { campaigns } from "./campaigns.mjs";
import { customers } from "./customers.mjs";
import { finance } from "./finance.mjs";
import { goesOnAfterAKill, logsIn, showsWhatARoleMayDo, staysInOrder, worksElsewhere } from "./frame.mjs";
import { integrations } from "./integrations.mjs";
import { payments } from "./payments.mjs";
import { promos } from "./promos.mjs";
import { risk } from "./risk.mjs";
import { Server } from "./server.mjs";
import { system } from "./system.mjs";
import { tiers } from "./tiers.mjs";
import { whatIf } from "./what_if.mjs";

const { KEMBALI: binary, DATA: data, DEMO: demo, SCREENS: screens } = process.env;
const TESTS = [goesOnAfterAKill, promos, customers, account, tiers, campaigns, payments, risk, finance, integrations, whatIf, system, showsWhatARoleMayDo, staysInOrder, worksElsewhere];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !TESTS.some((test) => test.name === name));
if (unknown.length > 0) throw new Error(`there is no test ${unknown.join(", ")}; there are: ${TESTS.map(({ name }) => name).join(", ")}`);
const browser = await launch();
const server = await Server.open({ binary, data, demo });
let failed = 0;
try {
  const visit = await Visit.open(browser, server.url, { screens });
  const visitAs = async (username, context) => {
    const own = await Visit.open(browser, server.url, { screens, ...context });
    await own.logIn(username);
    await own.page.getByRole("heading", { level: 1 }).waitFor();
    return own;
  };
  const given = {
    visit, visitAs, server, page: visit.page,
    call: server.call.bind(server), buy: server.buy.bind(server), open: visit.go.bind(visit), look: visit.look.bind(visit),
  };
  await logsIn(given);
  console.log("ok logsIn");
  for (const test of TESTS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    try {
      await test(given);
      visit.isQuiet(test.name);
      console.log(`ok ${test.name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${test.name}: ${error.stack}`);
      visit.faults.splice(0);
      for (const dialog of await visit.page.getByRole("dialog").all()) await dialog.press("Escape");
    }
  }
} finally {
  await browser.close();
  await server.kill();
}
process.exitCode = failed === 0 ? 0 : 1;
