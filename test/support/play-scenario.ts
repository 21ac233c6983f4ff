/** One recorded scenario typed again at the shim: what its plugins heard, beside what the recorded ones heard. */
import { setTimeout as delay } from 'node:timers/promises';
import { type RecordedCall, recordedCalls } from '../contract/recorded.ts';
import { differences, type StepTraffic } from './allowed-differences.ts';
import { IdNames, objectOf, type Shown, show, withoutNames } from './compare-traffic.ts';
import { eventually } from './deadline.ts';
import type { Scenario, Stage, Step } from './engine-scenarios.ts';
import type { HeardCall, RecordingPlugins } from './recording-plugin.ts';

const quietMs = 100;
/** For calls that are missing: a machine may be slow. */
const lateMs = 8000;

const recorded = recordedCalls().filter(({ file }) => file.endsWith('-28.5.2.jsonl'));

/** Plugins that this process of the engine has activated. */
const active = new Set<string>();

/** What differs and is not listed, one text for each step. */
export async function playScenario(scenario: Scenario, stage: Stage, plugins: RecordingPlugins): Promise<string[]> {
  const calls = recorded.filter(({ file }) => file.startsWith(`${scenario.name}-28`));
  const steps = split(calls, scenario.steps);
  for (const plugin of scenario.plugins) await stage.show(plugin, scenario.sockets?.[plugin]);
  plugins.expect(introductions(scenario));
  await introduce(stage, scenario);
  await scenario.before?.(stage);
  await quiet(plugins);
  plugins.take();
  const names = { ours: new IdNames(), theirs: new IdNames() };
  const problems: string[] = [];
  for (const [index, step] of scenario.steps.entries()) {
    const expected = steps[index] as RecordedCall[];
    plugins.expect(expected);
    const said: string[] = [];
    await (step.type ?? typed(step))({
      ...stage,
      async docker(...args) {
        const result = await stage.docker(...args);
        if (result.code !== 0) said.push(`  exit code ${result.code}: ${result.stderr.trim()}\n`);
        return result;
      },
    });
    const heard: HeardCall[] = [];
    const look = (): string => {
      heard.push(...plugins.take());
      const traffic: StepTraffic = {
        scenario: scenario.name,
        during: step.during,
        ours: heard.map((call) => show(call, names.ours)),
        theirs: expected.map((call) => show(call, names.theirs)),
      };
      for (const difference of differences) difference.apply(traffic);
      return compare(traffic, step.parallel === true);
    };
    // Engines finish some things after they answered, and what they do at their start goes on behind it.
    const late = Date.now() + lateMs;
    let problem = '';
    do {
      await quiet(plugins);
      problem = look();
    } while (problem !== '' && Date.now() < late);
    if (problem !== '') problems.push(`${step.during}\n${said.join('')}${problem}`);
  }
  return problems;
}

/** A new process of the engine knows no plugin yet, as at the start of a recording that begins with Activate; otherwise it does. */
async function introduce(stage: Stage, scenario: Scenario): Promise<void> {
  if (scenario.continues === true) return;
  const first = recorded.find(({ file }) => file.startsWith(`${scenario.name}-28`));
  const isNew = first?.method === 'Plugin.Activate';
  if (isNew && scenario.plugins.some((plugin) => active.has(plugin))) {
    await stage.engine.stop();
    await stage.engine.start();
    active.clear();
  }
  for (const plugin of isNew ? [] : scenario.plugins) {
    // Volume and log plugins are used by the scenario before its first step.
    if (active.has(plugin) || !plugin.startsWith('net')) continue;
    await stage.docker('network', 'create', '-d', plugin, 'first');
    await stage.docker('network', 'rm', 'first');
  }
  for (const plugin of scenario.plugins) active.add(plugin);
}

/** What the plugins of a scenario say of themselves, in whatever recording they do. */
function introductions({ name, plugins, prepared = [] }: Scenario): RecordedCall[] {
  const said = recorded.filter(
    ({ plugin, method }) => plugins.includes(plugin) && /Activate|Capabilities$|AddressSpaces|RequestPool/.test(method),
  );
  const own = said.filter(({ file }) => file.startsWith(`${name}-28`));
  return [
    ...recorded.filter(({ during }) => prepared.includes(during)),
    ...new Map(
      [...said.toReversed(), ...own.toReversed()].map((call) => [`${call.plugin} ${call.method}`, call]),
    ).values(),
  ];
}

/** The recorded calls of each step; a command that was typed twice has two steps. */
function split(calls: readonly RecordedCall[], steps: readonly Step[]): RecordedCall[][] {
  const rest = [...calls];
  return steps.map(({ during }) => {
    const own: RecordedCall[] = [];
    while (rest[0]?.during === during) own.push(rest.shift() as RecordedCall);
    return own;
  });
}

function typed({ during }: Step): NonNullable<Step['type']> {
  return ({ docker }) => docker(...during.split(' ').slice(1));
}

/** Nobody is asking anything any more. */
async function quiet(plugins: RecordingPlugins): Promise<void> {
  await delay(quietMs);
  await eventually('the calls have ended', async () => plugins.quietMs > quietMs, { timeoutMs: 60_000, everyMs: 20 });
}

function compare({ ours, theirs }: StepTraffic, parallel: boolean): string {
  const lines = (calls: readonly Shown[]): string[] => {
    if (!parallel) return calls.map((call) => JSON.stringify(call));
    const groups = Map.groupBy(calls, objectOf);
    return [...groups.values()].map((group) => group.map(withoutNames).join('\n')).sort();
  };
  const [here, there] = [lines(ours), lines(theirs)];
  if (JSON.stringify(here) === JSON.stringify(there)) return '';
  const text = (list: readonly string[], other: readonly string[]) =>
    list.map((line) => `    ${other.includes(line) ? ' ' : '*'} ${line.replaceAll('\n', '\n      ')}`).join('\n');
  return `  shim\n${text(here, there)}\n  Docker\n${text(there, here)}`;
}
