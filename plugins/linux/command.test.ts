import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CommandError, runCommand } from './command.ts';

async function failure(promise: Promise<unknown>): Promise<CommandError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
  throw new Error('the command did not fail');
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

test('returns both streams, feeds the input, sets the C locale', async () => {
  const result = await runCommand('sh', ['-c', 'cat; echo "$LC_ALL" >&2'], { timeoutMs: 5000, input: 'abc' });
  assert.equal(result, { stdout: 'abc', stderr: 'C\n' });
});

test('passes arguments as they are, without a shell', async () => {
  const result = await runCommand('printf', ['%s|', '$HOME', 'a b', ';'], { timeoutMs: 5000 });
  assert.is(result.stdout, '$HOME|a b|;|');
});

test('an exit code other than 0 is an error with the words of the command', async () => {
  const error = await failure(runCommand('sh', ['-c', 'echo one >&2; echo two >&2; exit 3'], { timeoutMs: 5000 }));
  assert.is(error.reason, 'exit');
  assert.is(error.exitCode, 3);
  assert.is(error.stderr, 'one\ntwo\n');
  assert.match(error.message, /ended with exit code 3: one; two$/);
});

test('a program that does not exist is an error with its name', async () => {
  const error = await failure(runCommand('no-such-program', ['x'], { timeoutMs: 5000 }));
  assert.is(error.reason, 'spawn');
  assert.match(error.message, /^no-such-program x could not be started/);
});

test('a child that ignores SIGTERM is gone after the deadline, and so is the wait for its grandchild', async () => {
  const error = await failure(
    runCommand('sh', ['-c', 'trap "" TERM; sleep 30 & echo $$ $!; while :; do wait; done'], { timeoutMs: 100 }),
  );
  assert.is(error.reason, 'timeout');
  const [child = 0, grandchild = 0] = error.stdout.trim().split(' ').map(Number);
  assert.not(isAlive(child));
  process.kill(grandchild, 'SIGKILL');
});

test('aborts, before and after the start', async () => {
  const controller = new AbortController();
  const running = runCommand('sleep', ['30'], { timeoutMs: 5000, signal: controller.signal });
  controller.abort();
  assert.is((await failure(running)).reason, 'aborted');
  assert.is((await failure(runCommand('true', [], { timeoutMs: 5000, signal: controller.signal }))).reason, 'aborted');
});

test('output beyond the cap ends the command', async () => {
  const error = await failure(runCommand('cat', ['/dev/zero'], { timeoutMs: 5000, maxOutputBytes: 100_000 }));
  assert.is(error.reason, 'output');
  assert.ok(error.stdout.length <= 100_000);
});

test('input that is not read is no failure', async () => {
  await runCommand('true', [], { timeoutMs: 5000, input: Buffer.alloc(1_000_000) });
});

test.run();
