/**
 * What OLX attributes hold. They are JSON, each of a type that its field has (Open edX, `XmlMixin.deserialize_field`): a quoted text
 * is the text between the quotes, `null` is as if the attribute were not there, and what is no JSON, or not of the field's type, is the
 * text itself. The same holds for values of policy.json.
 */

/** What an attribute says of a yes-or-no question. */
export type Answer = 'yes' | 'no' | 'unclear';

/** The JSON of an attribute, or the text itself, without the blanks around it. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.trim();
  }
}

/** The text of an attribute whose field is a text; undefined when it says nothing. */
export function textValue(attribute: string | undefined): string | undefined {
  if (attribute === undefined) return undefined;
  const read = jsonOf(attribute);
  // JSON can say half of a surrogate pair, and NUL: such a text is what was written.
  const isText = typeof read === 'string' && read.isWellFormed() && !read.includes('\0');
  const text = (isText ? read : read === null ? '' : attribute).trim();
  return text === '' ? undefined : text;
}

const YES = new Set(['true', 'yes', 'on', '1']);
const NO = new Set(['', 'false', 'no', 'off', '0', 'none', 'null']);

/** What an attribute answers, in any of the forms that JSON, Python and people write it; absent is no. */
export function answerOf(attribute: string | undefined): Answer {
  let read = jsonOf(attribute ?? '');
  // Quoted twice: a policy's text that is JSON itself.
  if (typeof read === 'string') read = jsonOf(read);
  const word = (typeof read === 'object' && read !== null ? '?' : String(read)).trim().toLowerCase();
  if (YES.has(word)) return 'yes';
  if (NO.has(word)) return 'no';
  return typeof read === 'number' ? 'yes' : 'unclear';
}

/** Whether an attribute says yes. */
export function isTrue(attribute: string | undefined): boolean {
  return answerOf(attribute) === 'yes';
}

/** The number of an attribute, quoted or not; undefined when it is none. */
export function numberValue(attribute: string | undefined): number | undefined {
  const text = textValue(attribute);
  const value = text === undefined ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

/** A point in time as it was written; one given in milliseconds since 1970 as RFC 3339. Undefined when it says nothing. */
export function timeValue(attribute: string | undefined): string | undefined {
  const text = textValue(attribute);
  if (text === undefined || !/^\d{10,14}$/.test(text)) return text;
  const at = new Date(Number(text));
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

/** A list of texts: a JSON list, or parts between commas. Undefined when it says nothing. */
export function listValue(attribute: string | undefined): string[] | undefined {
  const read = jsonOf(attribute ?? '');
  if (read === null || read === '') return undefined;
  const parts: unknown[] = Array.isArray(read) ? read : String(typeof read === 'string' ? read : attribute).split(',');
  return parts
    .filter((part) => typeof part === 'string' || typeof part === 'number' || typeof part === 'boolean')
    .map((part) => String(part).trim())
    .filter((part) => part !== '');
}

type Scalar = string | number | boolean;

/**
 * The value of an attribute whose field has no type here: a text, a number, a boolean or a list of them; undefined for `null` and for
 * nothing. An object stays the text that it was written as.
 */
export function freeValue(attribute: string): Scalar | Scalar[] | undefined {
  if (/^\s*(true|false)\s*$/i.test(attribute)) return isTrue(attribute);
  const read = jsonOf(attribute);
  if (read === null || read === '') return undefined;
  if (Array.isArray(read) && read.every(isScalar)) return read;
  return isScalar(read) ? read : attribute.trim();
}

/** Numbers that JavaScript would change are texts. */
function isScalar(value: unknown): value is Scalar {
  return (
    typeof value === 'string' ||
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value)))
  );
}
