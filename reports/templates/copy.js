"use strict";
// Every table can be had as Markdown, LaTeX or CSV: what is shown of it, in the order in which it is shown.
(() => {
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const seen = (node) => !node.hidden;

  // A cell's text, its interval and, in the first column, what the name is: measured or published.
  const read = (cell) => {
    const name = cell.querySelector(".name"), head = cell.querySelector(".head"), value = cell.querySelector(".v");
    if (name) return { text: words(name), badge: words(cell.querySelector(".badge") || document.createElement("b")) };
    if (head) return { text: words(head), detail: words(cell.querySelector(".detail") || document.createElement("b")) };
    if (value) return { text: words(value), interval: words(cell.querySelector("i") || document.createElement("b")) };
    return { text: words(cell) };
  };

  const table = (node) => {
    const rows = [...node.rows].filter((row) => seen(row) && !row.classList.contains("apart"));
    const cells = rows.map((row) => [...row.cells].filter(seen).flatMap((cell) =>
      [read(cell), ...Array(cell.colSpan - 1).fill({ text: "" })]));
    const badges = cells.some((row) => row[0]?.badge);
    return cells.map((row, n) => {
      const [first, ...rest] = row;
      const kind = badges ? [{ text: n ? first.badge || "" : "kind" }] : [];
      return [first, ...kind, ...rest];
    });
  };

  const shown = (cell, open, close) => cell.text + (cell.interval ? ` ${open}${cell.interval}${close}` : "") + (cell.detail ? ` (${cell.detail})` : "");
  const escapes = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "–": "--", "†": "$^\\dagger$" };
  const tex = (text) => text.replace(/[\\~^–†&%$#_{}]/g, (sign) => escapes[sign] || `\\${sign}`);
  // A spreadsheet would run what begins like a formula.
  const csv = (text) => { const safe = /^[=+@\t]|^-(?![\d.])/.test(text) ? `'${text}` : text; return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe; };

  const formats = {
    Markdown: (rows) => {
      const line = (row) => `| ${row.map((cell) => shown(cell, "(", ")").replaceAll("|", "\\|")).join(" | ")} |`;
      return [line(rows[0]), `|${" --- |".repeat(rows[0].length)}`, ...rows.slice(1).map(line)].join("\n") + "\n";
    },
    LaTeX: (rows) => {
      const line = (row) => `${row.map((cell) => tex(cell.text) + (cell.interval ? ` {\\scriptsize [${tex(cell.interval)}]}` : "")).join(" & ")} \\\\`;
      return [`\\begin{tabular}{${"l".repeat(rows[0].length)}}`, "\\toprule", line(rows[0]), "\\midrule", ...rows.slice(1).map(line), "\\bottomrule", "\\end{tabular}"].join("\n") + "\n";
    },
    CSV: (rows) => {
      const wide = rows[0].map((_, n) => rows.some((row) => row[n]?.interval));
      const line = (row, n) => row.flatMap((cell, k) => {
        if (!wide[k]) return [csv(cell.text + (cell.detail ? ` (${cell.detail})` : ""))];
        const name = shown(cell, "", ""), ends = (cell.interval || "–").split("–");
        return n ? [csv(cell.text), ends[0], ends[1] || ""] : [csv(name), csv(`${name} low`), csv(`${name} high`)];
      }).join(",");
      return rows.map(line).join("\n") + "\n";
    },
  };

  const put = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed here: the older way */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const node of document.querySelectorAll("table[data-copy]")) {
      const line = document.createElement("p"), said = document.createElement("span");
      line.className = "copy";
      line.append("Copy as");
      said.setAttribute("role", "status");
      for (const [name, make] of Object.entries(formats)) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = name;
        button.setAttribute("aria-label", `Copy ${node.dataset.copy} as ${name}`);
        button.addEventListener("click", async () => { said.textContent = (await put(make(table(node)))) ? "copied" : "not allowed by the browser"; });
        line.append(button);
      }
      line.append(said);
      node.closest(".scroll").after(line);
    }
  });
})();
