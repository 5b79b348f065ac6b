/** A function that does some work; called while that goes on, it does it once more afterwards. */
export function latest(work: () => Promise<void>): () => Promise<void> {
  let isRunning = false;
  let again = false;
  return async () => {
    again = true;
    if (isRunning) return;
    isRunning = true;
    try {
      while (again) {
        again = false;
        await work();
      }
    } finally {
      isRunning = false;
    }
  };
}
