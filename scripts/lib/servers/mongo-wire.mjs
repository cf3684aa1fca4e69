// As much of MongoDB's protocol as it takes to ask a server one thing without its driver.

const MESSAGE = 2013;

const cstring = (text) => Buffer.from(`${text}\0`);

/** A value's BSON type and bytes. */
function encoded(value) {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return [0x10, bytes];
  }
  if (typeof value === 'string') {
    const bytes = cstring(value);
    const head = Buffer.alloc(4);
    head.writeInt32LE(bytes.length);
    return [0x02, Buffer.concat([head, bytes])];
  }
  if (typeof value === 'boolean') return [0x08, Buffer.from([Number(value)])];
  if (value instanceof Date) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value.getTime()));
    return [0x09, bytes];
  }
  return [Array.isArray(value) ? 0x04 : 0x03, document(value)];
}

/** A document in BSON; whole numbers are int32. */
export function document(object) {
  const parts = Object.entries(object).flatMap(([name, value]) => {
    const [type, bytes] = encoded(value);
    return [Buffer.from([type]), cstring(name), bytes];
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeInt32LE(body.length + 5);
  return Buffer.concat([head, body, Buffer.from([0])]);
}

/** A command as one OP_MSG. */
export function command(words) {
  const body = document(words);
  const head = Buffer.alloc(21);
  head.writeInt32LE(head.length + body.length, 0);
  head.writeInt32LE(1, 4);
  head.writeInt32LE(MESSAGE, 12);
  return Buffer.concat([head, body]);
}

/** Whether an answer, given as latin1, says that the command and each of its writes was done. */
export function succeeded(answer) {
  const ok = answer.includes('\x01ok\0\0\0\0\0\0\0\xf0\x3f') || answer.includes('\x10ok\0\x01\0\0\0');
  return ok && !answer.includes('writeErrors\0');
}
