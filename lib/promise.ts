// The one thing about promises that the language leaves to be said.

/** Marks a promise that is awaited later, or never where another fails first: its failure must not end the process. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
