/** A bench's result for people (a table) and for programs (JSON), with the ratio lines at the end of either. */
import { formatTable } from '../../../plugins/cli/table.ts';
import { type Figure, ratioOf } from './bench.ts';

export function closingLines(name: string, figures: readonly Figure[]): string[] {
  return figures.flatMap((figure) => {
    const ratio = ratioOf(figure);
    return ratio === undefined ? [] : [`${name}-${figure.variant} ratio ${Number(ratio.toPrecision(3))}`];
  });
}

export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const ratio = ratioOf(figure);
    const shown = ratio === undefined ? '' : String(Number(ratio.toPrecision(3)));
    return [figure.variant, short(figure.ours), short(figure.peer), figure.unit, shown, figure.note ?? ''];
  });
  return formatTable(['VARIANT', 'OURS', 'PEER', 'UNIT', 'RATIO', 'NOTE'], rows);
}

export function jsonOf(name: string, figures: readonly Figure[]): string {
  const withRatio = figures.map((figure) => ({ ...figure, peer: figure.peer ?? null, ratio: ratioOf(figure) ?? null }));
  return JSON.stringify({ name, figures: withRatio }, null, 2);
}

function short(value: number | undefined): string {
  return value === undefined ? '-' : String(Number(value.toPrecision(4)));
}
