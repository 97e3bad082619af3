// System: how the server is, for whoever looks after it: what it takes, how fast, what is on the disk, and whether that is whole.

import { lineChart } from "./chart.js";
import { fill, h } from "./dom.js";
import { NOTHING, big, bytes, dateTime, decimal, duration, micros, whole } from "./format.js";
import { badge, button, columns, figure, figures, loading, meter, panel, settle } from "./ui.js";

const READ_SECONDS = 2;
/** The trial balance adds up every account. */
const BALANCE_SECONDS = 30;
/** How long times are kept to be drawn. */
const WINDOW_SECONDS = 300;

export const system = { name: "system", title: "System", open };

function open(page) {
  const [trouble, unbalanced] = [h("div", {}, loading()), h("div", {}, loading())];
  const [state, balance] = [h("ul", { class: "plain-list" }), h("ul", { class: "plain-list" })];
  const sums = sumsOf();
  const decisions = timesPanel(page, "Decisions",
    "From a purchase's arrival to its durable answer. Slow while syncs are fast: the machine is busy.");
  const syncs = timesPanel(page, "Syncs",
    "Writes of the journal to the disk, each synced. Slow: the disk is slow, or something else uses it.");
  const work = meter("Work in flight");
  const archive = archivePanel(page);

  page.show({ intro: "How this server is, and what to do where it is not well." },
    trouble,
    panel("State", {}, state),
    sums.node,
    columns(decisions.node, syncs.node),
    columns(
      panel("Work in flight", {
        note: "Units of what was let in and is not answered yet. Beyond the room requests get 503, overloaded, and streams wait.",
      }, work),
      panel("Trial balance", {
        note: "Debits less credits of all accounts, by unit. Anything but 0 is a fault of the program: stop it, and keep its files.",
      }, unbalanced, balance)),
    archive.node);

  page.every(READ_SECONDS, trouble, async () => {
    const now = await page.get("/v1/system");
    fill(state, stateOf(now).map((line) => h("li", {}, line)));
    sums.set(now);
    decisions.set(now.decisions);
    syncs.set(now.syncs);
    work.set({ used: now.in_flight.used, total: now.in_flight.room });
    archive.set(now);
  });
  page.every(BALANCE_SECONDS, unbalanced, async () => {
    const { totals } = await page.get("/v1/trial-balance");
    fill(balance, totals.map(({ unit, total }) => h("li", {}, balanceOf(unit, total))));
  });
}

/** What the server takes, and what to do where that is not all. */
function stateOf({ status, clock, disk }) {
  const takes = status === "read_only"
    ? said("bad", "Read-only", "The disk is nearly full: nothing is booked, reads go on. Make room on the disk; it goes on by itself.")
    : said("good", "Takes everything", "Purchases are booked and reads are answered.");
  const tells = clock === "off"
    ? said("bad", "The clock jumped",
      "The server is not ready. Set the clock right. Where it is right, and was wrong at the start, restart the server.")
    : said("good", "The clock runs evenly", "Records are stamped by it.");
  return [takes, tells, roomOf(disk)];
}

function roomOf(disk) {
  if (disk === undefined) return said("warn", "The disk does not say what is free", "The log says why.");
  const { free_bytes: free, free_bytes_min: least } = disk;
  const [own, needed] = [bytes(free), bytes(least)];
  if (least === 0) return said("warn", "The disk is not watched", `${own} are free. With free_bytes_min the server stops booking in time.`);
  if (free < least) return said("bad", "The disk is nearly full", `${own} are free, ${needed} are needed.`);
  if (free < 2 * least) return said("warn", "The disk fills up", `${own} are free. Make room before it is less than ${needed}.`);
  return said("good", "The disk has room", `${own} are free; with less than ${needed} the server is read-only.`);
}

function said(kind, text, more) {
  return [badge(text, kind), ` ${more}`];
}

/** What runs, in numbers. */
function sumsOf() {
  const uptime = figure("Uptime");
  const rate = figure("Purchases a second");
  const subscribers = figure("Subscribers");
  const shards = figure("Shards");
  const free = figure("Disk free");
  return {
    node: figures(uptime, rate, subscribers, shards, free),
    set(now) {
      const up = Math.max(0, Date.now() - Date.parse(now.started_at)) / 1_000;
      uptime.set(duration(up), `since ${dateTime(now.started_at)}, version ${now.version}`);
      rate.set(decimal(now.decisions.count / Math.max(1, now.decisions.seconds)), `in the last ${now.decisions.seconds} s`);
      subscribers.set(whole(now.subscribers), "streams of events, this page's too");
      shards.set(whole(now.shards), "decide beside each other");
      if (now.disk === undefined) free.set(NOTHING);
      else free.set(bytes(now.disk.free_bytes), `read-only below ${bytes(now.disk.free_bytes_min)}`);
    },
  };
}

/** How long something took lately, and over the last minutes. */
function timesPanel(page, title, note) {
  const median = figure("Median");
  const tail = figure("99th percentile");
  const chart = lineChart({
    label: `${title}, how long they took over the last ${duration(WINDOW_SECONDS)}`,
    series: [{ label: "99th percentile" }, { label: "median" }],
    format: micros,
    signal: page.signal,
  });
  let samples = [];
  return {
    node: panel(title, { note }, figures(median, tail), chart.node),
    set({ seconds, count, p50_us: p50, p99_us: p99, max_us: max }) {
      const now = Date.now() / 1_000;
      median.set(micros(p50), `of ${whole(count)} in the last ${seconds} s`);
      tail.set(micros(p99), `one in a hundred took longer, at most ${micros(max)}`);
      samples = [...samples, { at: now, p50, p99 }].filter(({ at }) => now - WINDOW_SECONDS <= at);
      chart.set(samples.map(({ at }) => at), [samples.map((own) => own.p99), samples.map((own) => own.p50)],
        count === 0 ? "none now" : `99th percentile ${micros(p99)}, median ${micros(p50)} now`);
    },
  };
}

/** What is archived, and the check of every byte of it: begun by hand, followed until it ends. */
function archivePanel(page) {
  const archived = figure("Archived and in a snapshot");
  const tail = figure("Not archived yet");
  const trouble = h("div");
  const result = h("p", { role: "status" });
  const bar = h("progress");
  const counted = h("span");
  const checked = h("label", { hidden: true }, "Segments checked ", bar, " ", counted);
  const start = button("Check every byte", () => settle(trouble, async () => {
    show(await page.api.send("POST", "/v1/system/verification"));
    fill(trouble);
  }, { keep: true }));
  let shown;
  const show = (check) => {
    const isRunning = check?.state === "running";
    start.hidden = isRunning;
    checked.hidden = !isRunning;
    if (isRunning) {
      bar.max = Math.max(1, check.segments);
      bar.value = check.segments_checked;
      counted.textContent = `${whole(check.segments_checked)} of ${whole(check.segments)}`;
    }
    // What is said is said once, however often it is read.
    const key = `${check?.state} ${check?.started_at}`;
    if (key !== shown) fill(result, resultOf(check));
    shown = key;
  };
  return {
    node: panel("Archive", {
      actions: page.session.isAdmin && start,
      note: "A check reads all of it again while the server goes on. Damage stops the server, and its log says what to do.",
    }, figures(archived, tail), trouble, result, checked),
    set({ archive, tail: { records }, verification }) {
      archived.set(`up to seq ${whole(archive.last_seq)}`, `${whole(archive.segments)} segments; a start reads only what comes behind`);
      tail.set(whole(records), "records in the journal alone; the more, the longer a start");
      show(verification);
    },
  };
}

function resultOf(check) {
  if (check === null) return said("plain", "Not checked", "since the server started.");
  const { state, started_at: from, ended_at: to, segments, through, unread } = check;
  if (state === "running") return said("warn", "Under way", `since ${dateTime(from)}, up to seq ${whole(through)}.`);
  if (state === "incomplete") {
    return [said("bad", "Not all could be read", `${dateTime(to)}: `), h("code", {}, unread),
      " That is no damage: look at the disk, and check again."];
  }
  const seconds = (Date.parse(to) - Date.parse(from)) / 1_000;
  const took = seconds < 60 ? `${decimal(seconds)} s` : duration(seconds);
  return said("good", "Whole", `Every byte of ${whole(segments)} segments, up to seq ${whole(through)}: ${dateTime(to)}, in ${took}.`);
}

function balanceOf(unit, total) {
  return big(total) === 0n ? said("good", "Balances", `${unit}: 0`) : said("bad", "Does not balance", `${unit}: ${whole(total)}`);
}
