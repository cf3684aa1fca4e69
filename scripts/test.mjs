// npm test                        every test
// npm test -- platform            the tests of a package (several may be named)
// npm test -- --report=<file>     writes the counts of all runs to a file, too
// npm test -- -t 'is refused'     whatever else is said goes to Jest
// Starts data servers of its own and stops them whatever happens; a started system is not touched.
import { join } from 'node:path';
import { build, generateClients } from './lib/build.mjs';
import { dataFolder } from './lib/data-folder.mjs';
import { writeJson } from './lib/files.mjs';
import { parseArguments, runJest } from './lib/jest.mjs';
import { ensurePackages } from './lib/packages.mjs';
import { isRunning } from './lib/running.mjs';
import { main, step } from './lib/steps.mjs';
import { newRun, removeOldRuns, startTestServers } from './lib/test-run.mjs';

const WITHOUT_SERVERS = new Set(['course-model', 'scripts']);

await main(async () => {
  process.umask(0o022);
  const asked = parseArguments(process.argv.slice(2));
  const data = dataFolder();
  const running = () => isRunning(data);
  await step('packages', () => ensurePackages({ running, lockFile: join(data, 'packages.lock') }));
  await step('generate', generateClients);
  if (asked.selected.length === 0 || asked.selected.includes('e2e')) await step('build', build);
  await removeOldRuns(data);
  const run = newRun(data);
  const leave = async () => {
    await run.remove();
    process.exit(130);
  };
  process.once('SIGINT', leave).once('SIGTERM', leave).once('SIGHUP', leave);
  let servers;
  try {
    const bare = asked.selected.length > 0 && asked.selected.every((name) => WITHOUT_SERVERS.has(name));
    if (!bare) {
      await step('test servers', async () => {
        servers = await startTestServers({ folder: run.folder, data, env: process.env, note: console.log });
        return servers.chosen.join(', ');
      });
    }
    process.off('SIGINT', leave).off('SIGTERM', leave).off('SIGHUP', leave);
    const env = servers?.env ?? { TEST_DIR: run.folder };
    const { code, report } = await runJest(asked, { env, folder: run.folder, note: run.noteJest });
    if (report && asked.report) writeJson(asked.report, report);
    if (report)
      console.log(
        `\n${report.numPassedTests} of ${report.numTotalTests} tests passed, ${report.numFailedTests} failed, ${report.numPendingTests} skipped`,
      );
    return code;
  } finally {
    await servers?.close();
    await run.remove();
  }
});
