/** Resident memory of cleat-networkd with 0, 100 and 500 endpoints, made by plugin calls. */
import { readFileSync } from 'node:fs';
import type { Bench, Figure } from './harness/bench.ts';
import { openBareNetwork } from './harness/plugin-calls.ts';
import { onStage } from './harness/stage.ts';

export const bench: Bench = {
  name: 'memory',
  about: 'resident memory of cleat-networkd with 0, 100 and 500 endpoints',
  rounds: 1,
  run: (context) =>
    onStage({}, async (stage) => {
      const network = await openBareNetwork(stage.networkd, 202);
      const pid = await stage.networkd.pid();
      const figures: Figure[] = [];
      let present = 0;
      for (const size of [0, 100, 500]) {
        context.say(`${size} endpoints`);
        for (; present < size; present += 1) await network.attach();
        const note = 'VmRSS; no other process does this job alone';
        figures.push({ variant: `rss-${size}`, ours: residentMb(pid), peer: undefined, unit: 'MB', note });
      }
      return figures;
    }),
};

/** VmRSS of /proc/PID/status, which is in kB (1024 bytes). */
function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no VmRSS`);
  return (Number(kilobytes) * 1024) / 1e6;
}
