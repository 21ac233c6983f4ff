/**
 * Docker's built-in log drivers, under the names that commands and compose files already have, and who takes their options
 * here. As with networks (`bridge`) and volumes (`local`), what is built in there is a plugin here.
 */
const plugins: Readonly<Record<string, string>> = {
  'json-file': 'cleat-json-file',
  local: 'cleat-json-file',
  syslog: 'cleat-syslog',
  gelf: 'cleat-gelf',
};

/** Any other name is a plugin's own, or `none`. */
export function logPluginName(driver: string): string {
  return plugins[driver] ?? driver;
}

/** The other way round: clients ask a container whose log driver they know for its output, and others not. */
export function dockerLogName(plugin: string): string {
  return Object.keys(plugins).find((name) => plugins[name] === plugin) ?? plugin;
}
