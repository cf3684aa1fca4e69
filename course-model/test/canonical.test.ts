import { describe, expect, it } from '@jest/globals';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import {
  canonicalForm,
  canonicalJson,
  CanonicalFormError,
  hashCanonical,
  hashObject,
  isWellFormed,
} from '../src/canonical.js';
import { ACTIONS, can, ROLES } from '../src/access.js';

const json = fc.jsonValue({ maxDepth: 5 }).filter((value) => !JSON.stringify(value).includes('"__proto__"'));
const oracle: (value: unknown) => string | undefined = canonicalize;

/** Whether a generated value breaks one of our stricter rules, by another way than the code under test. */
function refusable(value: unknown): boolean {
  const text = JSON.stringify(value);
  if (/\\ud[89a-f]/i.test(text)) return true;
  let refused = false;
  JSON.parse(text, (_key, part: unknown) => {
    if (typeof part === 'number' && Number.isInteger(part) && Math.abs(part) > Number.MAX_SAFE_INTEGER) refused = true;
    return part;
  });
  return refused;
}

describe('canonical JSON', () => {
  it('agrees with the reference implementation on generated values', () => {
    fc.assert(
      fc.property(json, (value) => {
        if (refusable(value)) return;
        expect(canonicalJson(value)).toBe(oracle(value));
      }),
      { numRuns: 1000 },
    );
  });

  it('does not depend on the order in which keys were added', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.integer()), (record) => {
        const turned = Object.fromEntries(Object.entries(record).reverse());
        fc.pre(!Object.keys(record).includes('__proto__'));
        expect(canonicalJson(turned)).toBe(canonicalJson(record));
      }),
    );
  });

  it('writes the examples of RFC 8785', () => {
    expect(
      canonicalJson({
        numbers: [Number('333333333.33333329'), 4.5, 2e-3, 0.000000000000000000000000001],
        string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
        literals: [null, true, false],
      }),
    ).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
    expect(canonicalJson({ '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1F600}': 5, '\u0080': 6, '\u00f6': 7 })).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1F600}":5,"\ufb33":3}',
    );
    expect(canonicalJson(-0)).toBe('0');
  });

  it.each([
    ['not_finite', '/a/0', { a: [Number.NaN] }],
    ['not_finite', '', Number.POSITIVE_INFINITY],
    ['unsafe_integer', '/n', { n: 2 ** 53 }],
    ['lone_surrogate', '/s', { s: '\ud800' }],
    ['lone_surrogate', '/\udc00', { '\udc00': 1 }],
    ['not_json', '/x', { x: undefined }],
    ['not_json', '', new Date(0)],
    ['not_json', '/b~1c~0', { 'b/c~': 1n }],
    ['not_json', '', () => 1],
    ['not_json', '', new Map()],
    ['forbidden_key', '/__proto__', JSON.parse('{"__proto__": 1}')],
    ['sparse_array', '/1', Object.assign([1, 2, 3].slice(0, 1), { 2: 3 })],
  ])('refuses %s at "%s"', (code, pointer, value) => {
    let caught: unknown;
    try {
      canonicalJson(value);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(CanonicalFormError);
    expect(caught).toMatchObject({ code, pointer });
  });

  it('counts the values and keys that it writes', () => {
    expect(canonicalForm({ a: [1, { b: null }], c: 'x' })).toEqual({ json: '{"a":[1,{"b":null}],"c":"x"}', values: 9 });
  });

  it('refuses nesting that would exhaust the stack', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(() => canonicalJson(deep)).toThrow(CanonicalFormError);
  });

  it('hashes with the kind and version in front, so kinds never meet', () => {
    expect(hashObject('thing', 1, { b: 1, a: 2 }).toString('hex')).toBe(
      hashCanonical('thing', 1, '{"a":2,"b":1}').toString('hex'),
    );
    expect(hashObject('thing', 1, {})).toHaveLength(32);
    // printf 'cm:thing:1\n{}' | sha256sum
    expect(hashObject('thing', 1, {}).toString('hex')).toBe(
      'ba53e7743ea47ac4ce2f1468e1537a33e6f1c619cd64f51f5d0bcad20e481631',
    );
    expect(hashObject('node', 1, {})).not.toEqual(hashObject('thing', 1, {}));
    expect(hashObject('thing', 2, {})).not.toEqual(hashObject('thing', 1, {}));
  });

  it('knows well-formed strings as the platform does', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0xd7f0, max: 0xe010 }), (text, unit) => {
        const mixed = text + String.fromCharCode(unit) + text;
        expect(isWellFormed(mixed)).toBe((mixed as unknown as { isWellFormed(): boolean }).isWellFormed());
      }),
    );
  });
});

describe('access table', () => {
  it('lets a learner do nothing but read what is published', () => {
    expect(ACTIONS.filter((action) => can(['learner'], action))).toEqual(['course.read-published']);
  });

  it('answers row by row as decided', () => {
    const allowed = (action: (typeof ACTIONS)[number]) => ROLES.filter((role) => can([role], action));
    expect(allowed('course.read-draft')).toEqual(['author', 'reviewer', 'publisher', 'deployer', 'admin']);
    expect(allowed('course.write')).toEqual(['author', 'admin']);
    expect(allowed('course.manage')).toEqual(['admin']);
    expect(allowed('body.read-raw')).toEqual(['author', 'reviewer', 'publisher', 'deployer', 'admin']);
    expect(allowed('body.read-grader')).toEqual(['author', 'reviewer', 'deployer', 'admin']);
  });

  it('gives nothing for no role or an unknown one', () => {
    expect(ACTIONS.filter((action) => can([], action) || can(['root', 'constructor'], action))).toEqual([]);
  });
});
