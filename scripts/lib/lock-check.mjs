// What can be wrong with package-lock.json without npm saying so when it writes it.

/** Where Node would find `name` from the package at `path` ('' is the root): the lock's key, or null. */
export function resolveIn(packages, path, name) {
  for (let at = path; ;) {
    const key = `${at ? `${at}/` : ''}node_modules/${name}`;
    if (packages[key]) return key;
    if (at === '') return null;
    const cut = at.lastIndexOf('/node_modules/');
    at = cut >= 0 ? at.slice(0, cut) : '';
  }
}

/**
 * The faults of a lock file: optional packages (of other platforms, mostly) that have no entry, so that `npm ci` fails;
 * and addresses of a registry, which bind everybody to it.
 */
export function lockFaults(lock) {
  const faults = [];
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (!resolveIn(lock.packages, path, name)) faults.push(`${path || 'the root'} wants ${name}, which has no entry`);
    }
    if (/^https?:/.test(entry.resolved ?? '')) faults.push(`${path} names an address: ${entry.resolved}`);
  }
  return faults;
}
