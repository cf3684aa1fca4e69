// What a start prints at its end: where to look and how to sign in.

/** The text, made from the contents of `.data/coursewright.json`. */
export function summary({ gateway, tokens, sampleCourse, chosen }) {
  const standIns = Object.entries(chosen ?? {}).filter(([, { standIn }]) => standIn);
  const course = sampleCourse ?? '<course id>';
  return [
    `  Gateway        ${gateway}`,
    `  Sample course  ${sampleCourse ?? 'none'}`,
    ...standIns.map(([name, { text }]) => `  Note           ${name}: ${text}`),
    '',
    '  Tokens (development only; also in .data/coursewright.json)',
    ...Object.entries(tokens).map(([role, token]) => `    ${role.padEnd(10)} ${token}`),
    '',
    '  Try',
    `    TOKEN=$(node -p "JSON.parse(fs.readFileSync('.data/coursewright.json')).tokens.author")`,
    `    curl -s ${gateway}/api/courses -H "Authorization: Bearer $TOKEN"`,
    `    curl -s '${gateway}/api/courses/${course}/outline' -H "Authorization: Bearer $TOKEN"`,
    `    curl -s '${gateway}/api/imports?format=olx' -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/gzip' --data-binary @course.tar.gz`,
  ].join('\n');
}
