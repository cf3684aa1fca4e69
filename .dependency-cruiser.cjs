// The dependency rules of the repository. They say what may know what; do not bend one to mend a build.
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'services-are-strangers',
      comment: 'A service knows another one by its protobuf contract and its events only.',
      severity: 'error',
      from: { path: '^services/([^/]+)/' },
      to: { path: '^services/([^/]+)/', pathNot: '^services/$1/' },
    },
    {
      name: 'domain-is-pure',
      comment:
        'Domain code imports its own files, the pure shared library, platform/errors, ids, event and own, node:crypto, and parsers and printers that are pure.',
      severity: 'error',
      from: { path: '^services/([^/]+)/src/domain/' },
      to: {
        pathNot: [
          '^services/$1/src/domain/',
          '^course-model/src/',
          '^platform/src/(errors|event|ids|own)\\.ts$',
          '^(node:)?crypto$',
          'node_modules/(htmlparser2|domhandler|dom-serializer|markdown-it|sanitize-html)/',
        ],
      },
    },
    {
      name: 'course-model-is-pure',
      severity: 'error',
      from: { path: '^course-model/src/' },
      to: {
        pathNot: ['^course-model/src/', '^platform/src/(errors|ids)\\.ts$', '^(node:)?crypto$', 'node_modules/zod/'],
      },
    },
    {
      name: 'operations-know-no-driver',
      severity: 'error',
      from: { path: '^services/([^/]+)/src/operations/' },
      to: {
        path: [
          '^services/$1/src/(store|rpc|consumers)/',
          'node_modules/(pg|mongodb|ioredis|@grpc|@prisma|@nats-io)/',
          '^proto/gen/',
        ],
      },
    },
    {
      name: 'adapters-do-not-know-each-other',
      severity: 'error',
      from: { path: '^services/([^/]+)/src/(store|rpc|consumers)/' },
      to: { path: '^services/$1/src/(store|rpc|consumers)/', pathNot: '^services/$1/src/$2/' },
    },
    {
      name: 'drivers-live-in-stores',
      severity: 'error',
      from: {
        path: '^(services|gateway)/',
        pathNot: ['/src/store/', '/src/service\\.ts$', '/test/', '/src/generated/', 'prisma\\.config\\.ts$'],
      },
      to: { path: 'node_modules/(pg|mongodb|ioredis|@prisma)/' },
    },
    {
      name: 'platform-has-no-domain',
      severity: 'error',
      from: { path: '^platform/src/' },
      to: {
        path: [
          '^course-model/',
          '^services/',
          '^gateway/',
          '^proto/gen/coursewright/(catalog|content|review|versioning|deployment)/',
        ],
      },
    },
    {
      name: 'gateway-speaks-contracts',
      severity: 'error',
      from: { path: '^gateway/' },
      to: { path: '^services/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|\\.data/|/src/generated/)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.eslint.json' },
    enhancedResolveOptions: { conditionNames: ['source', 'import', 'node', 'default'], exportsFields: ['exports'] },
  },
};
