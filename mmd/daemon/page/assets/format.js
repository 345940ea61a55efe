// Numbers and times as people read them.

export function number(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function signed(value, digits = 2) {
  const text = number(value, digits);
  return value > 0 ? `+${text}` : text;
}

export function general(value, figures = 6) {
  if (value === null || value === undefined) return "–";
  return Number.isFinite(value) ? String(Number(value.toPrecision(figures))) : "–";
}

export function percent(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(1)} %`;
}

// UTC, to the tenth of a second.
export function clock(nanoseconds) {
  return new Date(nanoseconds / 1e6).toISOString().slice(11, 21);
}

export function words(name) {
  return name.replaceAll("_", " ");
}

// Decimals that all of these prices need.
export function decimals(prices) {
  let most = 0;
  for (const price of prices) {
    if (!Number.isFinite(price)) continue;
    const after = String(Number(price.toPrecision(12))).split(".")[1];
    most = Math.max(most, after ? after.length : 0);
  }
  return Math.min(most, 10);
}
