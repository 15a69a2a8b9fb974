// A click on a heading sorts its table by that column, a second click the other way round.
for (const head of document.querySelectorAll("table.sortable thead th")) {
  head.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = row => row.cells[column] ? row.cells[column].textContent.trim() : "";
    const number = row => /^[-+]?[\d.]/.test(text(row)) ? parseFloat(text(row)) : NaN;
    const compare = (a, b) => {
      const [x, y] = [number(a), number(b)];
      if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;  // what is no number stays below
      const order = isNaN(x) ? text(a).localeCompare(text(b)) : x - y;
      return down ? -order : order;
    };
    body.append(...[...body.rows].sort(compare));
  });
}
