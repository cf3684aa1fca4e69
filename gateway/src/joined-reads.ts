/** Reads of one thing that come at the same time, as one. */
export interface JoinedReads<T> {
  /**
   * What `load` gives, shared by all who ask for the key meanwhile. Linearizable: who comes while a load is under way does not
   * take its answer, which may be from before he came, but shares the next one, which begins after it.
   */
  of(key: string, load: () => Promise<T>): Promise<T>;
}

interface Under<T> {
  readonly running: Promise<T>;
  next?: Promise<T>;
}

export function createJoinedReads<T>(): JoinedReads<T> {
  const under = new Map<string, Under<T>>();
  const start = (key: string, load: () => Promise<T>): Promise<T> => {
    const running = load();
    const entry: Under<T> = { running };
    under.set(key, entry);
    const settle = (): void => {
      if (under.get(key) === entry && entry.next === undefined) under.delete(key);
    };
    running.then(settle, settle);
    return running;
  };
  return {
    of(key, load) {
      const now = under.get(key);
      if (now === undefined) return start(key, load);
      now.next ??= now.running.then(
        () => start(key, load),
        () => start(key, load),
      );
      return now.next;
    },
  };
}
