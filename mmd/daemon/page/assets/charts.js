// Price, inventory and PnL over time, drawn by plotly where it is installed.

const KEPT = 1200; // five minutes at four a second
const BREAK_MS = 3000; // nothing was watched in between: the line is interrupted
const DRAW_MS = 500;

export class Charts {
  constructor(address) {
    this.points = {};
    this.drawn = 0;
    this.ready = false;
    if (!address) return;
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", () => { this.ready = true; });
    script.addEventListener("error", () => { document.getElementById("no-charts").hidden = false; });
    document.head.append(script);
  }

  begin(points) {
    this.points = points;
  }

  add(trader) {
    for (const line of trader.symbols) {
      const kept = (this.points[line.symbol] ??= []);
      const ours = { BUY: null, SELL: null };
      for (const order of trader.open_orders) if (order.symbol === line.symbol) ours[order.side] = order.price;
      const [bid, ask] = line.book_valid ? [line.bid, line.ask] : [null, null];
      const time = Math.floor(trader.time_ns / 1e6);
      const last = kept.at(-1);
      if (last && last[0] >= time) continue;
      if (last && time - last[0] > BREAK_MS) kept.push([time - 1, null, null, null, null, null, null]);
      kept.push([time, bid, ask, ours.BUY, ours.SELL, line.position, line.pnl]);
      if (kept.length > KEPT) kept.splice(0, kept.length - KEPT);
    }
  }

  draw(line, digits) {
    const now = performance.now();
    if (!this.ready || document.hidden || (this.drawn && now - this.drawn < DRAW_MS)) return;
    this.drawn = now;
    const points = this.points[line.symbol] ?? [];
    const times = points.map((point) => new Date(point[0]));
    const colours = theme();
    const of = (place, name, colour, more = {}) => ({
      x: times, y: points.map((point) => point[place]), name, mode: "lines", type: "scatter", connectgaps: false,
      line: { color: colour, width: 1.5, shape: "hv", ...more },
    });
    const since = points.length ? points[0][0] : 0;
    const fills = (side, name, colour, symbol) => {
      const shown = line.recent_fills.filter((fill) => fill.side === side && fill.time_ns / 1e6 >= since);
      return {
        x: shown.map((fill) => new Date(fill.time_ns / 1e6)), y: shown.map((fill) => fill.price), name, mode: "markers", type: "scatter",
        marker: { color: colour, size: 10, symbol, line: { width: 1, color: colours.ink } },
      };
    };
    plot("price-chart", [
      of(1, "bid", colours.dim), of(2, "ask", colours.dim),
      of(3, "our bid", colours.buy, { dash: "dot", width: 2 }), of(4, "our ask", colours.sell, { dash: "dot", width: 2 }),
      fills("BUY", "bought", colours.buy, "triangle-up"), fills("SELL", "sold", colours.sell, "triangle-down"),
    ], colours, `,.${digits}f`, true);
    plot("inventory-chart", [of(5, "position", colours.ours)], colours, ",.4~f");
    plot("money-chart", [of(6, "PnL", colours.ours)], colours, ",.4~f");
    const words = `${line.symbol}: mid ${line.mid}, ${line.recent_fills.length} recent fills; the numbers stand in the tables of this page`;
    document.getElementById("price-chart").setAttribute("aria-label", `Price chart of ${words}`);
  }
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["ink", "dim", "line", "buy", "sell", "ours"].map((name) => [name, colour(name)]));
}

function plot(id, traces, colours, format, legend = false) {
  const axis = { gridcolor: colours.line, zeroline: false, fixedrange: true, automargin: true };
  const layout = {
    margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colours.ink, size: 11 }, showlegend: legend, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, dragmode: false,
    hovermode: "x unified", xaxis: { ...axis, type: "date" }, yaxis: { ...axis, side: "right", tickformat: format }, uirevision: "kept",
  };
  window.Plotly.react(document.getElementById(id), traces, layout, { displayModeBar: false, responsive: true });
}
