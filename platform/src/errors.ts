/**
 * The closed list of error kinds, with the HTTP status and gRPC code each becomes.
 * A kind says what the caller should do; the reason says what happened.
 */
export const errorKinds = {
  invalid_argument: { status: 400, grpc: 3, title: 'The request is not valid' },
  unauthenticated: { status: 401, grpc: 16, title: 'Sign in first' },
  permission_denied: { status: 403, grpc: 7, title: 'Not allowed' },
  not_found: { status: 404, grpc: 5, title: 'Not found' },
  already_exists: { status: 409, grpc: 6, title: 'It exists already' },
  conflict: { status: 409, grpc: 10, title: 'The state does not allow it' },
  gone: { status: 410, grpc: 5, title: 'No longer there' },
  stale: { status: 412, grpc: 9, title: 'It has changed since it was read' },
  too_large: { status: 413, grpc: 3, title: 'Too large' },
  unsupported_media_type: { status: 415, grpc: 3, title: 'Media type not supported' },
  unprocessable: { status: 422, grpc: 9, title: 'The request cannot be carried out' },
  precondition_required: { status: 428, grpc: 9, title: 'A precondition is required' },
  resource_exhausted: { status: 429, grpc: 8, title: 'Too many requests' },
  internal: { status: 500, grpc: 13, title: 'Something broke' },
  unimplemented: { status: 501, grpc: 12, title: 'Not offered here' },
  insufficient_storage: { status: 507, grpc: 8, title: 'There is no room for it' },
  unavailable: { status: 503, grpc: 14, title: 'Not available at the moment' },
  deadline_exceeded: { status: 503, grpc: 4, title: 'It took too long' },
} as const;

export type ErrorKind = keyof typeof errorKinds;

/** One field of a request that is wrong. */
export interface FieldProblem {
  /** JSON pointer (RFC 6901) into the request. */
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
}

/** Facts of one case, as JSON. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface AppErrorOptions {
  readonly message?: string;
  readonly fields?: readonly FieldProblem[];
  /** Kept for the log; never leaves the process. */
  readonly cause?: unknown;
}

/**
 * A broken promise, with a kind of the closed list and a stable UPPER_SNAKE reason.
 * Crosses gRPC and HTTP as it is; everything else that is thrown leaves as `internal` without its text.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly fields: readonly FieldProblem[];

  constructor(
    readonly kind: ErrorKind,
    readonly reason: string,
    readonly details: ErrorDetails = {},
    options: AppErrorOptions = {},
  ) {
    super(options.message ?? reason, options.cause === undefined ? undefined : { cause: options.cause });
    this.fields = options.fields ?? [];
  }
}

/** Tells whether a word is one of the closed list of kinds. */
export function isErrorKind(word: string): word is ErrorKind {
  return Object.hasOwn(errorKinds, word);
}

/** The one door for foreign errors: an AppError as it is, anything else as `internal` with the cause kept for the log. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError(
    'internal',
    'INTERNAL',
    {},
    { cause: error, message: 'An unexpected error; the log has it by its request id' },
  );
}

/** True for errors that another attempt may not meet: the caller's data is not to blame. */
export function isTransient(error: unknown): boolean {
  return error instanceof AppError && transient.has(error.kind);
}

const transient: ReadonlySet<ErrorKind> = new Set(['unavailable', 'deadline_exceeded', 'insufficient_storage']);
