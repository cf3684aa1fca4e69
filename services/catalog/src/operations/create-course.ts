import { can } from '@coursewright/course-model/access';
import { applyTextRules } from '@coursewright/course-model/text-rules';
import { isService, personOf } from '@coursewright/platform/actor';
import { AppError } from '@coursewright/platform/errors';
import { rememberCommand, takeCommand } from '@coursewright/platform/requests';
import type { Course } from '../domain/course.js';
import { invalidRequest, forbidden } from '../domain/errors.js';
import { courseCreated } from '../domain/events.js';
import { forgetPerson } from './list-cache.js';
import { definiteRefusals, type Caller, type Deps, type Intent } from './ports.js';
import { projectRegistry } from './project-course.js';

/** A course with its first commit, as CreateCourse answers and as its command remembers it. */
export type CreatedCourse = Course & { readonly commit: string };

type CreateDeps = Pick<
  Deps,
  'database' | 'outbox' | 'registry' | 'projection' | 'intents' | 'repositories' | 'cache' | 'logger' | 'now' | 'newId'
>;

// Longer than a try may take, so that nobody takes an intent over while it is worked on.
const leaseMs = 6_000;
const tryMs = 4_000;
const mostFieldBytes = 256 * 1024;
const triesBeforeFailing = 30;

/**
 * Makes a course: an intent, the repository in versioning, the registry row with its event and its command.
 * A repeat of the command goes on where the first stopped, or answers with its result.
 * Throws permission_denied FORBIDDEN, invalid_argument INVALID_REQUEST, conflict IN_PROGRESS, unprocessable
 * IDEMPOTENCY_KEY_REUSED, what versioning refuses the fields with, and unavailable while versioning is away: then the
 * intent stays and is finished later.
 */
export async function createCourse(
  deps: CreateDeps,
  caller: Caller,
  fields: Readonly<Record<string, unknown>>,
): Promise<CreatedCourse | RememberedCourse> {
  const { actor } = caller;
  if (!isService(actor) && !can(actor.roles, 'course.create')) throw forbidden();
  checkFields(fields);
  const begun = await deps.database.tx(async (sql) => {
    const command = await takeCommand(sql, actor, caller.command);
    if (command.state === 'done') return { remembered: command.result as unknown as RememberedCourse };
    const open = caller.command && (await deps.intents.findOpen(sql, actor.sub, caller.command.id));
    if (open !== undefined) {
      if (open.command?.fingerprint !== caller.command?.fingerprint)
        throw new AppError('unprocessable', 'IDEMPOTENCY_KEY_REUSED');
      return { intent: open };
    }
    // Another try may have ended between the two questions: its result is there since its intent is no longer open.
    const again = await takeCommand(sql, actor, caller.command);
    if (again.state === 'done') return { remembered: again.result as unknown as RememberedCourse };
    const intent = newIntent(deps, caller, fields);
    await deps.intents.insert(sql, intent, leaseMs);
    return { intent };
  });
  return begun.intent === undefined ? begun.remembered : finishIntent(deps, begun.intent);
}

/** A created course as its command kept it: times are RFC 3339. */
export type RememberedCourse = Readonly<Record<string, unknown>> & { readonly courseId: string };

function newIntent(deps: CreateDeps, caller: Caller, fields: Readonly<Record<string, unknown>>): Intent {
  const { sub, name } = personOf(caller.actor);
  return {
    id: deps.newId(),
    actor: caller.actor.sub,
    person: name === undefined ? { sub } : { sub, name },
    ...(caller.command ? { command: caller.command } : {}),
    fields,
    attempts: 1,
    createdAt: deps.now(),
  };
}

/** What the fields mean is versioning's to judge; only what could not even be kept until then is refused here. */
function checkFields(fields: Readonly<Record<string, unknown>>): void {
  const { problems } = applyTextRules(fields);
  if (problems.length > 0)
    throw invalidRequest(problems.map((problem) => ({ ...problem, pointer: `/fields${problem.pointer}` })));
  if (Buffer.byteLength(JSON.stringify(fields)) > mostFieldBytes) {
    throw invalidRequest([{ pointer: '/fields', code: 'too_large', message: `at most ${mostFieldBytes} bytes` }]);
  }
}

/**
 * Brings an intent to its end; any number of tries end in the same course.
 * A definite refusal closes it; anything else leaves it open for a later try, and is thrown.
 */
export async function finishIntent(deps: CreateDeps, intent: Intent): Promise<CreatedCourse> {
  let commit: string;
  try {
    commit = await deps.repositories.create(intent, { deadlineMs: tryMs });
  } catch (error) {
    await giveBack(deps, intent, error);
    throw error;
  }
  const course: Course = {
    courseId: intent.id,
    owner: intent.person.sub,
    createdBy: intent.person.sub,
    createdAt: intent.createdAt,
    archivedAt: undefined,
    deletedAt: undefined,
    revision: 1,
  };
  await deps.database.tx(async (sql) => {
    // Somebody else may have finished it meanwhile: then everything below has been done.
    if ((await deps.intents.lockOpen(sql, intent.id)) === undefined) return;
    await deps.projection.lock(sql, [intent.id]);
    const actor = { sub: intent.actor, roles: [], grants: [] };
    if (await deps.registry.insert(sql, course)) {
      await projectRegistry(deps, sql, intent.id);
      forgetPerson(deps.cache, sql, course.owner);
      await rememberCommand(sql, actor, intent.command, { ...course, commit });
      await deps.intents.close(sql, intent.id, 'done', '');
      await deps.outbox.enqueue(sql, [courseCreated(course)]);
    } else await deps.intents.close(sql, intent.id, 'done', '');
  });
  return { ...course, commit };
}

async function giveBack(deps: CreateDeps, intent: Intent, error: unknown): Promise<void> {
  const reason = error instanceof AppError ? error.reason : 'INTERNAL';
  if (error instanceof AppError && definiteRefusals.includes(error.kind)) {
    await deps.intents.close(deps.database, intent.id, 'refused', reason);
  } else if (intent.attempts >= triesBeforeFailing) {
    deps.logger.error({ err: error, attempts: intent.attempts }, 'a course could not be made; its intent is closed');
    await deps.intents.close(deps.database, intent.id, 'failed', reason);
  } else {
    await deps.intents.lease(deps.database, intent.id, Math.min(500 * 2 ** Math.min(intent.attempts, 7), 60_000));
  }
}
