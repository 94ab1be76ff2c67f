"use strict";
// Sorting of every leaderboard, and on the front page filters, columns, and all of it in the address.
(() => {
  const NO_NUMBER = "No number in the column that the table is sorted by";
  const REFERENCES = "Reference models: how far the instruments and rules can be trusted";
  const cellOf = (row, column) => row.cells[column];
  const valueOf = (row, column) => (cellOf(row, column).dataset.v === undefined ? null : Number(cellOf(row, column).dataset.v));
  const nameOf = (row) => row.cells[0].querySelector(".name").textContent;

  class Board {
    constructor(table) {
      this.table = table;
      this.heads = [...table.tHead.rows[0].cells];
      this.rows = [...table.querySelectorAll("tbody tr:not(.apart)")];
      this.column = this.original = Number(table.dataset.sorted) + 1;
      this.up = this.upward(this.column);
      this.heads.forEach((head, n) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "sort";
        button.setAttribute("aria-label", `Sort by ${head.querySelector(".head").textContent} ${head.querySelector(".detail")?.textContent || ""}`.trim());
        button.addEventListener("click", () => { this.sort(n, n === this.column ? !this.up : this.upward(n)); this.changed?.(); });
        head.querySelector(".head").after(button);
      });
    }

    // Whether the natural order begins with the greatest; a name's begins with A.
    upward(n) { return n > 0 && this.heads[n].dataset.up !== "0"; }

    sort(n, up) {
      [this.column, this.up] = [n, up];
      this.heads.forEach((head, k) => (k === n ? head.setAttribute("aria-sort", up ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
      this.arrange();
    }

    // Where a row without a number in the column that counts has its first one.
    first(row) {
      for (let n = 1; n < this.heads.length; n += 1) {
        if (!this.heads[n].hidden && valueOf(row, n) !== null) return [n, this.upward(n) ? -valueOf(row, n) : valueOf(row, n)];
      }
      return [this.heads.length, 0];
    }

    // Numbers that cannot be compared are sorted among their like, under a rule that says what parts them.
    arrange() {
      const n = this.column, sign = this.up ? -1 : 1, groups = new Map();
      const apart = JSON.parse(this.heads[n].dataset.apart || "[]");
      for (const row of this.rows) {
        let group = n === 0 ? 0 : valueOf(row, n) === null ? 1e6 : Number(cellOf(row, n).dataset.g || 0);
        if ("role" in row.dataset) group = 1e7;
        if (!groups.has(group)) groups.set(group, []);
        groups.get(group).push(row);
      }
      this.table.querySelectorAll("tbody").forEach((body) => body.remove());
      for (const group of [...groups.keys()].sort((a, b) => a - b)) {
        const rows = groups.get(group), body = document.createElement("tbody");
        if (group < 1e6) rows.sort((a, b) => sign * (n === 0 ? nameOf(a).localeCompare(nameOf(b)) : valueOf(a, n) - valueOf(b, n)));
        if (group === 1e6) rows.sort((a, b) => this.first(a)[0] - this.first(b)[0] || this.first(a)[1] - this.first(b)[1]);
        const heading = group === 1e7 ? REFERENCES : group === 1e6 ? NO_NUMBER : apart[group] || "";
        if (heading && this.table.tBodies.length) {
          const rule = body.insertRow();
          rule.className = "apart";
          rule.hidden = !rows.some((row) => !row.hidden);
          const cell = rule.insertCell();
          cell.colSpan = this.heads.length;
          cell.append(Object.assign(document.createElement("span"), { textContent: heading }));
        }
        body.append(...rows);
        this.table.append(body);
      }
    }
  }

  // A table without controls that keeps rows back has one button for them.
  const unfold = (board) => {
    const waiting = board.rows.filter((row) => row.hidden), button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = `Show ${waiting.length} more published rows`;
    button.addEventListener("click", () => { waiting.forEach((row) => { row.hidden = false; }); board.arrange(); button.remove(); });
    board.table.closest(".scroll").after(button);
  };

  const FILTERS = ["family", "size", "kind"];

  class Controls {
    constructor(form, board) {
      [this.form, this.board] = [form, board];
      this.keys = board.heads.map((head) => head.dataset.key);
      this.defaults = this.chosen("column").join(",");
      this.sources = this.chosen("source").join(",");
      form.hidden = false;
      form.querySelector(".fold").open = innerWidth > 700;
      this.published = form.querySelector(".count .link");
      this.published?.addEventListener("click", () => {
        this.check("column", [...new Set([...this.chosen("column"), ...this.published.dataset.columns.split(",")])]);
        this.check("source", [...new Set([...this.chosen("source"), "published"])]);
        this.apply();
        this.write();
      });
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("input", (event) => this.take(event.target));
      form.addEventListener("reset", () => setTimeout(() => { board.sort(board.original, board.upward(board.original)); this.apply(); this.write(); }));
      board.changed = () => this.write();
      addEventListener("hashchange", () => this.read());
      this.read();
    }

    chosen(name) { return [...this.form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value); }
    check(name, values) { this.form.querySelectorAll(`[name=${name}]`).forEach((box) => { box.checked = values.includes(box.value); }); }

    take(input) {
      if (input.name === "benchmark" && input.value) {
        this.check("column", [...new Set([...this.chosen("column"), input.value])]);
        const n = this.keys.indexOf(input.value);
        this.board.sort(n, this.board.upward(n));
      }
      this.apply();
      this.write();
    }

    apply() {
      const shown = this.chosen("column"), sources = this.chosen("source"), form = this.form.elements;
      const wanted = form.q.value.trim().toLowerCase(), needed = this.keys.indexOf(form.benchmark.value);
      const columns = this.keys.map((key, n) => (n === 0 || shown.includes(key) ? n : -1)).filter((n) => n >= 0);
      for (const row of [this.board.table.tHead.rows[0], ...this.board.rows]) {
        [...row.cells].forEach((cell, n) => { cell.hidden = !columns.includes(n); });
      }
      let visible = 0, empty = 0;
      for (const row of this.board.rows) {
        const fits = sources.includes(row.dataset.source) && FILTERS.every((name) => !form[name].value || row.dataset[name] === form[name].value)
          && (!wanted || nameOf(row).toLowerCase().includes(wanted)) && (needed < 0 || valueOf(row, needed) !== null);
        const filled = columns.slice(1).some((n) => cellOf(row, n).textContent.trim());
        row.hidden = !(fits && filled);
        visible += fits && filled;
        empty += fits && !filled;
      }
      if (!columns.includes(this.board.column) && columns.length > 1) this.board.sort(columns[1], this.board.upward(columns[1]));
      else this.board.arrange();
      this.form.querySelector("output").textContent = `${visible} of ${this.board.rows.length} systems` + (empty ? `; ${empty} more have no number in these columns.` : "");
      if (this.published) this.published.hidden = !empty || this.published.dataset.columns.split(",").every((key) => shown.includes(key));
    }

    // Only what differs from the page as it stands goes into the address.
    write() {
      const state = new URLSearchParams(), form = this.form.elements, { column, up, original } = this.board;
      if (column !== original || up !== this.board.upward(original)) state.set("sort", `${up ? "-" : ""}${this.keys[column] || "name"}`);
      if (form.q.value.trim()) state.set("q", form.q.value.trim());
      for (const name of [...FILTERS, "benchmark"]) if (form[name].value) state.set(name, form[name].value);
      if (this.chosen("source").join(",") !== this.sources) state.set("source", this.chosen("source").join(","));
      if (this.chosen("column").join(",") !== this.defaults) state.set("columns", this.chosen("column").join(","));
      const text = String(state).replaceAll("%2C", ",");
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    }

    read() {
      if (location.hash && !location.hash.includes("=")) return; // a footnote
      const state = new URLSearchParams(location.hash.slice(1)), form = this.form.elements;
      form.q.value = state.get("q") || "";
      for (const name of [...FILTERS, "benchmark"]) {
        form[name].value = state.get(name) || "";
        if (form[name].selectedIndex < 0) form[name].value = "";
      }
      this.check("source", (state.get("source") ?? this.sources).split(","));
      this.check("column", (state.get("columns") ?? this.defaults).split(","));
      const sort = state.get("sort") || "", key = sort.replace(/^-/, "");
      const n = key === "name" ? 0 : this.keys.indexOf(key);
      if (n >= 0 && key) this.board.sort(n, sort.startsWith("-"));
      else this.board.sort(this.board.original, this.board.upward(this.board.original));
      this.apply();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const table of document.querySelectorAll("table.board[data-sorted]")) {
      const board = new Board(table), form = table.closest("section").querySelector("form.controls");
      if (form) new Controls(form, board);
      else if (board.rows.some((row) => row.hidden)) unfold(board);
    }
  });
})();
