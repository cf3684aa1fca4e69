import { narrowed } from '@coursewright/course-model/audience';
import { AUDIENCES, type Audience } from '@coursewright/course-model/lesson';
import { shortText } from '../text.js';
import { answerOf, jsonOf, textValue, type Answer } from './values.js';

/** Whom an element says that it is for; `why`, when it is not every learner. */
export interface OwnAudience {
  audience: Audience;
  why?: string;
}

type Attributes = Readonly<Record<string, string>>;

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

function namedAudience(value: string | undefined): OwnAudience {
  const named = textValue(value);
  if (named === undefined) return { audience: 'learner' };
  const known = AUDIENCES.find((audience) => audience === named.toLowerCase());
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
    why: `does not say clearly whom it is for (${name}="${shortText(value, 100)}"); kept for authors`,
  };
}

/** `{"<partition>": [<group>, …]}`; a partition without groups restricts nothing. */
function isForGroups(value: string | undefined): Answer {
  let read = jsonOf(value ?? '');
  // A JSON text that holds JSON: a policy may quote what is an object in Open edX.
  if (typeof read === 'string') read = jsonOf(read);
  if (read === null || read === '' || (typeof read === 'string' && /^(none|null)$/i.test(read))) return 'no';
  if (typeof read !== 'object') return 'unclear';
  if (Array.isArray(read)) return read.length === 0 ? 'no' : 'unclear';
  const lists: unknown[] = Object.values(read);
  if (lists.some((list) => list !== null && !Array.isArray(list))) return 'unclear';
  return lists.some((list) => Array.isArray(list) && list.length > 0) ? 'yes' : 'no';
}
