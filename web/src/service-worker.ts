import { HEADERS } from './headers';

declare const self: ServiceWorkerGlobalScope;
// Both set by vite.config.ts.
declare const __FILES__: string[];
declare const __VERSION__: string;

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(__VERSION__).then((cache) => cache.addAll(__FILES__)));
});

self.addEventListener('activate', (event) => {
  const forget = async () => {
    const old = (await caches.keys()).filter((version) => version !== __VERSION__);
    await Promise.all(old.map((version) => caches.delete(version)));
  };
  event.waitUntil(forget());
});

self.addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

/** A file as it was kept, else from the host, with the headers that the host may not have set. */
async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(__VERSION__);
  const kept = await cache.match(request.mode === 'navigate' ? './' : request);
  const { body, status, statusText, headers } = kept ?? (await fetch(request));
  return new Response(body, { status, statusText, headers: { ...Object.fromEntries(headers), ...HEADERS } });
}
