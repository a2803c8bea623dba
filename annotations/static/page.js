// What the pages need beyond plain HTML. Everything still works without it, by whole page loads.
import { initAll } from "./vendor/govuk-frontend.min.js";

document.body.classList.add("js-enabled");
if ("noModule" in HTMLScriptElement.prototype) document.body.classList.add("govuk-frontend-supported");
initAll();
showPolicies();

// The policy text of each chosen code stands beside the controls.
function showPolicies() {
  for (const box of document.querySelectorAll("input[data-shows]")) {
    const code = CSS.escape(box.dataset.shows);
    const card = document.querySelector(`[data-policies] [data-policy="${code}"]`);
    if (card) card.hidden = !box.checked;
    const details = document.querySelector(`[data-opens-for="${code}"]`);
    if (details && box.checked) details.open = true;
  }
}

document.addEventListener("change", showPolicies);

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id !== "work") return;
  const work = document.getElementById("work");
  // The error summary takes the focus by itself when it is initialised; otherwise the heading tells what came.
  initAll({ scope: work });
  showPolicies();
  if (!work.querySelector(".govuk-error-summary")) {
    (work.querySelector("#heading") ?? work.querySelector("#main-content"))?.focus({ preventScroll: true });
  }
});
