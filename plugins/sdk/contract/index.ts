/** `cleat/contract`: conformance suites, one for each kind of plugin, for plugins in any language. */
export { type IpamSuiteOptions, testIpamPlugin } from './ipam.ts';
export { type LogSuiteOptions, testLogPlugin } from './log.ts';
export { type NetworkSuiteOptions, testNetworkPlugin } from './network.ts';
export {
  assertConforms,
  type CheckResult,
  type ContractReport,
  formatReport,
  formatResult,
  formatSummary,
} from './report.ts';
export type { SubjectOptions } from './subject.ts';
export { testVolumePlugin, type VolumeSuiteOptions } from './volume.ts';
