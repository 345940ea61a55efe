// The few ways in which the page is filled. Text only ever enters as text.

export function byId(id) {
  return document.getElementById(id);
}

export function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// Rows of cells, a cell being text, [text, class] or an element; a table that has none says so.
export function fillTable(table, rows, nothing = "none") {
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0].cells.length;
  if (!rows.length) {
    const cell = element("td", nothing, "dim");
    cell.colSpan = columns;
    const row = element("tr");
    row.append(cell);
    body.replaceChildren(row);
    return;
  }
  body.replaceChildren(...rows.map((cells) => {
    const row = element("tr");
    cells.forEach((cell, place) => {
      const made = element(place ? "td" : "th");
      if (!place) made.scope = "row";
      if (cell instanceof Element) made.append(cell);
      else if (Array.isArray(cell)) [made.textContent, made.className] = cell;
      else made.textContent = cell;
      row.append(made);
    });
    return row;
  }));
}

// Pairs of name and value (text, or [text, class]) as a list of definitions.
export function fillPairs(place, pairs) {
  const list = element("dl");
  for (const [name, value] of pairs) {
    const [text, kind] = Array.isArray(value) ? value : [value, ""];
    list.append(element("dt", name), element("dd", text, kind));
  }
  place.replaceChildren(list);
}

export function meter(fraction, name) {
  const made = element("meter");
  Object.assign(made, { min: 0, max: 1, low: 0.5, high: 0.9, optimum: 0, value: Math.min(1, Math.max(0, fraction)) });
  made.setAttribute("aria-label", `${name}: ${Math.round(100 * fraction)} percent used`);
  return made;
}
