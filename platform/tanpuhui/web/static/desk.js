/* A helper's desk: one question at a time, each new record with a key of its own, also on the page that the phone kept. */

"use strict";

(() => {
  const form = document.querySelector("[data-desk]");
  const find = (selector) => form.querySelector(selector);
  if (new URLSearchParams(location.search).has("kept")) {
    document.querySelector("[data-kept]").hidden = false;
    history.replaceState(null, "", location.pathname);
  }
  if ("serviceWorker" in navigator) navigator.serviceWorker.ready.then(({ active }) => active.postMessage("keep desk"));
  if (!form) return;

  const member = find("[name=member]");
  const code = new RegExp(`^${form.dataset.code}$`);
  const alike = { 0: "O", 1: "I", 8: "B" };
  const letters = () => member.value.replace(/^.*\/s\//, "").toUpperCase().replace(/[\s-]/g, "").replace(/[018]/g, (digit) => alike[digit]);
  const kind = () => find("[name=kind]:checked");
  const amount = () => kind() && find(`[name="quantity-${kind().value}"]`);
  const step = (name) => { for (const part of form.querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== name; };

  const next = () => {
    const right = code.test(letters());
    find("[data-wrong]").hidden = right || !member.value;
    if (!right) return;
    find("[data-ending]").textContent = letters().slice(-4);
    step("kind");
  };

  /* What the server would refuse later, when the member is gone, is asked for now. */
  const check = () => {
    const field = amount();
    for (const one of form.querySelectorAll(".ask input")) one.setCustomValidity("");
    if (!field) return;
    const value = Number(field.value.trim().replace(/[０-９．]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0)));
    const fits = field.value.trim() && value >= Number(field.dataset.low) && value <= Number(field.dataset.high);
    field.setCustomValidity(fits ? "" : document.getElementById(`${field.id}-hint`).textContent);
  };

  /* The same again is the same record; anything else is a new one, even on a page that one came back to. */
  let said = null;
  const renew = () => {
    const saying = JSON.stringify([letters(), kind().value, amount()?.value.trim()]);
    if (saying !== said) find("[name=key]").value = crypto.randomUUID().replaceAll("-", "");
    said = saying;
    const much = amount() ? ` ${amount().value.trim()} ${amount().dataset.unit}` : "";
    find("[name=label]").value = `${kind().dataset.name}${much} · …${letters().slice(-4)}`;
  };

  member.required = false; // it may be hidden when the form is sent
  member.addEventListener("change", next);
  member.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); next(); } });
  find("[data-next]").addEventListener("click", next);
  find("[data-back]").addEventListener("click", () => { member.value = ""; step("code"); find("[data-again]").click(); });
  form.addEventListener("input", check);
  form.addEventListener("change", check);
  form.addEventListener("submit", renew);

  find("[data-next]").hidden = find("[data-who]").hidden = false;
  step("code");
  if (member.value && !document.querySelector("[data-scan-again]")) next();
  check();
})();
