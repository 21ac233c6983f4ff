/** Cuts a Go text/template into text and the tokens of its actions. https://pkg.go.dev/text/template */

export class TemplateError extends Error {
  override readonly name: string = 'TemplateError';
}

export type Token =
  | { readonly kind: 'text'; readonly text: string }
  /** The end of an action. */
  | { readonly kind: 'end' }
  /** A blank between operands. */
  | { readonly kind: 'space' }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number; readonly float: boolean }
  /** `.name`, or `.` alone with an empty name. */
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'word'; readonly name: string }
  | { readonly kind: 'symbol'; readonly name: '(' | ')' | '|' | ',' | ':=' | '=' };

const trimLeft = /^\{\{- /;
const comment = /^\{\{(?:- )?\/\*[\s\S]*?\*\/(?: -)?\}\}/;

export function tokenize(template: string): Token[] {
  const tokens: Token[] = [];
  let rest = template;
  let trimNext = false;
  while (rest !== '') {
    const open = rest.indexOf('{{');
    let text = open === -1 ? rest : rest.slice(0, open);
    rest = open === -1 ? '' : rest.slice(open);
    if (trimNext) text = text.replace(/^[ \t\r\n]+/, '');
    if (/^\{\{-\s/.test(rest)) text = text.replace(/[ \t\r\n]+$/, '');
    if (text !== '') tokens.push({ kind: 'text', text });
    if (rest === '') break;
    const remark = comment.exec(rest)?.[0];
    if (remark !== undefined) {
      trimNext = remark.endsWith(' -}}');
      rest = rest.slice(remark.length);
      continue;
    }
    rest = rest.replace(trimLeft, '{{').slice(2);
    const action = tokenizeAction(rest, tokens);
    trimNext = action.trim;
    rest = rest.slice(action.length);
  }
  return tokens;
}

function tokenizeAction(source: string, tokens: Token[]): { readonly length: number; readonly trim: boolean } {
  let at = 0;
  for (;;) {
    const rest = source.slice(at);
    const close = /^\s*(?:\s-)?\}\}/.exec(rest)?.[0];
    if (close !== undefined) {
      tokens.push({ kind: 'end' });
      return { length: at + close.length, trim: /\s-\}\}$/.test(close) };
    }
    if (rest === '') throw new TemplateError('unclosed action');
    const { token, length } = nextToken(rest);
    tokens.push(token);
    at += length;
  }
}

const patterns: readonly (readonly [RegExp, (match: string) => Token])[] = [
  [/^\s+/, () => ({ kind: 'space' })],
  [/^"(?:[^"\\\n]|\\.)*"/, (match) => ({ kind: 'string', value: unquote(match.slice(1, -1)) })],
  [/^`[^`]*`/, (match) => ({ kind: 'string', value: match.slice(1, -1) })],
  [
    /^'(?:[^'\\\n]|\\.[^']*)'/,
    (match) => ({ kind: 'number', value: unquote(match.slice(1, -1)).codePointAt(0) ?? 0, float: false }),
  ],
  [
    /^[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w.])/,
    (match) => ({
      kind: 'number',
      value: parseNumber(match),
      float: /[.eE]/.test(match) && !/^[+-]?0[xX]/.test(match),
    }),
  ],
  [/^\.[\p{L}_][\p{L}\p{N}_]*/u, (match) => ({ kind: 'field', name: match.slice(1) })],
  [/^\./, () => ({ kind: 'field', name: '' })],
  [/^\$[\p{L}\p{N}_]*/u, (match) => ({ kind: 'variable', name: match })],
  [/^[\p{L}_][\p{L}\p{N}_]*/u, (match) => ({ kind: 'word', name: match })],
  [/^(?::=|[=(),|])/, (match) => ({ kind: 'symbol', name: match as '(' })],
];

function nextToken(source: string): { readonly token: Token; readonly length: number } {
  for (const [pattern, make] of patterns) {
    const match = pattern.exec(source)?.[0];
    if (match !== undefined) return { token: make(match), length: match.length };
  }
  throw new TemplateError(`unexpected ${JSON.stringify(source[0])} in an action`);
}

function parseNumber(text: string): number {
  const negative = text.startsWith('-');
  const digits = text.replace(/^[+-]/, '').replaceAll('_', '');
  // Go reads 0777 as octal; JavaScript's Number wants 0o777.
  const value = Number(/^0\d+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return negative ? -value : value;
}

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

function unquote(body: string): string {
  return body.replaceAll(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/gs,
    (
      _,
      byte: string | undefined,
      short: string | undefined,
      long: string | undefined,
      octal: string | undefined,
      letter = '',
    ) => {
      const hex = byte ?? short ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return escapes[letter] ?? letter;
    },
  );
}
