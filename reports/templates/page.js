"use strict";
// Light and dark, and what marks say. Everything here adds to a page that is whole without it.
(() => {
  const root = document.documentElement, KEY = "janus-eval-theme";
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const prefersDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const isDark = () => (root.dataset.theme || (prefersDark() ? "dark" : "light")) === "dark";
  if (stored()) root.dataset.theme = stored() === "dark" ? "dark" : "light";

  const theme = () => {
    const button = document.querySelector(".theme");
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* private windows keep nothing */ }
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
  };

  // A mark's footnote, beside it while it is pointed at or has the focus; Escape puts it away.
  const tips = () => {
    const tip = document.getElementById("tip");
    let mark = null, leaving = 0;
    const hide = () => { tip.hidden = true; if (mark) mark.removeAttribute("aria-describedby"); mark = null; };
    const show = (link) => {
      const note = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      clearTimeout(leaving);
      if (!note || link === mark) return;
      hide();
      mark = link;
      tip.textContent = note.textContent;
      tip.hidden = false;
      mark.setAttribute("aria-describedby", "tip");
      const at = link.getBoundingClientRect(), width = Math.min(400, innerWidth - 16);
      tip.style.maxWidth = `${width}px`;
      tip.style.left = `${scrollX + Math.max(8, Math.min(at.left, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${scrollY + (at.bottom + tip.offsetHeight + 8 < innerHeight ? at.bottom + 6 : at.top - tip.offsetHeight - 6)}px`;
    };
    const markOf = (event) => event.target.closest?.("a.mark");
    document.addEventListener("pointerover", (event) => {
      if (markOf(event)) show(markOf(event));
      else if (tip.contains(event.target)) clearTimeout(leaving);
      else if (mark && document.activeElement !== mark) { clearTimeout(leaving); leaving = setTimeout(hide, 200); }
    });
    document.addEventListener("focusin", (event) => (markOf(event) ? show(markOf(event)) : hide()));
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  };

  // One menu at a time, and none after a click elsewhere.
  const menus = () => {
    const all = () => document.querySelectorAll("details.menu[open]");
    document.addEventListener("click", (event) => all().forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; }));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") all().forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
    });
  };

  document.addEventListener("DOMContentLoaded", () => { theme(); tips(); menus(); });
})();
