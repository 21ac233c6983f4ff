/**
 * kill -9 while addresses are requested and released: whatever was answered holds after the next start, nothing is given
 * twice, and what was written without an answer is at most the one request that was under way.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatIp } from '../../plugins/network/address/ip.ts';
import { Ledger } from '../../plugins/network/ipam/ledger.ts';
import { parseIpamConfig } from '../../plugins/network/ipam/options.ts';
import { openStore } from '../../plugins/store/store.ts';
import { requires } from '../support/requires.ts';

requires('root');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 15);
const worker = fileURLToPath(new URL('ipam-worker.ts', import.meta.url));
const poolId = 'cleat-local/10.77.0.0/24';

/** Runs a worker until it is killed in the middle of its work; returns what it was told, in order. */
async function runAndKill(file: string, answers: number): Promise<string[]> {
  const child = spawn(process.execPath, [worker, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    // Lines that are in the pipe already were answered before the kill.
    if (lines.length === answers) child.kill('SIGKILL');
  }
  assert.ok(lines.length >= answers, 'the worker ended by itself');
  return lines;
}

function allocatedOnDisk(file: string): Set<string> {
  using store = openStore(file);
  const entry = new Ledger(store, () => parseIpamConfig({})).find(poolId);
  const allocated = new Set<string>();
  for (const [value, record] of entry?.pool.entries() ?? []) {
    if (record.state === 'allocated') allocated.add(formatIp({ family: 4, value }));
  }
  return allocated;
}

test(`${rounds} kills: records and answers agree`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-ipam-kill-'));
  const file = join(folder, 'test.db');
  const held = new Set<string>();
  try {
    for (let round = 0; round < rounds; round++) {
      const lines = await runAndKill(file, 1 + Math.floor(Math.random() * 60));
      for (const line of lines) {
        const [verb = '', address = ''] = line.split(' ');
        if (verb === 'given') {
          assert.not(held.has(address), `${address} was given twice`);
          held.add(address);
        } else if (verb === 'released') held.delete(address);
      }
      const disk = allocatedOnDisk(file);
      const missing = [...held].filter((address) => !disk.has(address));
      const more = [...disk].filter((address) => !held.has(address));
      // The request under way: given or released on disk, the answer was never seen.
      assert.ok(missing.length + more.length <= 1, `round ${round}: missing ${missing}, without an answer ${more}`);
      for (const address of missing) held.delete(address);
      for (const address of more) held.add(address);
    }
    assert.ok(held.size > 0, 'something was held at the end');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
