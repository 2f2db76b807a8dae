// What the theme leaves open for those who read with a keyboard or a screen reader.
document.addEventListener("DOMContentLoaded", () => {
  // The book's title and search box stand outside every landmark.
  const sidebar = document.getElementById("pst-primary-sidebar");
  sidebar?.setAttribute("role", "complementary");
  sidebar?.setAttribute("aria-label", "The book");

  // Their visible text is the better name; with another one, who speaks to the machine cannot press them.
  for (const one of document.querySelectorAll("details.hide > summary, .search-button-field")) one.removeAttribute("aria-label");

  // The arrows of the side column show no text: their name is that of the page that they unfold.
  for (const one of document.querySelectorAll("nav summary")) {
    one.setAttribute("aria-label", `Pages below ${one.closest("li").querySelector("a").textContent.trim()}`);
  }

  // What scrolls sideways can be reached with Tab and scrolled with the arrow keys.
  const reach = () => {
    for (const one of document.querySelectorAll(".bd-article pre, .cell_output .output, .course-figure, .pst-scrollable-table-container, div.math")) {
      if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
      else one.removeAttribute("tabindex");
    }
  };
  reach();
  addEventListener("resize", reach);
  addEventListener("load", reach);
  document.addEventListener("toggle", reach, true);
});
