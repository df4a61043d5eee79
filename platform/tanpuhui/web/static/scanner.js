/* The scanner in the page: looks for a code in what the camera sees. One of this site is opened or, where a field of the
   page asks for it, filled in there. Helpers' desks and cards use it as well as residents. */

const root = document.querySelector("[data-scanner]");
const video = root.querySelector("video");
const torch = root.querySelector("[data-torch]");
const again = root.querySelector("[data-again]");
const canvas = document.createElement("canvas");
const SIDE = 640; // pixels of the square that is looked at
const PAUSE = 120; // ms between two looks at least; never less than a look takes, so that half the time is the page's

let stream = null;
let starting = false;
let wanted = root.dataset.later === undefined;
let read = null; // the texts of the codes in a picture

const say = (name) => { for (const words of root.querySelectorAll("[data-say]")) words.hidden = words.dataset.say !== name; };

async function start() {
  if (stream || starting) return;
  starting = wanted = true;
  say("starting");
  again.hidden = true;
  let opened = null;
  try {
    read ??= await browsersOwn() ?? await vendored();
    opened = stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false });
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => fail("missing")); // taken by another app
    video.srcObject = stream;
    video.hidden = false;
    await video.play();
    if (stream === opened) {
      torch.hidden = !track.getCapabilities?.().torch;
      say("looking");
      look(opened);
    }
  } catch (problem) {
    if (stream === opened) return fail(problem.name === "NotAllowedError" ? "refused" : "missing");
  } finally {
    starting = false;
  }
  if (document.hidden) stop();
  else if (!stream && again.hidden) start(); // hidden and shown again meanwhile, and nothing failed
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  video.hidden = torch.hidden = true;
  torch.setAttribute("aria-pressed", "false");
}

function fail(reason) {
  stop();
  say(reason);
  again.hidden = false;
}

/* The browser's own reader works beside the page and is the quicker one; where it does not read these codes, ours does. */
async function browsersOwn() {
  try {
    if (!(await BarcodeDetector.getSupportedFormats()).includes("qr_code")) return null;
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    return async (picture) => (await detector.detect(picture)).map((code) => code.rawValue);
  } catch {
    return null; // it has none
  }
}

async function vendored() {
  const { decodeQR } = await import(root.dataset.reader);
  return (picture) => {
    const { width, height } = picture;
    const image = picture.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, width, height);
    try {
      return [decodeQR(image)];
    } catch {
      return []; // no code in this picture
    }
  };
}

/* Look once, and again after a pause, for as long as the camera is `seen`. */
async function look(seen) {
  const began = performance.now();
  let path = null;
  try {
    path = await codeHere();
  } catch { // there is no reader after all
    if (stream === seen) fail("missing");
  }
  if (stream !== seen) return;
  if (path) {
    say("found");
    stop();
    if (root.dataset.field) fill(document.getElementById(root.dataset.field), path);
    else location.assign(path);
  } else {
    setTimeout(look, Math.max(PAUSE, performance.now() - began), seen);
  }
}

function fill(field, path) {
  wanted = false;
  again.hidden = false;
  field.value = path.slice("/s/".length);
  field.dispatchEvent(new Event("change", { bubbles: true }));
  if (root.dataset.send !== undefined) field.form.requestSubmit();
}

/* The path of the code in the middle of the picture, if it is one of this site. */
async function codeHere() {
  const side = Math.min(video.videoWidth, video.videoHeight);
  if (!side) return null;
  canvas.width = canvas.height = Math.min(side, SIDE);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
  const texts = await textsHere();
  const path = texts.map(ownPath).find(Boolean) ?? null;
  if (texts.length && !path) say("foreign");
  return path;
}

async function textsHere() {
  try {
    return await read(canvas);
  } catch { // the browser's own reader promised more than it keeps
    read = await vendored();
    return read(canvas);
  }
}

function ownPath(text) {
  try {
    const address = new URL(text);
    const ours = [location.host, new URL(root.dataset.site).host].includes(address.host);
    return ours && /^\/s\/[A-Z2-7]+$/.test(address.pathname) ? address.pathname : null;
  } catch {
    return null; // some text
  }
}

torch.addEventListener("click", async () => {
  const on = torch.getAttribute("aria-pressed") !== "true";
  await stream.getVideoTracks()[0].applyConstraints({ advanced: [{ torch: on }] });
  torch.setAttribute("aria-pressed", String(on));
});
again.addEventListener("click", start);
document.addEventListener("visibilitychange", () => { // nobody is watched in the background
  if (document.hidden) stop();
  else if (wanted) start();
});
window.addEventListener("pagehide", stop);
window.addEventListener("pageshow", (event) => { if (event.persisted && wanted) start(); });

root.hidden = false;
if (wanted) start();
else again.hidden = false;
