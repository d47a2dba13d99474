// Options are searched for by their names: to the search, a dash before a word asks for pages without it.
document.addEventListener(
  "input",
  ({ target }) => {
    const plain = target.value?.replace(/(^|\s)-+/g, "$1");
    if (target.matches(".md-search__input") && plain !== target.value) target.value = plain;
  },
  true,
);
