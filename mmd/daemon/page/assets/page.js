// The operator's page: connects to the daemon's stream and shows each snapshot.

import { Charts } from "./charts.js";
import { post, wireDialogs } from "./dialogs.js";
import { byId, element } from "./elements.js";
import * as panels from "./panels.js";

const RETRY_MS = 1000;
const SILENT_MS = 3000;
const THEMES = ["system", "dark", "light"];

let charts = null;
let newest = null; // the last snapshot
let heard = 0; // when it came
let shown = ""; // the symbol that is shown
let socket = null;

function show() {
  const { trader } = newest;
  const line = trader.symbols.find((one) => one.symbol === shown) ?? trader.symbols[0];
  showSymbols(trader, line.symbol);
  const orders = trader.open_orders.filter((order) => order.symbol === line.symbol);
  const digits = panels.digitsOf(line, orders);
  panels.showStatus(newest);
  panels.showPrice(line, digits);
  panels.showLadder(line, orders, digits);
  panels.showQuote(line, orders, digits, trader.halt.halted);
  panels.showInventory(line, trader);
  panels.showMoney(line, trader);
  panels.showRisk(trader);
  panels.showNetworks(newest, line);
  panels.showLatency(newest, line);
  panels.showOrders(trader);
  panels.showFills(line, digits);
  charts.draw(line, digits);
}

function showSymbols(trader, current) {
  const place = byId("symbols");
  const names = trader.symbols.map((line) => line.symbol);
  if (place.dataset.names !== names.join()) {
    place.dataset.names = names.join();
    place.hidden = names.length < 2;
    place.replaceChildren(...names.map((name) => {
      const button = element("button", name);
      button.type = "button";
      button.addEventListener("click", () => { shown = name; charts.drawn = 0; show(); });
      return button;
    }));
  }
  for (const button of place.children) button.setAttribute("aria-pressed", String(button.textContent === current));
}

function hear(message) {
  if (message.kind === "history") charts.begin(message.points);
  else if (message.kind === "events") panels.showEvents(message.events);
  else if (message.kind === "failed") lost("failed", `The core failed: ${message.failure}`);
  else if (message.kind === "state") {
    newest = message.state;
    heard = performance.now();
    charts.add(newest.trader);
    show();
  }
}

function lost(status, text) {
  const place = byId("status");
  place.dataset.status = status;
  if (place.textContent !== text) place.textContent = text;
  document.title = `${status} · mmd`;
}

// Numbers of a daemon that is not heard any more must not pass for live ones.
function watchAge() {
  const silent = performance.now() - heard;
  byId("age").textContent = heard ? `${(silent / 1000).toFixed(0)} s ago` : "";
  if (heard && silent > SILENT_MS) lost("waiting", "NO CONNECTION: what is shown is old");
}

async function connect() {
  let session;
  try {
    session = await (await fetch("/session", { credentials: "same-origin" })).json();
  } catch {
    lost("waiting", "NO CONNECTION: the daemon does not answer");
    setTimeout(connect, RETRY_MS);
    return;
  }
  charts ??= new Charts(session.charts);
  byId("no-charts").hidden = Boolean(session.charts);
  for (const chart of document.querySelectorAll(".chart")) chart.hidden = !session.charts;
  byId("logout").hidden = !session.logged_in;
  if (session.token_needed) {
    lost("waiting", "a token is needed");
    askToken();
    return;
  }
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`);
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  socket.addEventListener("close", () => setTimeout(connect, RETRY_MS));
  byId("halt").disabled = false;
}

function wireTheme() {
  const button = byId("theme");
  const apply = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    if (charts && newest) { charts.drawn = 0; show(); }
  };
  button.addEventListener("click", () => {
    const name = THEMES[(THEMES.indexOf(localStorage.getItem("theme") ?? "system") + 1) % THEMES.length];
    localStorage.setItem("theme", name);
    apply(name);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(localStorage.getItem("theme") ?? "system"));
  apply(localStorage.getItem("theme") ?? "system");
}

function loginNeeded() {
  socket?.close();
}

const askToken = wireDialogs(connect, loginNeeded);
byId("logout").addEventListener("click", async () => { await post("/logout", {}); location.reload(); });
wireTheme();
setInterval(watchAge, 1000);
connect();
