/** What a conformance run found: one result a check, each failure with the reason in words. */
import { PluginError } from '../errors.ts';
import type { DriverKind } from '../protocol/activate.ts';

export interface CheckResult {
  readonly title: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Why it failed or was skipped. */
  readonly reason?: string;
}

export interface ContractReport {
  readonly kind: DriverKind;
  /** Where the plugin listens. */
  readonly plugin: string;
  readonly results: readonly CheckResult[];
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The plugin does something that an engine cannot work with. */
export class Nonconformity extends Error {
  override readonly name: string = 'Nonconformity';
}

/** A check cannot be done here. */
export class NotApplicable extends Error {
  override readonly name: string = 'NotApplicable';
}

export function expect(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new Nonconformity(reason);
}

/** Collects results. A check that fails does not keep the next ones from running. */
export class ContractRun {
  readonly #kind: DriverKind;
  readonly #plugin: string;
  readonly #results: CheckResult[] = [];
  readonly #onResult: ((result: CheckResult) => void) | undefined;

  constructor(kind: DriverKind, plugin: string, onResult?: (result: CheckResult) => void) {
    this.#kind = kind;
    this.#plugin = plugin;
    this.#onResult = onResult;
  }

  async check(title: string, run: () => Promise<void>): Promise<void> {
    let result: CheckResult = { title, outcome: 'passed' };
    try {
      await run();
    } catch (error) {
      result = { title, outcome: error instanceof NotApplicable ? 'skipped' : 'failed', reason: reasonOf(error) };
    }
    this.#results.push(result);
    this.#onResult?.(result);
  }

  get report(): ContractReport {
    const count = (outcome: CheckResult['outcome']) => this.#results.filter((one) => one.outcome === outcome).length;
    return {
      kind: this.#kind,
      plugin: this.#plugin,
      results: [...this.#results],
      passed: count('passed'),
      failed: count('failed'),
      skipped: count('skipped'),
    };
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof PluginError && error.code === 'PROTO_UNREACHABLE') {
    return `no answer: ${error.message}; the plugin may have crashed, hung or dropped the connection`;
  }
  return error instanceof Error ? error.message : String(error);
}

/** One line a check, then the sum. */
export function formatReport(report: ContractReport): string {
  return [...report.results.map(formatResult), formatSummary(report)].join('\n');
}

export function formatResult({ outcome, title, reason }: CheckResult): string {
  const mark = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[outcome];
  return reason === undefined ? `${mark} ${title}` : `${mark} ${title}\n       ${reason}`;
}

export function formatSummary({ kind, plugin, passed, failed, skipped }: ContractReport): string {
  return `${kind} plugin at ${plugin}: ${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** Throws one error with every reason when a check failed or none passed. */
export function assertConforms(report: ContractReport): void {
  if (report.failed === 0 && report.passed > 0) return;
  throw new Error(`does not conform:\n${formatReport(report)}`);
}
