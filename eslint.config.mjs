import js from '@eslint/js';
import tseslint from 'typescript-eslint';
import { ownKeys } from './scripts/lint/own-keys.mjs';

const sources = ['**/*.ts'];

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', 'proto/gen/**', '**/src/generated/**', '.data/**', 'coverage/**'] },
  js.configs.recommended,
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: Object.fromEntries(
        [
          'process',
          'console',
          'URL',
          'fetch',
          'setTimeout',
          'clearTimeout',
          'setInterval',
          'clearInterval',
          'Buffer',
          'performance',
          'AbortSignal',
          'AbortController',
          'crypto',
          'structuredClone',
          'globalThis',
          'TextDecoder',
          'TextEncoder',
          'setImmediate',
          'Response',
        ].map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: sources,
    extends: [...tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: ['./tsconfig.eslint.json'], tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      'no-control-regex': 'off',
      'max-lines': ['error', { max: 300, skipBlankLines: false, skipComments: false }],
      'max-lines-per-function': ['error', { max: 80, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 4],
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true, named: true, defaultFrom: true } }],
    },
  },
  {
    // Names come from outside everywhere but in tests.
    files: ['*/src/**/*.ts', 'services/*/src/**/*.ts'],
    ignores: ['bench/**', 'e2e/**', 'platform/src/testing/**'],
    plugins: { coursewright: { rules: { 'own-keys': ownKeys } } },
    rules: { 'coursewright/own-keys': 'error' },
  },
  {
    // Domain code is pure: no clock, no randomness, no environment.
    files: ['services/*/src/domain/**/*.ts', 'course-model/src/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'domain code is pure: pass the time in' },
        { object: 'Math', property: 'random', message: 'domain code is pure: pass ids in' },
      ],
      'no-restricted-globals': ['error', 'process', 'fetch', 'setTimeout', 'setInterval'],
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'domain code is pure: pass the time in',
        },
      ],
    },
  },
  {
    files: ['**/test/**/*.ts', '**/prisma.config.ts', 'bench/**/*.ts', 'e2e/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 500 }],
      'max-lines-per-function': 'off',
      'no-restricted-exports': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
    },
  },
);
