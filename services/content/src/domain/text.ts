import { firstPoints } from '@coursewright/course-model/text-length';
import { isNormalizable } from '@coursewright/course-model/text-rules';

/** A name in NFC, so that it is found however it was typed; one with more combining marks in a row than any script has stays as it is. */
export function normalForm(name: string): string {
  return isNormalizable(name) ? name.normalize('NFC') : name;
}

/** The beginning of a text, marked where it goes on: for lines that people read, never for what is stored. */
export function shortText(text: string, length: number): string {
  const cut = firstPoints(text, length);
  return cut.length < text.length ? `${cut}…` : cut;
}
