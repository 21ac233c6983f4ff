/** Regular expressions as users of Docker write them, Go's RE2 syntax, as far as it differs from JavaScript's. */
import { PluginError } from '../sdk/errors.ts';

const posixClasses: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

/** Throws PROTO_OPTION with the option's name. */
export function parseGoRegExp(pattern: string, option: string, driver: string): RegExp {
  const [, flags = '', rest = pattern] = /^\(\?([imsU]+)\)(.*)$/s.exec(pattern) ?? [];
  const source = rest
    .replaceAll('(?P<', '(?<')
    .replaceAll(/\[:(\w+):\]/g, (whole, name: string) => posixClasses[name] ?? whole)
    .replaceAll('\\A', '^')
    .replaceAll('\\z', '$');
  try {
    return new RegExp(source, flags.replace('U', ''));
  } catch (cause) {
    throw new PluginError('PROTO_OPTION', `${driver}: option ${option}=${pattern} is no regular expression`, {
      hint: 'use the syntax of Go (RE2)',
      cause,
    });
  }
}
