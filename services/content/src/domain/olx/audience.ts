import { narrowed } from '@coursewright/course-model/audience';
import { AUDIENCES, type Audience } from '@coursewright/course-model/lesson';
import { cutText } from '../text.js';

/** Whom an element says that it is for; `why`, when it is not every learner. */
export interface OwnAudience {
  audience: Audience;
  why?: string;
}

type Attributes = Readonly<Record<string, string>>;
type Answer = 'yes' | 'no' | 'unclear';

const OUR_OWN = 'coursewright_audience';

/**
 * Whom an element is for by what it says itself. Hidden from learners, or shown to some groups only, makes it the authors': groups
 * have no counterpart. So does what cannot be understood, since showing too much cannot be taken back.
 */
export function ownAudience(attributes: Attributes): OwnAudience {
  const named = namedAudience(attributes[OUR_OWN]);
  const hidden = hiddenFromLearners(attributes);
  const audience = narrowed(named.audience, hidden.audience);
  const why = [named.why, hidden.why].filter((text) => text !== undefined).join('; ');
  return why === '' ? { audience } : { audience, why };
}

/** Whether an attribute says yes, in any of the forms that JSON, Python and people write it. */
export function isTrue(value: string | undefined): boolean {
  return answerOf(value) === 'yes';
}

function namedAudience(value: string | undefined): OwnAudience {
  const named = value?.trim() ?? '';
  if (named === '') return { audience: 'learner' };
  const known = AUDIENCES.find((audience) => audience === named);
  return known === undefined ? unclear(OUR_OWN, named) : { audience: known };
}

function hiddenFromLearners(attributes: Attributes): OwnAudience {
  const staff = attributes['visible_to_staff_only'];
  const groups = attributes['group_access'];
  const answers = [answerOf(staff), isForGroups(groups)] as const;
  if (answers[0] === 'yes') return { audience: 'author', why: 'is for staff only; kept for authors' };
  if (answers[1] === 'yes') return { audience: 'author', why: 'is for some groups of learners only; kept for authors' };
  if (answers[0] === 'unclear') return unclear('visible_to_staff_only', staff ?? '');
  if (answers[1] === 'unclear') return unclear('group_access', groups ?? '');
  return { audience: 'learner' };
}

function unclear(name: string, value: string): OwnAudience {
  return {
    audience: 'author',
    why: `does not say clearly whom it is for (${name}="${cutText(value, 100)}"); kept for authors`,
  };
}

const YES = new Set(['true', 'yes', 'on', '1']);
const NO = new Set(['', 'false', 'no', 'off', '0', 'none', 'null']);

function answerOf(value: string | undefined): Answer {
  const read = jsonOf(value ?? '');
  const word = (typeof read === 'object' && read !== null ? '?' : String(read)).trim().toLowerCase();
  if (YES.has(word)) return 'yes';
  if (NO.has(word)) return 'no';
  return typeof read === 'number' ? 'yes' : 'unclear';
}

/** `{"<partition>": [<group>, …]}`; a partition without groups restricts nothing. */
function isForGroups(value: string | undefined): Answer {
  const read = jsonOf(value ?? '');
  if (read === null || read === '') return 'no';
  if (typeof read !== 'object') return 'unclear';
  const lists: unknown[] = Object.values(read);
  if (lists.some((list) => list !== null && !Array.isArray(list))) return 'unclear';
  return lists.some((list) => Array.isArray(list) && list.length > 0) ? 'yes' : 'no';
}

/** What an attribute holds: JSON, or the text itself. */
function jsonOf(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value.trim();
  }
}
