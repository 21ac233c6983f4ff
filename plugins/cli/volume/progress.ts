/** One line on a terminal's standard error that shows how far a stream has come; nothing elsewhere. */
import { formatBytes } from '../table.ts';

const everyMs = 200;

export interface Progress {
  update(bytes: number): void;
  end(): void;
}

export function startProgress(what: string): Progress {
  const shown = process.stderr.isTTY === true;
  let last = 0;
  return {
    update(bytes) {
      const now = performance.now();
      if (!shown || now - last < everyMs) return;
      last = now;
      process.stderr.write(`\r\u001b[K${what}: ${formatBytes(bytes)}`);
    },
    end() {
      if (shown) process.stderr.write('\r\u001b[K');
    },
  };
}
