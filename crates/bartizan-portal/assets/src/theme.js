// Applies the remembered theme before anything is painted, hence in <head> and not deferred.
// "system", or nothing remembered, follows the operating system, also when that changes.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let choice = "system";
  try {
    choice = localStorage.getItem("bartizan.theme") || "system";
  } catch {
    // Storage is turned off: the system's theme it is.
  }

  function apply() {
    root.dataset.bsTheme = choice === "system" ? (dark.matches ? "dark" : "light") : choice;
    root.dataset.themeChoice = choice;
  }

  // console.js calls it when the person chooses.
  window.bartizanTheme = (chosen) => {
    choice = chosen;
    try {
      localStorage.setItem("bartizan.theme", chosen);
    } catch {
      // It holds until the page is left.
    }
    apply();
  };

  root.classList.add("js");
  dark.addEventListener("change", apply);
  apply();
})();
