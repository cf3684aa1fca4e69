// Runs a command to its end.
import { spawn } from 'node:child_process';
import { root } from './paths.mjs';

const HEAD_LINES = 15;
const TAIL_LINES = 30;

function shortened(text) {
  const lines = text.split('\n');
  if (lines.length <= HEAD_LINES + TAIL_LINES) return text;
  return [...lines.slice(0, HEAD_LINES), '  …', ...lines.slice(-TAIL_LINES)].join('\n');
}

/** A command that failed, with what it printed (of much, the beginning and the end). */
export class CommandFailed extends Error {
  constructor(command, { code, signal, output }) {
    const tail = shortened(output.trim());
    super(`${command} ${signal ? `ended by ${signal}` : `failed (exit ${code})`}${tail ? `:\n${tail}` : ''}`);
    this.code = code;
    this.output = output;
  }
}

/**
 * Runs a command without input and resolves to `{code, stdout, stderr}`. A code other than 0 (or one of `accept`)
 * throws CommandFailed; longer than `timeoutMs` ends it by SIGKILL and throws too.
 */
export function run(command, args, { cwd = root, env = process.env, accept = [], timeoutMs, ...rest } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], ...rest });
    const texts = { stdout: '', stderr: '' };
    const timer = timeoutMs && setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    for (const name of ['stdout', 'stderr']) {
      child[name].setEncoding('utf8');
      child[name].on('data', (text) => (texts[name] += text));
    }
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0 || accept.includes(code)) resolve({ code, ...texts });
      else reject(new CommandFailed(command, { code, signal, output: `${texts.stdout}\n${texts.stderr}` }));
    });
  });
}

/** Whether a command can be run at all; its output when it can, else null. */
export async function attempt(command, args, options = {}) {
  try {
    const { stdout, stderr } = await run(command, args, { timeoutMs: 10_000, ...options });
    return `${stdout}${stderr}`;
  } catch {
    return null;
  }
}
