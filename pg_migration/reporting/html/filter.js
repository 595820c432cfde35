// Hides the lines of a list that lack what is typed into the field above it.
for (const box of document.querySelectorAll("input.filter"))
  box.addEventListener("input", () => {
    const wanted = box.value.toLowerCase(), rows = [...document.querySelectorAll(box.dataset.rows)].filter(row => !row.closest(".inner"));
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    const shown = rows.filter(row => !row.hidden).length;
    box.nextElementSibling.textContent = wanted ? shown.toLocaleString("en") + " of " + rows.length.toLocaleString("en") : "";
    if (wanted) for (const fold of document.querySelectorAll("#checks ~ details")) fold.open = true;
  });
