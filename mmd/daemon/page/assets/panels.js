// One function a panel: the newest snapshot into the page.

import { byId, element, fillPairs, fillTable, meter } from "./elements.js";
import { clock, decimals, general, number, percent, signed, words } from "./format.js";

const WITHIN = new Set(["position_head", "spread_head"]); // parts that are within another
const MOST_ROWS = 12;

const bps = (difference, mid) => (mid ? (difference / mid) * 1e4 : 0);
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
const sideKind = (side) => (side === "BUY" ? "buy" : "sell");
const moneyKind = (value) => (value >= 0 ? "buy strong" : "sell strong");
const counted = (counts) => {
  const most = Object.entries(counts).sort((one, other) => other[1] - one[1]).slice(0, 3);
  return most.length ? `${total(counts)} (${most.map(([name, count]) => `${words(name)} ${count}`).join(", ")})` : "0";
};

export function digitsOf(line, orders) {
  const ladder = [...line.bids, ...line.asks].map(([price]) => price);
  return decimals([line.bid, line.ask, ...ladder, ...orders.map((order) => order.price)]);
}

export function showStatus(state) {
  const { trader, process } = state;
  const waiting = trader.symbols.filter((line) => line.quote === null).map((line) => line.symbol);
  let status = "quoting";
  let text = "QUOTING";
  if (process.failure) [status, text] = ["failed", "FAILED"];
  else if (trader.halt.halted) [status, text] = ["halted", "HALTED"];
  else if (trader.pauses.length) [status, text] = ["paused", `PAUSED: ${trader.pauses.join(", ")}`];
  else if (waiting.length) [status, text] = ["warming", `WARMING: ${waiting.join(", ")}`];
  const place = byId("status");
  // Written only when it changes: readers of screens are told of each change.
  if (place.textContent !== text) place.textContent = text;
  place.dataset.status = status;
  byId("mode").textContent = trader.mode;
  document.title = `${text.split(":")[0].toLowerCase()} · mmd ${trader.mode}`;

  const banner = byId("banner");
  let warning = "";
  if (process.failure) warning = `The core failed: ${process.failure}`;
  else if (trader.halt.halted) {
    warning = `Halted by ${trader.halt.actor} at ${clock(trader.halt.time_ns)} UTC: ${trader.halt.reason}`;
    if (trader.open_orders.length) warning += ` (${trader.open_orders.length} orders not confirmed gone yet)`;
  }
  if (banner.textContent !== warning) banner.textContent = warning;
  banner.hidden = !warning;
  byId("halt").hidden = trader.halt.halted;
  byId("halt").disabled = Boolean(process.failure);
  byId("resume").hidden = !trader.halt.halted;
}

export function showPrice(line, digits) {
  const place = byId("price-line");
  const spread = bps(line.ask - line.bid, line.mid).toFixed(2);
  const mid = element("b", number(line.mid, digits + 1));
  mid.id = "mid";
  place.replaceChildren(
    `${line.symbol} mid `, mid, `  bid ${number(line.bid, digits)}  ask ${number(line.ask, digits)}  spread ${spread} bps`,
    line.book_valid ? "" : element("span", `  book invalid: ${line.invalid_reason || "no snapshot yet"}`, "warn"),
  );
}

export function showLadder(line, orders, digits) {
  const ours = (side, price) => {
    const size = orders.filter((order) => order.side === side && order.price === price).reduce((sum, order) => sum + order.quantity, 0);
    return size ? [`● ${general(size)}`, "ours"] : "";
  };
  const asks = line.asks.map(([price, size]) => ["", "", [number(price, digits), "sell"], general(size), ours("SELL", price)]);
  const bids = line.bids.map(([price, size]) => [ours("BUY", price), general(size), [number(price, digits), "buy"], "", ""]);
  fillTable(byId("ladder"), [...asks.reverse(), ...bids], "the book is out of sync");
}

export function showQuote(line, orders, digits, halted) {
  const quote = line.quote;
  const side = (name, price, size) => {
    const standing = orders.some((order) => order.side === name);
    if (!size) return ["withheld", "warn"];
    const away = signed(bps(price - line.mid, line.mid));
    return [`${number(price, digits)} × ${general(size)}  ${away} bps  ${standing ? "● resting" : "○ no order"}`, sideKind(name)];
  };
  if (!quote) {
    fillPairs(byId("quote"), [["quote", [halted ? "none: halted" : "none yet", "warn"]]]);
    fillTable(byId("attribution"), [], halted ? "nothing is quoted while halted" : "no quote yet");
    return;
  }
  const direction = { 1: "▲ up", "-1": "▼ down" }[quote.predicted_direction] ?? "■ flat";
  fillPairs(byId("quote"), [
    ["made by", quote.source],
    ["our ask", side("SELL", quote.ask, quote.ask_quantity)],
    ["our bid", side("BUY", quote.bid, quote.bid_quantity)],
    ["fair price", number(quote.fair, digits + 2)],
    ["spread", `${bps(quote.spread, line.mid).toFixed(2)} bps`],
    ["predicts", `${direction}, confidence ${quote.confidence.toFixed(2)}`],
    ["size left by risk", percent(quote.size_share)],
    ...Object.entries(quote.refused).map(([network, reason]) => [`${words(network)} not used`, [words(reason), "warn"]]),
  ]);
  const parts = Object.entries(quote.attribution_ticks).filter(([part]) => part !== "mid");
  const largest = Math.max(1e-9, ...parts.map(([, ticks]) => Math.abs(ticks)));
  fillTable(byId("attribution"), parts.map(([part, ticks]) => {
    const bar = "█".repeat(Math.round((8 * Math.abs(ticks)) / largest));
    return [WITHIN.has(part) ? `(${words(part)})` : words(part), signed(ticks), [bar, ticks < 0 ? "sell" : "buy"]];
  }));
}

export function showInventory(line, trader) {
  const used = trader.limits_used[`position_${line.symbol}`];
  fillPairs(byId("inventory"), [
    ["position", [signed(line.position, 6), "strong"]],
    ["average cost", general(line.average_cost)],
    ["of its limit", percent(used)],
  ]);
}

export function showMoney(line, trader) {
  const pairs = [
    ["PnL", [signed(line.pnl, 4), moneyKind(line.pnl)]],
    ["realised", signed(line.realised, 4)],
    ["unrealised", signed(line.unrealised, 4)],
    ["fees", number(line.fees, 4)],
  ];
  if (line.funding) pairs.push(["funding", signed(line.funding, 4)]);
  for (const [horizon, value] of Object.entries(line.markouts_bps)) pairs.push([`markout ${horizon}`, `${signed(value)} bps`]);
  if (trader.symbols.length > 1) pairs.push(["all symbols", [signed(trader.pnl, 4), moneyKind(trader.pnl)]]);
  fillPairs(byId("money"), pairs);
}

export function showRisk(trader) {
  fillTable(byId("limits"), Object.entries(trader.limits_used).map(([name, used]) => [words(name), percent(used), meter(used, words(name))]));
  fillPairs(byId("refusals"), [
    ["loss today", number(trader.loss_used)],
    ["drawdown", number(trader.drawdown)],
    ["denied", counted(trader.risk_denials)],
    ["refused by the venue", counted(trader.rejections)],
    ["pauses", counted(trader.pause_counts)],
    ["orders sent", String(trader.orders_sent)],
  ]);
}

export function showNetworks(state, line) {
  const { current, challenger } = state.networks;
  const named = (bundle) => (bundle ? `${bundle.name} ${bundle.version} (${bundle.stage})` : "none");
  const refused = Object.entries(state.trader.network_refusals).map(([network, counts]) => [`${words(network)} refused`, counted(counts)]);
  const drifted = Object.entries(line.drift).sort((one, other) => other[1] - one[1])[0];
  fillPairs(byId("networks"), [
    ["serving", named(current)],
    ["in shadow", named(challenger)],
    ...(drifted ? [["largest drift (PSI)", `${words(drifted[0])} ${drifted[1].toFixed(3)}`]] : []),
    ...Object.entries(line.attribution).map(([network, share]) => [`${words(network)} moved`, percent(share.moved_share)]),
    ...refused,
  ]);
  fillTable(byId("outputs"), Object.entries(line.predictions).map(([name, value]) => {
    if (name.endsWith("usable")) return [words(name), value ? "yes" : ["no", "warn"], "", "", ""];
    const quantiles = line.distributions[name] ?? [];
    return [words(name), general(value, 3), ...[0, 1, 2].map((place) => general(quantiles[place], 2))];
  }), "this strategy asks no network");
}

export function showLatency(state, line) {
  const row = (name, times) => [name, ...[times.p50, times.p99, times.p999].map((value) => number(value, value < 100 ? 1 : 0))];
  fillTable(byId("latency"), [
    row("tick to quote", state.tick_to_quote_us),
    row("tick to order", state.tick_to_order_us),
    ...Object.entries(state.stage_us).map(([stage, times]) => row(words(stage), times)),
    row("event loop late by", state.process.loop_lag_us),
  ]);
  fillPairs(byId("process"), [
    ["data age", `${(line.data_age_ns / 1e6).toFixed(0)} ms`],
    ["feed lag", `${(line.feed_lag_ns / 1e6).toFixed(0)} ms`],
    ["gaps, resyncs", `${line.sequence_gaps}, ${line.resyncs}`],
    ["ticks, steps, quotes", `${line.ticks}, ${line.steps}, ${line.quotes}`],
    ["memory", `${(state.process.resident_bytes / 1e6).toFixed(0)} MB`],
    ["version, pid", `${state.process.version}, ${state.process.pid}`],
  ]);
}

export function showOrders(trader) {
  fillTable(byId("orders"), trader.open_orders.map((order) => [
    order.symbol, [order.side, sideKind(order.side)], general(order.price), general(order.quantity), words(order.state),
    `${(order.age_ns / 1e9).toFixed(1)} s`,
  ]));
}

export function showFills(line, digits) {
  const newest = line.recent_fills.slice(-MOST_ROWS).reverse();
  fillTable(byId("fills"), newest.map((fill) => [
    clock(fill.time_ns), [fill.is_maker ? fill.side : `${fill.side} taker`, sideKind(fill.side)], number(fill.price, digits), general(fill.quantity),
  ]), "none in this session");
}

export function showEvents(events) {
  byId("events").replaceChildren(...events.toReversed().map((event) => {
    const item = element("li");
    const bad = event.level !== "info" && event.level !== "debug";
    item.append(element("time", clock(event.time_ns)), element("span", event.text, bad ? "warn strong" : ""), element("span", ` ${event.detail}`, "dim"));
    return item;
  }));
}
