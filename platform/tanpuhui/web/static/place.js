/* On the page that confirms a scan: asks the phone once, while the page is read, where it is, if its owner agreed to that.
   Nobody waits for it: whatever is not there when the button is tapped is not sent. */

"use strict";

(() => {
  if (!("geolocation" in navigator)) return;
  for (const offer of document.querySelectorAll("[data-place-offer]")) offer.hidden = false;
  const field = document.querySelector("input[name=position]");
  if (!field) return;
  const fill = ({ coords }) => {
    field.value = `${coords.latitude.toFixed(4)} ${coords.longitude.toFixed(4)} ${Math.ceil(coords.accuracy)}`;
  };
  navigator.geolocation.getCurrentPosition(fill, () => {}, { enableHighAccuracy: false, timeout: 10000, maximumAge: 60000 });
})();
