import { firstPoints } from '@coursewright/course-model/text-length';

/** The beginning of a text, marked where it goes on: for lines that people read, never for what is stored. */
export function shortText(text: string, length: number): string {
  const cut = firstPoints(text, length);
  return cut.length < text.length ? `${cut}…` : cut;
}
