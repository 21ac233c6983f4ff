import { closeSync, openSync, readFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { text } from 'node:stream/consumers';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../../test/support/deadline.ts';
import { openPipe, startChild } from './child.ts';
import { KernelError } from './errors.ts';
import { closeFd } from './syscall.ts';

const env = { PATH: '/usr/bin:/bin' };

/** What the program writes, and how it ends. */
async function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
) {
  const pipe = openPipe('read');
  const child = startChild(file, args, { env, ...options, descriptors: ['ignore', pipe.theirs, 'ignore'] });
  closeFd(pipe.theirs);
  const [output, exit] = await Promise.all([text(pipe.ours), child.exited]);
  return { output, ...exit };
}

test('arguments, environment and folder are as given, and no others', async () => {
  const { output, code } = await run('sh', ['-c', 'echo "$0|$1|$A|$HOME"; pwd', 'a b', '$x'], {
    env: { ...env, A: 'ä' },
    cwd: tmpdir(),
  });
  assert.is(output, `a b|$x|ä|\n${realpathSync(tmpdir())}\n`);
  assert.is(code, 0);
});

test('how it ended: a code, or a signal', async () => {
  assert.equal(await run('sh', ['-c', 'exit 42']), { output: '', code: 42, signal: undefined });
  assert.equal(await run('sh', ['-c', 'kill -TERM $$']), { output: '', code: undefined, signal: 'SIGTERM' });
});

test('it has the descriptors that it was given and nothing else of ours', async () => {
  const kept = openSync('/dev/null', 'r');
  const { output } = await run('sh', ['-c', 'ls /proc/self/fd']);
  closeSync(kept);
  const numbers = output.trim().split('\n').map(Number);
  for (const given of [0, 1, 2]) assert.ok(numbers.includes(given), output);
  assert.not(numbers.includes(kept), output);
});

test('signals have their default actions, though Node ignores SIGPIPE', async () => {
  const { output } = await run('grep', ['-E', '^Sig(Blk|Ign):', '/proc/self/status']);
  assert.is(output, 'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
});

test('it can be killed, once; a program that is not there is an error with its name', async () => {
  const child = startChild('sleep', ['60'], { env, descriptors: ['ignore', 'ignore', 'ignore'] });
  // The child is there before the program in it is.
  const name = () => readFileSync(`/proc/${child.pid}/comm`, 'utf8');
  await eventually('the program runs', () => name() === 'sleep\n');
  child.kill('SIGKILL');
  assert.equal(await child.exited, { code: undefined, signal: 'SIGKILL' });
  child.kill('SIGKILL');
  assert.throws(
    () => startChild('no-such-program', [], { env, descriptors: [] }),
    (error: unknown) =>
      error instanceof KernelError && error.code === 'ENOENT' && /no-such-program/.test(error.message),
  );
});

test('a session of its own', async () => {
  const pipe = openPipe('read');
  const child = startChild('sh', ['-c', 'cut -d " " -f 6 /proc/self/stat; echo $$'], {
    env,
    descriptors: ['ignore', pipe.theirs],
    session: true,
  });
  closeFd(pipe.theirs);
  assert.is(await text(pipe.ours), `${child.pid}\n${child.pid}\n`);
});

test.run();
