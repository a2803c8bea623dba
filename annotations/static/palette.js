// All that can be done on this page, found by typing. It knows no command itself: it lists what has a key, and the menu.
(() => {
  const palette = () => document.getElementById("palette");
  const input = () => document.getElementById("palette-input");
  const list = () => document.getElementById("palette-list");
  let commands = [];
  let at = 0;

  const words = (element) => element.textContent.replace(/\s+/g, " ").trim();

  function nameOf(element) {
    const label = element.labels?.[0] ?? element;
    const copy = label.cloneNode(true);
    for (const key of copy.querySelectorAll("kbd")) key.remove();
    const group = element.matches("input[name=imminence], input[name=contexts]") && element.closest("fieldset")?.querySelector("legend");
    if (!group) return words(copy);
    const legend = group.cloneNode(true);
    for (const key of legend.querySelectorAll("kbd")) key.remove();
    return words(legend);
  }

  // What is written on the page, never the words of a post: only controls and the menu have a name here.
  function collect() {
    const keyed = [...document.querySelectorAll("#work [data-key]")].filter((element) => element.checkVisibility());
    const chips = keyed.filter((element, i) => keyed.findIndex((other) => other.dataset.key === element.dataset.key) === i);
    const links = [...document.querySelectorAll(".app-navigation a, .app-header__name")];
    return [
      ...chips.map((element) => ({ name: nameOf(element), key: element.dataset.key, run: () => use(element) })),
      ...links.map((element) => ({ name: `Page: ${words(element)}`, key: "", run: () => element.click() })),
      { name: "Show the keys", key: "?", run: () => document.querySelector("[data-open-keys]")?.click() },
    ];
  }

  function use(element) {
    element.focus();
    if (!element.matches("textarea, select, input[type=text], [data-focus], input[name=imminence], input[name=contexts]")) element.click();
  }

  function show() {
    const wanted = input().value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = commands.filter(({ name }) => wanted.every((part) => name.toLowerCase().includes(part)));
    at = Math.min(at, Math.max(0, found.length - 1));
    list().replaceChildren(
      ...found.map(({ name, key }, i) => {
        const item = document.createElement("li");
        item.id = `palette-${i}`;
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", String(i === at));
        item.append(name);
        if (key) item.append(Object.assign(document.createElement("kbd"), { textContent: key }));
        return item;
      }),
    );
    const current = found.length ? `palette-${at}` : "";
    input().setAttribute("aria-activedescendant", current);
    document.getElementById(current)?.scrollIntoView({ block: "nearest" });
    document.getElementById("palette-count").textContent = `${found.length} commands`;
    return found;
  }

  function open() {
    commands = collect();
    input().value = "";
    at = 0;
    palette().showModal();
    show();
  }

  function run(command) {
    palette().close();
    command?.run();
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && palette()) {
      event.preventDefault();
      if (!document.querySelector("dialog[open]")) open();
    } else if (palette()?.open) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        const count = show().length;
        at = count ? (at + step + count) % count : 0;
        show();
        event.preventDefault();
      } else if (event.key === "Enter") {
        event.preventDefault();
        run(show()[at]);
      }
    }
  });

  document.addEventListener("input", (event) => {
    if (event.target === input()) {
      at = 0;
      show();
    }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-open-palette]") && palette()) {
      event.preventDefault();
      open();
      return;
    }
    const item = event.target.closest("#palette-list [role=option]");
    if (item) run(show()[[...list().children].indexOf(item)]);
  });
})();
