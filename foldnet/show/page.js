"use strict";
// What a reader can move on a page. Everything that is shown is in the page already: this shows, hides and marks it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const id = (name) => document.getElementById(name);
  document.documentElement.classList.add("js");

  // Buttons that copy a command; a page from a file may have no clipboard, so that the text is selected instead.
  for (const button of all("button.copy")) {
    const said = button.textContent, command = button.parentElement.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", async () => {
      let done = "Copied";
      try {
        await navigator.clipboard.writeText(command.textContent);
      } catch {
        getSelection().selectAllChildren(command);
        done = document.execCommand("copy") ? "Copied" : "Selected";
      }
      button.textContent = done;
      setTimeout(() => { button.textContent = said; }, 1500);
    });
  }

  // Wide tables: on a narrow screen their rows are lists, which have lost the roles of a table and the heads of columns.
  for (const table of all("table.wide")) {
    const names = all("thead th", table).map((head) => head.textContent);
    const roles = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", "thead th": "columnheader", "tbody th": "rowheader", td: "cell" };
    table.setAttribute("role", roles.table);
    for (const [query, role] of Object.entries(roles)) for (const one of all(query, table)) one.setAttribute("role", role);
    for (const cell of all("td", table)) cell.dataset.column = names[cell.cellIndex];
  }

  // The threshold: one stop is shown, the matrices say what it ties, a line in each dendrogram where it lies.
  const matrices = all("table.matrix"), slider = id("at");
  const cells = (table) => all("tbody tr", table).map((row) => all("td", row));
  const moveTo = (number) => {
    const stop = data.stops[number];
    all("article.stop").forEach((article, at) => { article.hidden = at !== number; });
    id("stop").textContent = stop.said;
    slider.setAttribute("aria-valuetext", stop.said);
    for (const table of matrices) {
      const owners = stop.owners[table.dataset.group] || [];
      cells(table).forEach((row, i) => row.forEach((cell, j) =>
        cell.classList.toggle("tied", i !== j && owners[i] !== undefined && owners[i] === owners[j])));
    }
    for (const tree of all("svg.dendrogram")) {
      const { left, right, low } = tree.dataset, share = Math.cbrt(1 - Math.max(stop.at, low)) / Math.cbrt(1 - low);
      tree.querySelector(".threshold").setAttribute("transform", `translate(${share * (right - left)} 0)`);
    }
  };
  if (slider) {
    slider.addEventListener("input", () => moveTo(Number(slider.value)));
    moveTo(Number(slider.value));
  }

  // A matrix: what a cell says is written out; arrow keys, Home and End move between cells.
  const tell = (table, row, column) => {
    const names = all("tbody th", table).map((head) => head.textContent), cell = cells(table)[row][column];
    const more = [cell.classList.contains("beyond") ? "more alike than chance" : "", cell.classList.contains("tied") ? "tied" : ""];
    const what = row === column ? "itself" : names[column];
    id("pointed").textContent = [`${table.dataset.group}: ${names[row]} and ${what}: ${cell.dataset.value ?? cell.textContent}`, ...more].filter(Boolean).join(", ");
  };
  for (const table of matrices) {
    for (const cell of all("tbody td", table)) { cell.setAttribute("role", "gridcell"); cell.tabIndex = -1; }
    table.setAttribute("role", "grid");
    table.querySelector("tbody td").tabIndex = 0;
    const place = (cell) => cells(table).flatMap((row, i) => row.map((one, j) => [one, i, j])).find(([one]) => one === cell);
    const point = (event) => {
      const found = place(event.target.closest("tbody td"));
      if (found) tell(table, found[1], found[2]);
      return found;
    };
    table.addEventListener("pointerover", point);
    table.addEventListener("focusin", point);
    table.addEventListener("click", (event) => { const found = point(event); if (found) found[0].focus(); });
    table.addEventListener("keydown", (event) => {
      const found = place(event.target), steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (!found) return;
      const grid = cells(table), last = grid.length - 1, [cell, i, j] = found;
      const [down, right] = steps[event.key] || { Home: [0, -j], End: [0, last - j] }[event.key] || [];
      if (down === undefined) return;
      event.preventDefault();
      const next = grid[Math.min(Math.max(i + down, 0), last)][Math.min(Math.max(j + right, 0), last)];
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }

  // The film: every epoch is a letter a pair of layers, which is the number of its shade.
  const epoch = id("epoch"), play = id("play");
  const show = (at) => {
    const said = [];
    for (const [name, film] of Object.entries(data.films)) {
      const table = all("table.film").find((one) => one.dataset.film === name), rows = cells(table);
      let pair = 0;
      for (let i = 0; i < film.layers; i += 1) for (let j = i + 1; j < film.layers; j += 1) {
        rows[i][j].className = rows[j][i].className = `s${film.frames[at].charCodeAt(pair) - 97}`;
        pair += 1;
      }
      said.push(`${name} ${film.most[at]}`);
    }
    id("epoch-said").textContent = `Epoch ${data.epochs[at]}; most alike: ${said.join(", ")}`;
    epoch.setAttribute("aria-valuetext", `epoch ${data.epochs[at]}`);
  };
  if (epoch) {
    for (const table of all("table.film")) {
      const { layers } = data.films[table.dataset.film];
      for (let i = 0; i < layers; i += 1) {
        const row = table.insertRow();
        for (let j = 0; j < layers; j += 1) row.insertCell().className = `s${i === j ? 20 : 0}`;
      }
    }
    let timer = 0;
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    const step = () => {
      if (Number(epoch.value) >= data.epochs.length - 1) { stop(); return; }
      epoch.value = Number(epoch.value) + 1;
      show(Number(epoch.value));
    };
    epoch.addEventListener("input", () => { stop(); show(Number(epoch.value)); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (Number(epoch.value) >= data.epochs.length - 1) { epoch.value = 0; show(0); }
      play.textContent = "Pause";
      timer = setInterval(step, 200);
    });
    show(Number(epoch.value));
  }

  // On paper there is nothing to open.
  let opened = [];
  addEventListener("beforeprint", () => { opened = all("details:not([open])"); opened.forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));
})();
