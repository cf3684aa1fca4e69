import { MAX_JSON_DEPTH } from '@coursewright/course-model/text-rules';
import { invalid } from './validate.js';

/** Most values (members and elements, at any depth) of a JSON body that the gateway reads itself. */
export const maxJsonValues = 3_000;

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Bounds depth and number of values of a JSON text before it is parsed: a small text can hold more values than may be walked
 * without holding up everybody else. Whether it is JSON at all the parser says.
 * Throws invalid_argument INVALID_REQUEST with too_deep or too_many_values.
 */
export function boundJson(bytes: Uint8Array): void {
  let depth = 0;
  let values = 0;
  let isText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (isText) {
      if (byte === backslash) at += 1;
      else if (byte === quote) isText = false;
      continue;
    }
    if (byte === quote) isText = true;
    else if (byte === openBracket || byte === openBrace) {
      depth += 1;
      values += 1;
      if (depth > MAX_JSON_DEPTH) refuse('too_deep', `is nested deeper than ${MAX_JSON_DEPTH} levels`);
    } else if (byte === closeBracket || byte === closeBrace) depth -= 1;
    else if (byte === comma) values += 1;
    if (values > maxJsonValues) refuse('too_many_values', `has more than ${maxJsonValues} values`);
  }
}

function refuse(code: string, message: string): never {
  throw invalid([{ pointer: '', code, message }]);
}
