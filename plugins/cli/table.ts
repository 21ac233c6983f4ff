/** Prints rows as a table with a header, as Docker's own lists look: columns three blanks apart, no frame. */

export type Row = readonly (string | number)[];

export function formatTable(header: readonly string[], rows: readonly Row[]): string {
  const lines = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

/** The rows as a table, or with `json` the value itself. */
export function print(
  options: { readonly json: boolean },
  value: unknown,
  header: readonly string[],
  rows: readonly Row[],
): void {
  process.stdout.write(options.json ? `${JSON.stringify(value, null, 2)}\n` : `${formatTable(header, rows)}\n`);
}

/** `1.5 MB`; decimal units, as Docker prints sizes. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : Number(value.toPrecision(4))}${units[unit] ?? ''}`;
}
