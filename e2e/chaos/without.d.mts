type Edits = readonly (readonly [safety: RegExp, instead: string])[];

/** For each safety the files that have it, and what their text is replaced by. */
export const safeties: Readonly<Record<'lease' | 'sequence' | 'fencing', Readonly<Record<string, Edits>>>>;

/** The text without the safety. Throws when it does not have it. */
export function takeOut(text: string, edits: Edits): string;
