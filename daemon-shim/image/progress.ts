/** Lines of a JSON progress stream, as `docker load`, `import` and `pull` read them. */

export type ProgressLine = Readonly<Record<string, unknown>>;
export type Report = (line: ProgressLine) => void;

const barWidth = 50;

export function progressLine(status: string, id: string, current: number, total: number): ProgressLine {
  return { status, progressDetail: { current, total }, progress: progressBar(current, total), id };
}

/** `[=======>          ]  1.234MB/4.56MB` */
function progressBar(current: number, total: number): string {
  const share = total > 0 ? Math.min(1, current / total) : 1;
  const done = Math.round(share * barWidth);
  const bar = done < barWidth ? `${'='.repeat(done)}>${' '.repeat(barWidth - done)}` : `${'='.repeat(barWidth)}>`;
  return `[${bar}]  ${decimalSize(current)}/${decimalSize(total)}`;
}

/** Four digits and a decimal unit, as Go's units.HumanSize: `4.257MB`. */
export function decimalSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(4))}${units[unit]}`;
}
