// Says what a run of .ci/run came to, in its last line, and ends with 0 only if everything went well.
// Arguments: the report of scripts/test.mjs, the exit status of the checks, the exit status of the tests.
import { readJson } from './lib/files.mjs';

/** Counts `{passed, failed}`: a test file that could not run counts as one failure, and so do failed checks. */
export function count(report, checked, tested) {
  if (!report) return { passed: 0, failed: 1 + (checked === 0 ? 0 : 1) };
  const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = report;
  const failures = numFailedTests + numRuntimeErrorTestSuites;
  // Jest may fail without a failed test: when it finds none, or cannot end.
  const silent = tested !== 0 && failures === 0 ? 1 : 0;
  return { passed: numPassedTests, failed: failures + silent + (checked === 0 ? 0 : 1) };
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const [file, checked, tested] = process.argv.slice(2);
  const { passed, failed } = count(readJson(file), Number(checked), Number(tested));
  if (Number(checked) !== 0) console.log('\nnpm run check failed; it counts as one failure.');
  console.log(`\n${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}
