// npm run check            everything that is checked besides the tests, a line each
// npm run check -- <name>  one of them
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { generateClients } from './lib/build.mjs';
import { composeFile, dependencyRules, duplicates, format, lint, lockFile, types } from './lib/checks/code.mjs';
import { contracts, generatedCode, migrations } from './lib/checks/data.mjs';
import { fileSizes, textRules } from './lib/checks/text.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { ensurePackages } from './lib/packages.mjs';
import { CommandFailed } from './lib/run.mjs';
import { isRunning } from './lib/running.mjs';
import { Refusal, main, step } from './lib/steps.mjs';
import { removeOldRuns } from './lib/test-run.mjs';

/** The checks; the long ones first, so that the short ones fill the gaps. */
const checks = {
  lint,
  types,
  migrations,
  dependencies: dependencyRules,
  format,
  duplicates,
  contracts,
  'generated code': generatedCode,
  'file sizes': fileSizes,
  'lock file': lockFile,
  'text rules': textRules,
  'compose file': composeFile,
};

/** What a failed check has to say: the whole output of its tool. */
function explain(error) {
  if (error instanceof CommandFailed) return `${error.output.trim()}\n(exit ${error.code})`;
  return error instanceof Refusal ? error.message : error.stack;
}

async function worker(queue, failures) {
  for (let next = queue.shift(); next; next = queue.shift()) {
    const [name, check] = next;
    try {
      await step(name, check, { print: (line) => console.log(line) });
    } catch (error) {
      failures.push(`── ${name}\n${explain(error)}`);
    }
  }
}

await main(async () => {
  process.umask(0o022);
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !checks[name]);
  if (unknown) throw new Refusal(`there is no check ${unknown}; there are: ${Object.keys(checks).join(', ')}`);
  const data = dataFolder();
  await step('packages', () =>
    ensurePackages({ running: () => isRunning(data), lockFile: join(data, 'packages.lock') }),
  );
  await step('clients', generateClients);
  await removeOldRuns(data);
  const queue = Object.entries(checks).filter(([name]) => names.length === 0 || names.includes(name));
  const failures = [];
  const lanes = Math.min(4, Math.max(1, availableParallelism()));
  await Promise.all(Array.from({ length: lanes }, () => worker(queue, failures)));
  if (failures.length === 0) return 0;
  console.error(`\n${failures.join('\n\n')}\n\n${failures.length} of the checks failed.`);
  return 1;
});
