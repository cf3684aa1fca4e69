// Preloaded into the processes of a run that has to fail. Takes one safety out of the services' code while it is loaded, as if nobody had written
// it; the product itself has no such switch. A safety whose code is no longer as it is named here ends the process: then nothing was shown.
import { registerHooks } from 'node:module';

/** For each safety the files that have it, and what their text is replaced by. */
export const safeties = {
  /** Every replica has every lease, and keeps it whatever happens. */
  lease: {
    'platform/dist/leases.js': [
      [/const isOurs = [^;]+;/, 'const isOurs = true;'],
      [/const isFree = [^;]+;/, 'const isFree = true;'],
      [/const isHeld = [^;]+;/, 'const isHeld = () => true;'],
    ],
    'platform/dist/lease-statements.js': [
      [/WHERE l\.replica IS NULL[^`]+?RETURNING/, 'RETURNING'],
      [/WHERE EXISTS \(SELECT FROM replica WHERE id = \$1::uuid[^)]+\)\) ORDER BY n/, 'ORDER BY n'],
    ],
  },
  /** Whatever event comes takes effect, be it late, early or here already. */
  sequence: {
    'platform/dist/inbox-effects.js': [
      [/if \(event\.seq <= row\.seq\)\s+return 'duplicate';/, ''],
      [/return event\.seq === row\.seq \+ 1 \? 'applied' : 'gap';/, "return 'applied';"],
    ],
  },
  /** An attempt at an import goes on although another one has followed it. */
  fencing: {
    'services/content/dist/store/import-statements.js': [
      [/const ATTEMPT = `[^`]+`/, 'const ATTEMPT = `id = $1::uuid AND $2::bigint IS NOT NULL`'],
    ],
  },
};

/** The text without the safety. Throws when it does not have it. */
export function takeOut(text, edits) {
  return edits.reduce((left, [safety, instead]) => {
    if (!safety.test(left)) throw new Error(`there is nothing like ${safety}`);
    return left.replace(safety, instead);
  }, text);
}

const { CHAOS_WITHOUT: name } = process.env;
if (name !== undefined) {
  const files = Object.entries(safeties[name]);
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const edits = files.find(([path]) => url.endsWith(`/${path}`))?.[1];
      return edits === undefined ? loaded : { ...loaded, source: takeOut(String(loaded.source), edits) };
    },
  });
}
