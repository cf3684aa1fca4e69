import { isId } from '@coursewright/platform/ids';
import type { OpsCommand } from '@coursewright/platform/ops';
import { checkIntegrity, integrityReport } from './operations/check-integrity.js';
import type { Deps } from './operations/ports.js';

/** Commands of the operators: `integrity?course=`, which checks a course to its end, however long that takes, and answers what is wrong. */
export function opsCommands(deps: Pick<Deps, 'store' | 'bodies'>): Readonly<Record<string, OpsCommand>> {
  return {
    async integrity(query) {
      const course = query.get('course') ?? '';
      if (!isId(course)) return { checked: false, reason: 'course is no id' };
      return integrityReport(checkIntegrity(deps, course));
    },
  };
}
