/**
 * The value that an object itself has under a name from outside; undefined where it has none. A plain `object[name]` would also find what
 * every object inherits: toString, valueOf, constructor.
 */
export function own<T>(object: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined;
}
