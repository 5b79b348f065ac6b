import { byId } from './dom';

/** Keeps the page in this browser, so that it works without a network, and says so when it does. */
export async function workOffline(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  await navigator.serviceWorker.register('./service-worker.js');
  await navigator.serviceWorker.ready;
  byId('offline').hidden = false;
}
