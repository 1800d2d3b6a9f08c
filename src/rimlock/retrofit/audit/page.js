"use strict";
(() => {
  const one = (query, within = document) => within.querySelector(query);
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const rows = all("tbody tr").map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const search = one("#filter"), attention = one("#attention"), own = one("#own"), shown = one("#shown");
  one(".tools").hidden = false;

  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows) {
      const fits = words.every((word) => text.includes(word))
        && (!attention.checked || "remarked" in row.dataset) && (own.checked || !("own" in row.dataset));
      row.hidden = !fits;
      row.style.display = fits ? "" : "none";
      count += fits;
    }
    for (const group of all(".group[data-routes]")) {
      const left = all("tbody tr", group).filter((row) => !row.hidden).length;
      group.hidden = left === 0;
      one(".count", group).textContent = left === Number(group.dataset.routes) ? `${left}` : `${left} of ${group.dataset.routes}`;
    }
    shown.textContent = count ? `${count} of ${rows.length} routes` : "No route fits";
  };

  const sort = (header) => {
    const table = header.closest("table"), place = [...header.parentNode.children].indexOf(header);
    const down = header.getAttribute("aria-sort") === "ascending";
    const key = (row) => row.cells[place].dataset.key ?? row.cells[place].textContent;
    const order = new Intl.Collator("en", { numeric: true }).compare;
    all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = one("tbody", table), sorted = [...body.rows].sort((a, b) => order(key(a), key(b)));
    body.append(...(down ? sorted.reverse() : sorted));
  };

  for (const control of [search, attention, own]) control.addEventListener("input", apply);
  for (const button of all("th button")) button.addEventListener("click", () => sort(button.parentNode));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); search.select(); }
    if (event.key === "Escape" && document.activeElement === search) { search.value = ""; apply(); }
  });
  addEventListener("beforeprint", () => all("details").forEach((part) => { part.open = true; }));
  apply();
})();
