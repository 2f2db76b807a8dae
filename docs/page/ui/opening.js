// Runs before anything else, in any browser: says in words why the page cannot work, where it cannot.
// No module, because a module is not even read where the page was opened as a file.
(function () {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
  follow();
  dark.addEventListener("change", follow);

  window.trouble = (text) => {
    const status = document.getElementById("status");
    status.textContent = text;
    status.className = "trouble";
    document.getElementById("main-content").removeAttribute("aria-busy");
  };

  document.addEventListener("DOMContentLoaded", () => {
    if (location.protocol === "file:") {
      window.trouble(
        "This page was opened as a file, and browsers do not let files load a model. Serve its folder instead: " +
          "python -m http.server --directory FOLDER, then open http://localhost:8000.",
      );
    }
  });
  // A module that does not arrive or does not parse stops everything.
  addEventListener("error", (event) => {
    if (event.target && event.target.tagName === "SCRIPT") {
      window.trouble(`A part of this page could not be loaded: ${event.target.getAttribute("src")}.`);
    }
  }, true);
})();
