/* What waits on this phone: scans confirmed without network. For pages and the service worker alike.

   An entry has: key (idempotency key), path (of the form), fields (what the form said; of what was sent, nothing), label
   (for people), resident or staff (the mark of the resident or the helper who confirmed), at (this phone's time, ms), occurred_at (put right by the server's clock at the first sending),
   state (waiting, sent, mend, refused), held ("login" or "other" while it cannot be sent), address, reason, next. */

"use strict";

const queue = (() => {
  const DATABASE = "tanpuhui";

  const opened = () => new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("scans", { keyPath: "key" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });

  const run = async (mode, act) => {
    const database = await opened();
    try {
      const transaction = database.transaction("scans", mode);
      const asked = act(transaction.objectStore("scans"));
      return await new Promise((resolve, reject) => {
        transaction.oncomplete = () => resolve(asked.result);
        transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      database.close();
    }
  };

  return {
    /* Every entry, the latest first. */
    all: async () => (await run("readonly", (scans) => scans.getAll())).sort((one, other) => other.at - one.at),
    get: (key) => run("readonly", (scans) => scans.get(key)),

    /* What became of an entry; one that was removed meanwhile does not come back. */
    put: (entry) => run("readwrite", (scans) => {
      const known = scans.get(entry.key);
      known.onsuccess = () => { if (known.result) scans.put(entry); };
      return known;
    }),
    remove: (key) => run("readwrite", (scans) => scans.delete(key)),

    /* Remove what `resident` confirmed; what others confirmed goes on waiting for them. */
    forget: (resident) => run("readwrite", (scans) => {
      const all = scans.getAll();
      all.onsuccess = () => { for (const entry of all.result) if (entry.resident === resident) scans.delete(entry.key); };
      return all;
    }),

    /* A new entry; a second tap, or a second page with the same key, changes nothing. One that was mended counts for
       the moment it was first confirmed. */
    keep: (entry) => run("readwrite", (scans) => {
      const known = scans.get(entry.key);
      known.onsuccess = () => {
        const { state, at, occurred_at } = known.result ?? {};
        const moment = state === "mend" ? { at, occurred_at } : { at: Date.now() };
        if (!state || state === "mend" || state === "refused") scans.put({ ...entry, ...moment, state: "waiting", held: "" });
      };
      return known;
    }),
  };
})();
