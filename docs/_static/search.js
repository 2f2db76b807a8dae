// The order of the search's results, and what is shown of each. Sphinx puts this behind its own search (searchtools.js).
// First the sections that teach a term of the glossary, then notebooks in the order of the course, then pages to look
// things up, and last what is written for instructors and authors.

// The heading of a section, by its page's number and its id.
const sectionTitle = (page, id) => {
  for (const [title, places] of Object.entries(Search._index.alltitles))
    if (places.some(([file, anchor]) => file === page && anchor === id)) return title;
  return null;
};

Scorer.score = (result) => {
  const [page, title, anchor, , score, , kind] = result;
  const chapter = /^notebooks\/(\d\d)_/.exec(page);
  if (kind === SearchResultKind.index) {
    const number = Search._index.docnames.indexOf(page);
    const section = sectionTitle(number, anchor.slice(1));
    if (section && section !== title) result[1] = `${title} > ${section}`;
    return 200 + score - (chapter ? Number(chapter[1]) / 100 : 0);
  }
  if (chapter) return (kind === SearchResultKind.title ? 100 : 50) + score - Number(chapter[1]) / 100;
  if (/^(index|docs\/(glossary|exercises))$/.test(page)) return 30 + score;
  return (/^docs\/teaching|^docs\/grading|^docs\/writing/.test(page) ? 0 : 10) + score / 2;
};

// A result shows words around the one that was looked for: of the prose, if it stands there; never of an import.
{
  const summary = Search.makeSearchSummary;
  Search.makeSearchSummary = (html, keywords, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const holds = () => {
      const text = Search.htmlToText(page.documentElement.outerHTML, anchor).toLowerCase();
      return [...keywords].some((word) => text.includes(word.toLowerCase()));
    };
    for (const one of page.querySelectorAll(".tag_setup, .tag_run-cell, #jb-print-docs-body")) one.remove();
    for (const code of page.querySelectorAll("pre"))
      code.textContent = code.textContent.split("\n").filter((line) => !/^\s*(import|from)\s/.test(line)).join("\n");
    const all = page.documentElement.outerHTML;
    for (const one of page.querySelectorAll("div.cell, details, pre")) one.remove();
    return summary(holds() ? page.documentElement.outerHTML : all, keywords, anchor);
  };
}
