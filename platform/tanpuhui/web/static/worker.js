/* The service worker. Before it the server puts SHELL (what to keep) and queue.js.

   Pages come from the network, and none with anything personal is ever kept. Without network the kept pages stand in,
   and a confirmed scan goes into the queue, to be sent when the network is back. The same goes for a helper's desk: that of
   the chosen site is kept as well, until the session of the helper ends. */

const CACHE = `tanpuhui-${SHELL.version}`;
const CODE = /^\/s\/[^/]+$/;

const DESK = "tanpuhui-desk";
const DESK_PAGE = /^\/console\/desk\/[0-9a-f-]{36}$/;
const SESSION = /^\/staff\//;

/* How long the kept desk waits for a new one, where the network leads nowhere. */
const DESK_PATIENCE = 5000;

/* How long a confirmation may take before it counts as not sent. Its key makes sending it again harmless. */
const PATIENCE = 15000;

/* Refusals that the resident can mend in the form. */
const MENDABLE = /^(kind_required|quantity_|trees_not_whole$|more_trees_than_planted$)/;

const KEPT_FOR = 30 * 24 * 3600 * 1000;

/* --- what is kept ------------------------------------------------------------------------------------------ */

const keepPages = async () => {
  const cache = await caches.open(CACHE);
  await cache.addAll(SHELL.pages.map((page) => new Request(page, { cache: "no-store" })));
};

const keepFiles = async () => (await caches.open(CACHE)).addAll(SHELL.files);

const dropOld = async () => {
  for (const name of await caches.keys()) if (name !== CACHE && name !== DESK) await caches.delete(name);
  await clients.claim();
  for (const { url } of await (await caches.open(DESK)).keys()) await fetchDesk(new URL(url).pathname).catch(() => {});
};

/* Only one desk is kept, the one in use; none, when its page leads elsewhere, to the log-in, or is refused. */
const keepDesk = async (path, answer) => {
  if (answer.status >= 500) return;
  await caches.delete(DESK);
  if (answer.ok && !answer.redirected) await (await caches.open(DESK)).put(path, answer);
};

const fetchDesk = async (path) => keepDesk(path, await fetch(path, { cache: "no-store" }));

const keptDesk = async () => {
  if (!(await caches.has(DESK))) return undefined;
  const cache = await caches.open(DESK);
  const [known] = await cache.keys();
  return known && cache.match(known, { ignoreVary: true });
};

const kept = async (path) => (await (await caches.open(CACHE)).match(path)) ?? Response.error();

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(Promise.all([keepPages(), keepFiles()]));
});

self.addEventListener("activate", (event) => event.waitUntil(dropOld()));

/* --- what is asked for ------------------------------------------------------------------------------------- */

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.mode !== "navigate") {
    if (SHELL.files.includes(pathname)) event.respondWith(file(request, pathname));
  } else if (request.method === "GET" && (DESK_PAGE.test(pathname) || pathname === "/console/desk")) {
    event.respondWith(desk(event, pathname));
  } else if (request.method === "GET") {
    const answered = page(request, pathname);
    event.respondWith(answered);
    if (/^\/(language|view)\//.test(pathname)) event.waitUntil(answered.then(keepPages).catch(() => {})); // look different now
  } else if (CODE.test(pathname) || DESK_PAGE.test(pathname)) {
    event.respondWith(confirmed(event, pathname));
  } else {
    if (SESSION.test(pathname)) event.waitUntil(caches.delete(DESK));
    event.respondWith(fetch(request).catch(() => Response.redirect(`${SHELL.pages[0]}?unsent`, 303)));
  }
});

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const file = async (request, path) => {
  const found = await kept(path);
  return found.ok ? found : fetch(request);
};

const page = async (request, path) => {
  try {
    return await fetch(request);
  } catch {
    return kept(SHELL.pages.includes(path) ? path : SHELL.pages[0]);
  }
};

const late = (ms) => delay(ms).then(() => { throw new Error("no answer"); });

/* A helper's desk as the server gives it; the kept one where the server cannot. */
const desk = async (event, path) => {
  const { request } = event;
  try {
    const known = await keptDesk();
    const answer = await (known ? Promise.race([fetch(request), late(DESK_PATIENCE)]) : fetch(request));
    if (answer.status >= 500 && known) return known;
    if (DESK_PAGE.test(path)) event.waitUntil(keepDesk(path, answer.clone()));
    return answer;
  } catch {
    return (await keptDesk()) ?? kept(SHELL.pages[0]);
  }
};

const confirmed = async (event, path) => {
  const { request } = event;
  const copy = request.clone();
  try {
    const answer = await Promise.race([fetch(request), late(PATIENCE)]);
    if (answer.type === "opaqueredirect") event.waitUntil(typed(copy).then(mended).catch(() => {}));
    if (answer.status < 500) return answer;
  } catch { /* no network */ }
  const { key, label, resident, staff, occurred_at, live, csrf_token: _, position: _dropped, ...fields } = await typed(copy);
  if (live) return Response.redirect(`${SHELL.pages[0]}?live`, 303); // only the screen proves the time
  for (const name of Object.keys(fields)) if (!fields[name]) delete fields[name];
  if (!key || !(resident || staff)) return Response.redirect(`${SHELL.pages[0]}?unsent`, 303);
  await queue.keep({ key, path, label, ...(staff ? { staff } : { resident }), fields, occurred_at });
  self.registration.sync?.register("queue").catch(() => {}); // where there is none, pages nudge
  await announce();
  return Response.redirect(staff ? `${path}?kept` : SHELL.pages[1], 303);
};

const typed = async (request) => Object.fromEntries(new URLSearchParams(await request.text()));

/* A confirmation led elsewhere: to what it recorded, so that nothing is left to mend, or to the log-in. */
const mended = async ({ key }) => {
  const entry = key && (await queue.get(key));
  if (!entry || held(entry, await state())) return;
  await queue.remove(key);
  await announce();
};

/* --- what waits -------------------------------------------------------------------------------------------- */

self.addEventListener("sync", (event) => event.waitUntil(send()));
self.addEventListener("message", (event) => {
  const done = event.data === "probe" ? probe(event.source)
    : event.data === "keep desk" ? fetchDesk(new URL(event.source.url).pathname) : send();
  event.waitUntil(done.catch(() => {})); // no network yet
  event.waitUntil(clients.claim()); // a page that was on its way while the worker came is looked after, too
});

const probe = async (page) => {
  const { ok } = await fetch("/healthz", { cache: "no-store" });
  if (ok) page.postMessage("reachable");
};

let sending = null;
const send = () => (sending ??= sendAll().finally(() => { sending = null; }));

const announce = async () => {
  for (const client of await clients.matchAll({ includeUncontrolled: true })) client.postMessage("queue");
};

/* Why an entry cannot be sent with the sessions that the server sees; empty if it can. */
const held = (entry, server) => {
  const [own, here] = entry.staff ? [entry.staff, server.staff] : [entry.resident, server.resident];
  return !here ? "login" : here !== own ? "other" : "";
};

const sendAll = async () => {
  try {
    const entries = await queue.all();
    for (const old of entries.filter((entry) => entry.at < Date.now() - KEPT_FOR)) await queue.remove(old.key);
    const waiting = entries.filter((entry) => entry.state === "waiting").reverse();
    if (!waiting.length) return;
    const server = await state();
    for (const entry of waiting) {
      const reason = held(entry, server);
      if (reason) await queue.put({ ...entry, held: reason });
      else await sendOne(entry, server);
    }
  } finally {
    await announce();
  }
};

/* The answer, unless only time can mend it. */
const told = async (asked) => {
  const answer = await asked;
  if (answer.status >= 500 || answer.status === 429 || answer.status === 401) throw new Error(`answered ${answer.status}`);
  return answer;
};

const state = async () => (await told(fetch("/offline/state"))).json();

const sendOne = async (waiting, server) => {
  const moment = Date.parse(server.now) - Math.max(0, Date.now() - waiting.at); // the phone's clock may be wrong
  const entry = { ...waiting, held: "", occurred_at: waiting.occurred_at ?? new Date(moment).toISOString() };
  const { key, path, occurred_at } = entry;
  const who = entry.staff ? { staff: entry.staff } : { resident: entry.resident };
  await queue.put(entry); // the same time at each try, so that the server knows the request again
  const body = new URLSearchParams({ ...entry.fields, ...who, key, occurred_at, csrf_token: server.csrf });
  const answer = await told(fetch(path, { method: "POST", headers: { Accept: "application/json" }, body }));
  if (answer.ok) {
    await queue.put({ ...entry, state: "sent", fields: {}, address: new URL(answer.url).pathname });
    return;
  }
  const problem = await answer.json();
  if (["other_resident", "form_expired"].includes(problem.code)) throw new Error(problem.code);
  const mendable = MENDABLE.test(problem.code) && !entry.staff; // whoever stood at the desk has gone
  const address = `${path}?${new URLSearchParams({ ...entry.fields, key, occurred_at })}`;
  const after = mendable ? { state: "mend", address } : { state: "refused", fields: {} };
  await queue.put({ ...entry, ...after, reason: problem.title, next: problem.next_step ?? "" });
};
