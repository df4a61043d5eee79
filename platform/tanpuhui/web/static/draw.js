/* A draw that was held: repeat it on this very device, by the rule that its page tells. The same as rewards/repeat_draw.py. */

"use strict";

(() => {
  const place = document.querySelector("[data-draw]");
  if (!place || !globalThis.crypto?.subtle) return;
  place.hidden = false;

  const sha256 = async (text) => {
    const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };

  /* Who wins by the rule, and whether everything in the record is as it has to be. */
  const repeat = async (record) => {
    const digest = await sha256([...record.tickets].sort().map((ticket) => `${ticket}\n`).join(""));
    const numbers = await Promise.all(
      record.tickets.map(async (ticket) => [await sha256(`${record.seed}|${digest}|${record.witnessed}|${ticket}`), ticket]),
    );
    const order = numbers.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, ticket]) => ticket);
    const prizes = record.prizes.flatMap((prize) => Array(prize.count).fill(prize.name));
    const winners = prizes.slice(0, order.length).map((prize, index) => [order[index], prize]);
    const holds =
      (await sha256(record.seed)) === record.commitment &&
      new Set(record.tickets).size === record.tickets.length &&
      digest === record.digest &&
      winners.length === record.winners.length &&
      winners.every(([ticket, prize], index) => record.winners[index].ticket === ticket && record.winners[index].prize === prize);
    return [holds, winners];
  };

  const show = (winners) => {
    const list = place.querySelector("[data-winners]");
    list.replaceChildren(
      ...winners.map(([ticket, prize]) => {
        const line = document.createElement("li");
        const code = document.createElement("code");
        const name = document.createElement("bdi");
        code.textContent = ticket;
        name.textContent = prize;
        line.append(code, " ", name);
        return line;
      }),
    );
    list.hidden = !winners.length;
  };

  place.querySelector("button").addEventListener("click", async () => {
    let found = "failed"; // no network: nothing was worked out
    let winners = [];
    try {
      const record = await (await fetch(place.dataset.draw)).json();
      let holds;
      [holds, winners] = await repeat(record);
      found = holds ? "right" : "wrong";
    } catch {}
    show(winners);
    for (const said of place.querySelectorAll("[data-say]")) said.hidden = said.dataset.say !== found;
  });
})();
