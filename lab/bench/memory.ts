/** Resident memory of cleat-networkd with 0, 100 and 500 endpoints, made by plugin calls. */
import type { Bench, Figure } from './harness/bench.ts';
import { openBareNetwork } from './harness/plugin-calls.ts';
import { residentMb } from './harness/process-memory.ts';
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
