// What the console does beyond plain pages: theme, shortcuts, live alerts. Every part is an addition;
// without this file all pages work by reloading.
(() => {
  "use strict";
  const all = (selector, under = document) => [...under.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);

  function remembered(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function remember(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // It holds until the page is left.
    }
  }

  // --- Theme -----------------------------------------------------------------------------------

  function showTheme() {
    for (const button of all("button[data-theme-choice]")) {
      const chosen = button.dataset.themeChoice === document.documentElement.dataset.themeChoice;
      button.setAttribute("aria-pressed", String(chosen));
    }
  }

  for (const button of all("button[data-theme-choice]")) {
    button.addEventListener("click", () => {
      window.bartizanTheme(button.dataset.themeChoice);
      showTheme();
    });
  }
  showTheme();

  // --- Menu ------------------------------------------------------------------------------------

  // On a low screen the menu scrolls, and the entry of this page may be below.
  const here = document.querySelector(".side-nav a[aria-current]");
  if (here && here.checkVisibility()) here.scrollIntoView({ block: "nearest" });

  // --- Show password ---------------------------------------------------------------------------

  for (const button of all("[data-reveal]")) {
    const input = byId(button.dataset.reveal);
    const show = (shown) => {
      input.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
      button.classList.toggle("active", shown);
    };
    button.addEventListener("click", () => show(input.type === "password"));
    // Browsers offer to save what was typed into a password field only.
    input.form.addEventListener("submit", () => show(false));
  }

  // --- Select all rows -------------------------------------------------------------------------

  // The rows of a live list are replaced, so that nothing is attached to them.
  document.addEventListener("change", (event) => {
    const table = event.target.closest("table");
    const box = table && table.querySelector("[data-pick-all]");
    if (!box) return;
    const rows = all("tbody input[type=checkbox]", table);
    if (event.target === box) {
      for (const row of rows) row.checked = box.checked;
    }
    const picked = rows.filter((row) => row.checked).length;
    box.checked = picked === rows.length;
    box.indeterminate = 0 < picked && picked < rows.length;
  });

  // --- Keyboard --------------------------------------------------------------------------------

  const help = byId("help");
  const keysOn = byId("keys-on");
  if (keysOn) {
    keysOn.checked = remembered("bartizan.keys") !== "off";
    keysOn.addEventListener("change", () => remember("bartizan.keys", keysOn.checked ? "on" : "off"));
  }
  for (const button of all("[data-help]")) {
    button.addEventListener("click", () => help.showModal());
  }
  if (help) {
    help.addEventListener("click", (event) => {
      if (event.target === help) help.close(); // the backdrop
    });
  }

  function moveRow(step) {
    const links = all("tr[data-row] .row-link");
    if (links.length === 0) return;
    const row = document.activeElement.closest("tr[data-row]");
    const at = links.findIndex((link) => row !== null && row.contains(link));
    const next = at === -1 ? (step === 1 ? 0 : links.length - 1) : at + step;
    if (next < 0 || links.length <= next) return;
    links[next].focus();
    links[next].closest("tr").scrollIntoView({ block: "nearest" });
  }

  let goPressedAt = -Infinity;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (typing && event.key === "Escape" && !event.target.closest("dialog")) {
      event.target.blur();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!keysOn || !keysOn.checked || help.open) return;

    const afterGo = event.timeStamp - goPressedAt < 1500;
    goPressedAt = -Infinity;
    if (afterGo && event.key === "a") {
      location.assign("/alerts");
    } else if (afterGo && event.key === "d") {
      location.assign("/devices");
    } else if (afterGo && event.key === "f") {
      location.assign("/feeds");
    } else if (afterGo && event.key === "i") {
      location.assign("/indicators");
    } else if (event.key === "g") {
      goPressedAt = event.timeStamp;
    } else if (event.key === "j") {
      moveRow(1);
    } else if (event.key === "k") {
      moveRow(-1);
    } else if (event.key === "?") {
      help.showModal();
    } else if (event.key === "/" && document.querySelector("[data-filter]")) {
      document.querySelector("[data-filter]").focus();
    } else {
      return;
    }
    event.preventDefault();
  });

  // --- Relative times --------------------------------------------------------------------------

  // Words as src/console/format.rs has them; past 30 days the server's word stays.
  function ago(elapsed) {
    const minutes = Math.floor(elapsed / 60000);
    if (minutes < 1) return "just now";
    if (minutes < 60) return `${minutes} min ago`;
    if (minutes < 1440) return `${Math.floor(minutes / 60)} h ago`;
    const days = Math.floor(minutes / 1440);
    return days < 30 ? `${days} day${days === 1 ? "" : "s"} ago` : null;
  }

  function showTimes() {
    for (const time of all("time[data-ago]")) {
      const elapsed = Date.now() - Date.parse(time.dateTime);
      const text = -60000 <= elapsed ? ago(Math.max(0, elapsed)) : null;
      if (text !== null && time.textContent !== text) time.textContent = text;
    }
  }
  setInterval(showTimes, 30000);

  // --- Live alerts -----------------------------------------------------------------------------

  const live = byId("live");
  if (!live || !byId("queue") || !window.htmx) return;

  const SAY = { connecting: "Connecting", live: "Live", down: "Not live: reconnecting" };
  function showLive(state) {
    live.dataset.state = state;
    byId("live-text").textContent = SAY[state];
  }

  // At most one refresh a second, none while nobody looks.
  let isStale = false;
  let timer = null;
  function refresh() {
    isStale = true;
    if (timer !== null || document.hidden || isChoosing()) return;
    timer = setTimeout(() => {
      timer = null;
      if (document.hidden || isChoosing()) return;
      isStale = false;
      window.htmx.trigger("#queue", "bartizan:refresh");
    }, 1000);
  }
  document.addEventListener("visibilitychange", () => {
    if (isStale) refresh();
  });
  // What somebody has picked or is filling in stays as it is until they are done.
  const isChoosing = () =>
    document.querySelector("#queue input:checked, #queue details[open], #queue form :focus:not(a)") !== null;
  for (const kind of ["change", "focusout", "toggle"]) {
    document.addEventListener(kind, () => isStale && refresh(), true);
  }

  let known = new Set();
  const rows = () => all("#queue tr[data-row]");
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    // Signed out meanwhile, or an error page: let the browser show it.
    if (!event.detail.serverResponse.includes('id="queue"')) {
      event.detail.shouldSwap = false;
      if (event.detail.xhr.status < 500) location.reload();
      return;
    }
    known = new Set(rows().map((row) => row.dataset.row));
  });
  document.body.addEventListener("htmx:afterSettle", () => {
    // Those that moved up from the next page stand below what was there.
    const isNew = [];
    for (const row of rows()) {
      if (known.has(row.dataset.row)) break;
      isNew.push(row);
    }
    for (const row of isNew) row.classList.add("row-new");
    if (isNew.length === 0) return;
    const text = isNew.length === 1 ? "1 new alert" : `${isNew.length} new alerts`;
    byId("announcer").textContent = text;
    setTimeout(() => (byId("announcer").textContent = ""), 5000);
  });

  // The portal ends each stream after a while to look at the session again; only a longer gap is told.
  let wasDown = false;
  let gap = null;
  function listen() {
    const source = new EventSource("/events");
    source.addEventListener("open", () => {
      clearTimeout(gap);
      gap = null;
      showLive("live");
      if (wasDown) refresh(); // what came meanwhile
      wasDown = false;
    });
    source.addEventListener("alerts", refresh);
    source.addEventListener("error", () => {
      wasDown = true;
      if (gap === null) gap = setTimeout(() => showLive("down"), 6000);
      // The browser tries again by itself unless the portal refused.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 15000);
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }
  listen();
  // Back from the browser's cache, where the stream was closed.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
})();
