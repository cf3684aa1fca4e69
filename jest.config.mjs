// One project per package. Sources are transpiled by swc and resolved through the "source" condition, so no build is needed.
const packages = [
  'platform',
  'course-model',
  'services/catalog',
  'services/content',
  'services/review',
  'services/versioning',
  'services/deployment',
  'gateway',
  'e2e',
  'scripts',
];

/** @type {import('jest').Config} */
export default {
  workerIdleMemoryLimit: '1GB',
  testTimeout: 30_000,
  projects: packages.map((dir) => ({
    displayName: dir.replace('services/', ''),
    rootDir: '.',
    roots: [`<rootDir>/${dir}`],
    testEnvironment: 'node',
    testMatch: [`<rootDir>/${dir}/test/**/*.test.ts`, `<rootDir>/${dir}/test/**/*.test.mjs`],
    setupFiles: ['<rootDir>/jest.setup.mjs'],
    extensionsToTreatAsEsm: ['.ts'],
    moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
    modulePathIgnorePatterns: ['/dist/', '/\\.data/'],
    testEnvironmentOptions: { customExportConditions: ['source', 'node', 'node-addons'] },
    transform: {
      '\\.ts$': [
        '@swc/jest',
        {
          module: { type: 'es6' },
          jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
          sourceMaps: 'inline',
        },
      ],
    },
  })),
};
