"use strict";
// A gallery's cards come in files of a hundred, as they are needed: scripts that call janusCards, since a page that was
// opened from the disk may load nothing else.
(() => {
  const AT_ONCE = 48;

  class Gallery {
    constructor(section) {
      this.section = section;
      this.form = section.querySelector("form.filters");
      this.cards = section.querySelector(".cards");
      this.more = section.querySelector(".more");
      this.index = JSON.parse(section.querySelector(".index").textContent);
      this.files = new Map();
      this.shown = 0;
      this.turn = 0;
      this.form.hidden = false;
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("input", () => { this.write(); this.show(); });
      this.more.addEventListener("click", () => this.add());
      new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) this.add(); }, { rootMargin: "800px" }).observe(this.more);
      addEventListener("hashchange", () => this.read());
      this.read();
    }

    value(name) { return this.form.elements[name] ? this.form.elements[name].value : ""; }

    read() {
      const state = new URLSearchParams(location.hash.slice(1));
      for (const name of ["verdict", "category"]) {
        const boxes = [...this.form.querySelectorAll(`[name=${name}]`)];
        const box = boxes.find((one) => one.value === (state.get(name) || "")) || boxes[0];
        if (box) box.checked = true;
      }
      this.show();
    }

    write() {
      const state = new URLSearchParams();
      for (const name of ["verdict", "category"]) if (this.value(name)) state.set(name, this.value(name));
      history.replaceState(null, "", String(state) ? `#${state}` : location.pathname + location.search);
    }

    // How many cards each chip would leave, given the other row's choice.
    count(name, value) {
      const verdict = name === "verdict" ? value : this.value("verdict"), category = name === "category" ? value : this.value("category");
      return this.matching(verdict, category).length;
    }

    matching(verdict, category) {
      const { verdicts, categories } = this.index, found = [];
      for (let n = 0; n < verdicts.length; n += 1) {
        if ((!verdict || verdicts[n] === verdict) && (!category || categories[n] === Number(category))) found.push(n);
      }
      return found;
    }

    show() {
      this.wanted = this.matching(this.value("verdict"), this.value("category"));
      this.turn += 1;
      this.shown = 0;
      this.cards.replaceChildren();
      this.form.querySelectorAll("input").forEach((input) => {
        input.nextElementSibling.textContent = this.count(input.name, input.value).toLocaleString("en");
      });
      this.form.querySelector(".count").textContent = `${this.wanted.length.toLocaleString("en")} of ${this.index.verdicts.length.toLocaleString("en")} shown`;
      this.add();
    }

    async add() {
      if (this.busy === this.turn) return;
      const turn = (this.busy = this.turn), next = this.wanted.slice(this.shown, this.shown + AT_ONCE);
      const files = [...new Set(next.map((n) => Math.floor(n / this.index.chunk)))];
      let cards;
      try {
        const loaded = new Map(await Promise.all(files.map(async (file) => [file, await this.load(file)])));
        cards = next.map((n) => loaded.get(Math.floor(n / this.index.chunk))[n % this.index.chunk].cloneNode(true));
      } catch (file) {
        cards = [Object.assign(document.createElement("p"), { className: "notice", textContent: `${file} cannot be loaded: it has to lie beside this page.` })];
      }
      if (turn !== this.turn) return; // another filter was chosen meanwhile
      this.cards.append(...cards);
      this.shown += next.length;
      this.more.hidden = this.shown >= this.wanted.length;
      this.busy = -1;
    }

    load(file) {
      if (!this.files.has(file)) {
        this.files.set(file, new Promise((resolve, reject) => {
          const script = document.createElement("script"), source = `${this.index.files}/${file}.js`;
          script.onerror = () => { this.files.delete(file); reject(source); };
          window.janusWaiting = window.janusWaiting || new Map();
          script.src = source;
          window.janusWaiting.set(script, resolve);
          document.head.append(script);
        }));
      }
      return this.files.get(file);
    }
  }

  window.janusCards = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    window.janusWaiting.get(document.currentScript)([...holder.content.children]);
    window.janusWaiting.delete(document.currentScript);
  };

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("section.gallery").forEach((section) => new Gallery(section)));
})();
