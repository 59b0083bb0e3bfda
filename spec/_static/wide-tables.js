// SPDX-License-Identifier: MIT
// A table that is wider than its box scrolls in it: say so, and let the keyboard reach it.
"use strict";

(() => {
  const look = new ResizeObserver((seen) => {
    for (const { target } of seen) {
      const scrolls = target.scrollWidth > target.clientWidth + 1;
      target.classList.toggle("scrolls", scrolls);
      for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", "wide table"]]) {
        if (scrolls) target.setAttribute(name, value);
        else target.removeAttribute(name);
      }
    }
  });
  for (const box of document.querySelectorAll(".table-wrapper")) look.observe(box);
})();
