"use strict";
(() => {
  const BEGINNINGS = "=+-@\t\r\n＝＋－＠";
  const SIGNED = /^[-+](?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?%?$/;
  const NUMBER = /^[-+]?\d[\d,]*(\.\d+)?/;
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
  const collator = new Intl.Collator("en", { numeric: true });

  const say = (text) => { document.getElementById("status").textContent = text; };
  const text = (cell) => cell.textContent.replace(/\s+/g, " ").trim();

  const heads = (table) => [...[...table.tHead.rows].at(-1).cells];

  // Sorting

  function key(cell) {
    const shown = text(cell);
    if (shown === "" || shown === "-") return null;
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const number = cell.classList.contains("number") && NUMBER.exec(shown);
    return number ? Number(number[0].replace(/,/g, "")) : shown;
  }

  function compare(a, b, direction) {
    if (a === null || b === null) return (a === null) - (b === null); // the unknown comes last
    const numbers = (typeof b === "number") - (typeof a === "number");
    if (numbers !== 0) return direction * numbers;
    return direction * (typeof a === "number" ? a - b : collator.compare(a, b));
  }

  // A wide table stands in parts, which have the same rows in the same order.

  function sort(parts, original, part, head, column) {
    const order = NEXT[head.getAttribute("aria-sort") ?? "none"];
    for (const other of parts.flatMap(heads)) other.removeAttribute("aria-sort");
    let places = [...original[part].keys()];
    if (order !== "none") {
      head.setAttribute("aria-sort", order);
      const direction = order === "ascending" ? 1 : -1;
      places = original[part]
        .map((row, place) => [key(row.cells[column]), place])
        .sort((a, b) => compare(a[0], b[0], direction))
        .map((pair) => pair[1]);
    }
    parts.forEach((table, own) => {
      table.tBodies[0].append(...places.map((place) => original[own][place]));
    });
    say(order === "none" ? "In the order of the page" : `Sorted by ${head.dataset.name}, ${order}`);
  }

  function makeSortable(parts) {
    const original = parts.map((table) => [...table.tBodies[0].rows]);
    if (original[0].length < 2) return;
    parts.forEach((table, part) => {
      heads(table).forEach((head, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        button.addEventListener("click", () => sort(parts, original, part, head, column));
        head.append(button);
      });
    });
  }

  // Cards on a phone: each cell says its column

  const narrow = matchMedia("(max-width: 40rem)");

  function nameCells(table) {
    const columns = heads(table).map((head) => head.dataset.name);
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, column) => {
        if (column > 0) cell.dataset.column = columns[column];
      });
    }
  }

  function layOut() {
    for (const table of document.querySelectorAll(".table table")) {
      if (narrow.matches) nameCells(table);
      table.classList.toggle("cards", narrow.matches);
    }
  }

  // Copying

  // As data/sheet_cells.py has it of files in which quotes are written as they are.

  function inert(shown) {
    const own = shown.replace(/^[ "]+/, "");
    const runs = own.length > 1 && BEGINNINGS.includes(own[0]) && !SIGNED.test(own);
    return runs ? `'${shown}` : shown;
  }

  function plain(cell) {
    const shown = text(cell);
    if (shown === "-") return "";
    const whole = NUMBER.exec(shown);
    return whole && whole[0] === shown ? shown : inert(shown);
  }

  async function put(value) {
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      const area = document.createElement("textarea");
      area.value = value;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  function whole(parts, cellsOf) {
    return parts.flatMap((table, part) => cellsOf(table).slice(part > 0 ? 1 : 0));
  }

  async function copy(parts, button) {
    const places = [...[...parts[0].tBodies[0].rows].entries()].filter(([, row]) => !row.hidden);
    const lines = [whole(parts, (table) => heads(table).map((head) => head.dataset.name))];
    for (const [place] of places) {
      lines.push(whole(parts, (table) => [...table.tBodies[0].rows[place].cells].map(plain)));
    }
    await put(lines.map((line) => line.join("\t")).join("\n") + "\n");
    button.textContent = "Copied";
    say(`Copied ${places.length} rows`);
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  // Filtering: only long tables are filtered, and none of these stands in parts

  function filter(table, words) {
    const wanted = words.toLowerCase().split(/\s+/);
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const shown = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => shown.includes(word));
    }
    say(`${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`);
  }

  for (const holder of document.querySelectorAll(".table")) {
    const parts = [...holder.querySelectorAll("table")];
    makeSortable(parts);
    const button = holder.querySelector("button.copy");
    button.hidden = false;
    button.addEventListener("click", () => copy(parts, button));
    const search = holder.querySelector(".filter");
    if (search) {
      search.hidden = false;
      search.querySelector("input").addEventListener("input", (event) => filter(parts[0], event.target.value));
    }
  }

  layOut();
  narrow.addEventListener("change", layOut);

  // Drawings become interactive when they come near; until then, and in print, they are as they are.
  // On a phone their panels stand below one another, and are made narrower until they fit.

  const LEAST_PANEL = 120;

  function panels(part) {
    if (part.hconcat || part.vconcat) return (part.hconcat ?? part.vconcat).flatMap(panels);
    return part.facet && part.spec ? panels(part.spec) : [part];
  }

  function stack(part) {
    if (part.facet && part.spec) part.columns = 1;
    for (const inner of part.vconcat ?? []) stack(inner);
  }

  async function animate(chart) {
    const place = chart.firstElementChild;
    const specification = JSON.parse(chart.parentElement.querySelector("script").textContent);
    const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const options = { actions: false, renderer: "svg", tooltip: { theme } };
    const room = chart.clientWidth - 2 * parseFloat(getComputedStyle(chart).paddingLeft);
    if (narrow.matches) {
      stack(specification);
      specification.config.legend.columns = 2;
      for (const panel of panels(specification)) {
        if (panel.width > room) panel.width = room;
        for (const layer of [panel, ...(panel.layer ?? [])]) {
          const legend = layer.encoding?.color?.legend;
          if (legend) legend.columns = Math.max(1, Math.min(legend.columns, 2));
        }
      }
    }
    await vegaEmbed(place, specification, options);
    const beyond = place.firstElementChild.getBoundingClientRect().width - room;
    if (!narrow.matches || beyond <= 0) return;
    for (const panel of panels(specification)) {
      panel.width = Math.max(LEAST_PANEL, panel.width - beyond);
    }
    await vegaEmbed(place, specification, options);
  }

  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        animate(entry.target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const chart of document.querySelectorAll(".chart")) near.observe(chart);
})();
