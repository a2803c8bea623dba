// The pages by keyboard alone. A control says its own key: <input data-key="1">. Nothing here knows a policy code.
(() => {
  const SWITCH = "triage.single-keys";
  const dialog = () => document.getElementById("keys");
  const switchBox = () => document.querySelector("[data-single-keys]");

  // A person may turn single keys off (WCAG 2.1.4); the choice is all that this site keeps in the browser.
  const singleKeys = () => localStorage.getItem(SWITCH) !== "off";

  const typing = (element) =>
    element instanceof HTMLTextAreaElement ||
    element instanceof HTMLSelectElement ||
    (element instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit"].includes(element.type));

  const shown = (element) => element.checkVisibility();

  function press(key) {
    const wanted = [...document.querySelectorAll(`#work [data-key="${CSS.escape(key)}"]`)].find(shown);
    if (!wanted) return null;
    if (wanted.matches("textarea, select, input[type=text], [data-focus]")) {
      wanted.focus();
    } else if (wanted.matches("input[name=imminence], input[name=contexts]")) {
      wanted.focus(); // the first of a group: the arrow keys or Tab and Space go on
    } else {
      wanted.focus({ preventScroll: true });
      wanted.click();
    }
    wanted.scrollIntoView({ block: "nearest" });
    return wanted;
  }

  function send() {
    const form = document.activeElement?.closest?.("#work form") ?? document.querySelector("#work form[data-main]");
    const target = form?.matches("[data-main]") ? form : document.querySelector("#work form[data-main]");
    target?.requestSubmit();
    return Boolean(target);
  }

  // With Shift, a key that chooses sends the form as well. A digit's key says "!" or ")" then, so its place is asked.
  function pressAndSend(event) {
    const digit = /^Digit([0-9])$/.exec(event.code);
    const key = digit && !/^[0-9]$/.test(event.key) ? digit[1] : event.key.toLowerCase();
    const chosen = press(key);
    if (chosen?.matches("input[type=checkbox], input[type=radio]") && chosen.checked) send();
    return chosen;
  }

  function openKeys() {
    const box = switchBox();
    if (box) box.checked = singleKeys();
    dialog()?.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      if (send()) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(document.activeElement)) {
      document.activeElement.blur();
      return;
    }
    if (typing(event.target) || !singleKeys()) return;
    if (event.key === "?") {
      openKeys();
      event.preventDefault();
    } else if (event.repeat) {
      return; // a key that is held down chooses once
    } else if (event.shiftKey ? pressAndSend(event) : event.key.length === 1 && press(event.key.toLowerCase())) {
      event.preventDefault();
    }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-open-keys]")) openKeys();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-single-keys]")) {
      localStorage.setItem(SWITCH, event.target.checked ? "on" : "off");
    }
  });
})();
