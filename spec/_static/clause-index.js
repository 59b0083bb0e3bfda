// SPDX-License-Identifier: MIT
// Filters over the clause index.  The table says what there is to filter by: a column
// whose cells hold elements of the class "value" gets a list of those values.  Without
// this script the whole index shows.  The choice is kept in the address, to be shared.
"use strict";

(() => {
  const index = document.querySelector(".clause-index");
  if (!index) return;
  const groups = [...index.querySelectorAll(".clause-group")];
  const rows = [...index.querySelectorAll("tbody tr")];
  const names = [...index.querySelector("thead tr").cells].map((cell) => cell.textContent.trim());
  const NONE = "none";

  const valuesOf = (row, column) => {
    const found = [...row.cells[column].querySelectorAll(".value")].map((v) => v.textContent);
    return found.length ? found : [NONE];
  };

  const filters = names
    .map((name, column) => ({ name, column, values: new Set(rows.flatMap((r) => valuesOf(r, column))) }))
    .filter(({ values }) => values.size > 1);

  const form = document.createElement("form");
  form.className = "clause-filter";
  form.setAttribute("aria-label", "Filter the clauses");
  for (const filter of filters) {
    const label = form.appendChild(document.createElement("label"));
    label.append(filter.name);
    filter.select = label.appendChild(document.createElement("select"));
    filter.select.append(new Option("any", ""));
    for (const value of filter.values) filter.select.append(new Option(value, value));
  }
  const reset = form.appendChild(document.createElement("button"));
  reset.type = "reset";
  reset.textContent = "Show all";
  const count = form.appendChild(document.createElement("output"));
  index.before(form);

  const show = () => {
    const chosen = filters.filter(({ select }) => select.value);
    for (const row of rows) {
      row.hidden = !chosen.every(({ column, select }) => valuesOf(row, column).includes(select.value));
    }
    for (const group of groups) group.hidden = !group.querySelector("tbody tr:not([hidden])");
    count.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} clauses`;
    return chosen;
  };

  const fromAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const { name, select } of filters) {
      const value = asked.get(name) ?? "";
      select.value = [...select.options].some((option) => option.value === value) ? value : "";
    }
    show();
  };

  const toAddress = () => {
    const chosen = show().map(({ name, select }) => [name, select.value]);
    history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
  };

  form.addEventListener("change", toAddress);
  form.addEventListener("reset", () => setTimeout(toAddress));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
})();
