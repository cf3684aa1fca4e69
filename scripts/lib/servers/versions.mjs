// Versions of servers as they print them.

/** The first version number in a text, as numbers: "redis v=7.0.15" → [7, 0, 15]; null when there is none. */
export function versionIn(text) {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text ?? '');
  return match ? match.slice(1).map((part) => Number(part ?? 0)) : null;
}

/** Whether a version is at least the one asked for; both as lists of numbers. */
export function atLeast(version, wanted) {
  for (let index = 0; index < wanted.length; index++) {
    const difference = (version[index] ?? 0) - wanted[index];
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** The oldest versions that serve. */
export const oldest = { postgres: [15], mongodb: [4, 4], redis: [7], nats: [2, 9, 10] };
