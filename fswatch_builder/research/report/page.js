"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const printed = matchMedia("print");

function looks() {
  const ink = dark.matches && !printed.matches ? "#e4e8ea" : "#1d2327";
  const line = dark.matches && !printed.matches ? "#333c42" : "#d9dee1";
  const words = { labelColor: ink, titleColor: ink };
  return {
    background: "transparent",
    font: 'system-ui, "DejaVu Sans", sans-serif',
    axis: { ...words, gridColor: line, domainColor: line, tickColor: line },
    legend: words,
    header: words,
    title: { color: ink },
    text: { color: ink },
    rule: { color: ink },
    view: { stroke: line },
  };
}

async function draw() {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const actions = { export: true, source: false, compiled: false, editor: false };
  for (const [id, spec] of Object.entries(specs)) {
    const embedded = await vegaEmbed(document.getElementById(id), spec, { config: looks(), actions, renderer: "svg" });
    document.getElementById(id).view = embedded.view;
  }
  document.documentElement.dataset.drawn = Object.keys(specs).length;
}

function sortable(table) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const both = (one, other) => {
        const [a, b] = [key(one), key(other)];
        const [x, y] = [Number(a), Number(b)];
        return a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y) ? x - y : a.localeCompare(b);
      };
      [...body.rows].sort((one, other) => (descending ? both(other, one) : both(one, other))).forEach((row) => body.append(row));
    });
  });
}

document.querySelectorAll("table").forEach(sortable);
dark.addEventListener("change", draw);
draw();
