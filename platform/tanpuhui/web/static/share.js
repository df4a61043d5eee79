/* The card of a record: a button that hands the picture to the phone's own sharing, where there is one. */

"use strict";

(() => {
  const button = document.querySelector("[data-share]");
  const empty = new File([], "tanpuhui.png", { type: "image/png" });
  if (!button || !navigator.canShare?.({ files: [empty] })) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      const picture = await (await fetch(button.dataset.share)).blob();
      await navigator.share({ files: [new File([picture], "tanpuhui.png", { type: "image/png" })] });
    } catch {} // given up, or refused: the picture can still be kept by a long press
  });
})();
