"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const FIRST = 40; // images that are seen before more are asked for
  const byId = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const short = (value) => (value === null ? "not scored" : String(Number(value.toPrecision(4))));
  // A picture is in the page once: in the script's data, or in an <img> that the page shows without a script.
  const inline = new Map([...document.querySelectorAll("img[id^=p]")].map((image) => [Number(image.id.slice(1)), image.src]));
  const source = (n) => data.uris[n] ?? inline.get(n);
  const swap = (image, n, alt) => {
    if (image.dataset.n !== String(n)) {
      image.src = source(n);
      image.dataset.n = n;
    }
    image.alt = alt;
  };

  // The budget: on every curve the dearest dot that it affords is marked, and every image is the one chosen with it.
  const within = (key, keys) => keys.reduce((found, k, i) => (k <= key * (1 + 1e-9) ? i : found), -1);
  const movers = [];
  const markCurves = (at) => {
    for (const chart of document.querySelectorAll(".chart")) {
      const names = [...chart.querySelectorAll(".legend li")].map((li) => li.textContent);
      const told = [];
      chart.querySelectorAll(".curve").forEach((curve, i) => {
        const dots = [...curve.querySelectorAll(".dot")];
        const on = dots[within(data.keys[at], dots.map((dot) => Number(dot.dataset.k)))];
        dots.forEach((dot) => dot.classList.toggle("on", dot === on));
        if (on) told.push((names[i] ? names[i] + ": " : "") + on.querySelector("title").textContent);
      });
      chart.querySelector(".now").replaceChildren(...told.flatMap((line, i) => (i ? [make("br"), line] : [line])));
    }
  };
  const budget = byId("budget");
  if (budget) {
    const move = () => {
      const at = Number(budget.value);
      byId("told").textContent = data.told[at];
      budget.setAttribute("aria-valuetext", data.told[at]);
      markCurves(at);
      movers.forEach((mover) => mover(at));
    };
    budget.addEventListener("input", move);
    budget.closest(".budget").hidden = false;
    window.addEventListener("pageshow", move); // a browser that goes back may have kept the slider where it was
    movers.start = move;
  }

  // The images of a run, and the bank of each.
  const shelf = byId("images");
  if (shelf) {
    const dialog = byId("bank");
    byId("close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    const open = (image) => {
      const bank = data.banks[image.id];
      byId("bank-title").textContent = `Image ${image.id}: ${image.name}`;
      byId("bank-body").replaceChildren(...(bank ? candidates(image, bank) : []), ...way(image));
      dialog.showModal();
      dialog.scrollTop = 0;
    };
    const way = (image) => {
      const steps = image.p.map((n, i) => ({ n, i })).filter(({ i }) => i === 0 || image.a[i] !== image.a[i - 1] || image.p[i] !== image.p[i - 1]);
      const items = steps.map(({ n, i }) => make("li", {},
        make("img", { src: source(n), alt: `${image.name}, chosen from ${data.told[i]} on` }),
        make("b", { textContent: `from ${data.told[i].replace(" an image", "")}` }), make("br"),
        `${image.way[i]}`, make("br"), `final score ${short(image.s[i])}`));
      return [make("h3", { textContent: "The winner’s way" }), make("ol", { className: "way" }, ...items)];
    };
    const candidates = (image, bank) => {
      const choice = make("select", { id: "column" }, ...data.columns.map((name, v) => make("option", { value: v, textContent: name })));
      const list = make("ol", { className: "cells" });
      const winners = new Set(image.a);
      const sort = () => {
        const v = Number(choice.value);
        const order = bank.c.map((_, i) => i).sort((i, j) => bank.r[v][i] - bank.r[v][j]);
        list.replaceChildren(...order.map((i) => {
          const number = bank.c[i], score = short(bank.s[v][i]), won = winners.has(number);
          const said = `candidate ${number}, place ${bank.r[v][i]} of ${bank.n}, score ${score}` + (won ? ", was chosen" : "");
          const tile = make("span", { className: "tile" + (number < bank.pictured ? "" : " bare"), title: said });
          if (number < bank.pictured) {
            tile.setAttribute("role", "img");
            tile.setAttribute("aria-label", said);
            tile.style.backgroundImage = "var(--sheet)";
            const line = bank.lines > 1 ? Math.floor(number / 8) / (bank.lines - 1) : 0;
            tile.style.backgroundPosition = `${(number % 8) / 7 * 100}% ${line * 100}%`;
          } else tile.textContent = `#${number}`;
          return make("li", { className: won ? "won" : "" }, tile, make("b", { textContent: `${bank.r[v][i]}.` }), ` ${score}` + (won ? " ★" : ""));
        }));
      };
      if (bank.sheet) list.style.setProperty("--sheet", `url("${bank.sheet}")`);
      choice.addEventListener("change", sort);
      sort();
      const more = bank.n > bank.pictured && bank.pictured ? ` Pictures are kept of the first ${bank.pictured}; of the others the best are told.` : "";
      return [make("p", {}, make("label", { htmlFor: "column", textContent: "Best to worst under " }), choice),
        make("p", { className: "note", textContent: `${bank.n} candidates with their scores in the search; ★: chosen at some budget.${more}` }), list];
    };
    const cells = data.images.map((image) => {
      const picture = make("img"), score = make("small"), opens = image.way !== undefined;
      const inside = [picture, make("span", { className: "name", title: image.name, textContent: image.name }), score];
      const cell = opens ? make("button", { type: "button", className: "opens" }, ...inside) : make("figure", {}, ...inside);
      if (opens) cell.addEventListener("click", () => open(image));
      movers.push((at) => {
        swap(picture, image.p[at], `image ${image.id}: ${image.name}, ${data.told[at]}`);
        score.textContent = `score ${short(image.s[at])}`;
      });
      return cell;
    });
    shelf.replaceChildren(...cells);
    shelf.hidden = false;
    const rest = cells.slice(FIRST);
    if (rest.length) {
      const more = make("button", { type: "button", className: "more", textContent: `Show all ${cells.length}` });
      rest.forEach((cell) => (cell.hidden = true));
      more.addEventListener("click", () => {
        rest.forEach((cell) => (cell.hidden = false));
        more.remove();
      });
      shelf.after(more);
    }
  }

  // Runs side by side: the same images, each with the dearest point of its run within the budget.
  for (const picture of document.querySelectorAll("img[data-side]")) {
    const [row, run] = picture.dataset.side.split(",").map(Number);
    const side = data.sides[run], numbers = side.images[row], score = picture.nextElementSibling;
    movers.push((at) => {
      const i = within(data.keys[at], side.nfe);
      picture.hidden = i < 0;
      score.textContent = i < 0 ? "nothing so cheap" : `${side.nfe[i].toLocaleString("en")} NFE, score ${short(side.scores[row][i])}`;
      if (i >= 0) swap(picture, numbers[i], `${side.names[row]}, ${side.name}, ${side.nfe[i]} NFE`);
    });
  }
  if (movers.start) movers.start();

  // A table that sorts by the column whose heading is pressed.
  for (const table of document.querySelectorAll("table.index")) {
    const body = table.tBodies[0];
    table.querySelectorAll("thead th[data-sorts]").forEach((head) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        const value = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent;
        const compare = (a, b) => {
          const x = value(a), y = value(b);
          if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1; // what is not known comes last
          const found = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
          return up ? found : -found;
        };
        const rows = [...body.rows].sort(compare);
        table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        body.append(...rows);
      });
    });
  }
})();
