/** Builds the trees of a template and of those that it defines. */
import { TemplateError, type Token, tokenize } from './lexer.ts';

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: Pipeline;
      readonly then: Node[];
      readonly otherwise: Node[];
    }
  | { readonly kind: 'template'; readonly name: string; readonly pipeline: Pipeline | undefined }
  | { readonly kind: 'break' | 'continue' };

export interface Template {
  readonly nodes: readonly Node[];
  /** By their names. */
  readonly templates: ReadonlyMap<string, readonly Node[]>;
}

export interface Pipeline {
  /** One variable, or for range index and element. */
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly Command[];
}

export type Command = readonly Operand[];

export type Operand =
  | { readonly kind: 'constant'; readonly value: string | number | boolean | null; readonly float?: boolean }
  | { readonly kind: 'dot' }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'field'; readonly of: Operand; readonly name: string }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline };

export function parseTemplate(template: string, isFunction: (name: string) => boolean): Template {
  const parser = new Parser(tokenize(template), isFunction);
  const { nodes, stopped } = parser.list();
  if (stopped !== '') throw new TemplateError(`unexpected {{${stopped}}}`);
  return { nodes, templates: parser.templates };
}

const maxDepth = 50;

class Parser {
  readonly #tokens: readonly Token[];
  readonly #isFunction: (name: string) => boolean;
  readonly templates = new Map<string, Node[]>();
  #at = 0;
  #depth = 0;
  /** Loops around the current place. */
  #loops = 0;

  constructor(tokens: readonly Token[], isFunction: (name: string) => boolean) {
    this.#tokens = tokens;
    this.#isFunction = isFunction;
  }

  /** Up to `end` or `else`, whose word comes back; for the else the rest of its action is still to be read. */
  list(): { readonly nodes: Node[]; readonly stopped: string } {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#tokens[this.#at];
      if (token === undefined) return { nodes, stopped: '' };
      if (token.kind === 'text') {
        this.#at++;
        nodes.push(token);
        continue;
      }
      this.#skipSpace();
      const word = this.#tokens[this.#at];
      if (word?.kind === 'word' && (word.name === 'end' || word.name === 'else')) {
        this.#at++;
        return { nodes, stopped: word.name };
      }
      const node = this.#action();
      if (node !== undefined) nodes.push(node);
    }
  }

  /** undefined: a definition, which leaves nothing at its place. */
  #action(): Node | undefined {
    const token = this.#tokens[this.#at];
    const word = token?.kind === 'word' ? token.name : '';
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        this.#at++;
        return this.#control(word);
      case 'break':
      case 'continue':
        if (this.#loops === 0) throw new TemplateError(`{{${word}}} outside {{range}}`);
        this.#at++;
        this.#endAction();
        return { kind: word };
      case 'define':
        // Go too allows it at the top only.
        if (this.#depth > 0) throw new TemplateError('unexpected {{define}}');
        this.#at++;
        this.#define(this.#name(word), word);
        return undefined;
      case 'block': {
        this.#at++;
        const name = this.#name(word);
        const pipeline = this.#pipeline();
        this.#define(name, word);
        return { kind: 'template', name, pipeline };
      }
      case 'template': {
        this.#at++;
        const name = this.#name(word);
        this.#skipSpace();
        const pipeline = this.#tokens[this.#at]?.kind === 'end' ? undefined : this.#pipeline();
        this.#endAction();
        return { kind: 'template', name, pipeline };
      }
      default: {
        const pipeline = this.#pipeline();
        this.#endAction();
        return { kind: 'action', pipeline };
      }
    }
  }

  #name(word: string): string {
    this.#skipSpace();
    const token = this.#tokens[this.#at++];
    if (token?.kind !== 'string') throw new TemplateError(`unexpected ${describe(token)} in {{${word}}}`);
    return token.value;
  }

  #define(name: string, word: string): void {
    this.#endAction();
    if (++this.#depth > maxDepth) throw new TemplateError('too many nested blocks');
    const loops = this.#loops;
    this.#loops = 0;
    const { nodes, stopped } = this.list();
    this.#loops = loops;
    if (stopped !== 'end') throw new TemplateError(`{{${word}}} without {{end}}`);
    this.#endAction();
    this.#depth--;
    const blank = (list: readonly Node[]): boolean =>
      list.every((node) => node.kind === 'text' && node.text.trim() === '');
    const known = this.templates.get(name);
    if (known !== undefined && !blank(known)) {
      if (blank(nodes)) return;
      throw new TemplateError(`multiple definition of template ${JSON.stringify(name)}`);
    }
    this.templates.set(name, nodes);
  }

  #control(kind: 'if' | 'with' | 'range'): Node {
    if (++this.#depth > maxDepth) throw new TemplateError('too many nested blocks');
    const pipeline = this.#pipeline();
    this.#endAction();
    if (kind === 'range') this.#loops++;
    const { nodes: then, stopped } = this.list();
    if (kind === 'range') this.#loops--;
    let otherwise: Node[] = [];
    if (stopped === 'else') otherwise = this.#else(kind);
    else if (stopped === 'end') this.#endAction();
    else throw new TemplateError(`{{${kind}}} without {{end}}`);
    this.#depth--;
    return { kind, pipeline, then, otherwise };
  }

  #else(kind: 'if' | 'with' | 'range'): Node[] {
    this.#skipSpace();
    const token = this.#tokens[this.#at];
    // {{else if}} and {{else with}} share the {{end}} of the block that they belong to.
    if (token?.kind === 'word' && (token.name === 'if' || token.name === 'with')) {
      this.#at++;
      return [this.#control(token.name)];
    }
    this.#endAction();
    const { nodes, stopped } = this.list();
    if (stopped !== 'end') throw new TemplateError(`{{${kind}}} without {{end}}`);
    this.#endAction();
    return nodes;
  }

  #endAction(): void {
    this.#skipSpace();
    const token = this.#tokens[this.#at++];
    if (token?.kind !== 'end') throw new TemplateError(`unexpected ${describe(token)} in an action`);
  }

  #pipeline(): Pipeline {
    const { variables, declares } = this.#variables();
    const commands: Operand[][] = [];
    for (;;) {
      commands.push(this.#command());
      this.#skipSpace();
      if (!this.#symbol('|')) break;
    }
    return { variables, declares, commands };
  }

  #variables(): { readonly variables: string[]; readonly declares: boolean } {
    const start = this.#at;
    const variables: string[] = [];
    for (;;) {
      this.#skipSpace();
      const token = this.#tokens[this.#at];
      if (token?.kind !== 'variable') break;
      this.#at++;
      variables.push(token.name);
      this.#skipSpace();
      if (this.#symbol(':=')) return { variables, declares: true };
      if (this.#symbol('=')) return { variables, declares: false };
      if (!this.#symbol(',')) break;
    }
    this.#at = start;
    return { variables: [], declares: false };
  }

  #command(): Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      this.#skipSpace();
      const operand = this.#operand();
      if (operand === undefined) break;
      operands.push(operand);
    }
    if (operands.length === 0) throw new TemplateError(`missing value before ${describe(this.#tokens[this.#at])}`);
    return operands;
  }

  #operand(): Operand | undefined {
    const token = this.#tokens[this.#at];
    let operand: Operand;
    if (token === undefined) return undefined;
    if (token.kind === 'string') operand = { kind: 'constant', value: token.value };
    else if (token.kind === 'number') operand = { kind: 'constant', value: token.value, float: token.float };
    else if (token.kind === 'variable') operand = { kind: 'variable', name: token.name };
    else if (token.kind === 'field') {
      operand = token.name === '' ? { kind: 'dot' } : { kind: 'field', of: { kind: 'dot' }, name: token.name };
    } else if (token.kind === 'word') operand = this.#word(token.name);
    else if (token.kind === 'symbol' && token.name === '(') {
      this.#at++;
      operand = { kind: 'pipeline', pipeline: this.#pipeline() };
      this.#skipSpace();
      if (!this.#symbol(')')) throw new TemplateError('unclosed left paren');
      this.#at--;
    } else return undefined;
    this.#at++;
    for (;;) {
      const next = this.#tokens[this.#at];
      if (next?.kind !== 'field' || next.name === '') return operand;
      this.#at++;
      operand = { kind: 'field', of: operand, name: next.name };
    }
  }

  #word(name: string): Operand {
    if (name === 'true' || name === 'false') return { kind: 'constant', value: name === 'true' };
    if (name === 'nil') return { kind: 'constant', value: null };
    if (!this.#isFunction(name)) throw new TemplateError(`function ${JSON.stringify(name)} not defined`);
    return { kind: 'function', name };
  }

  #symbol(name: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'symbol' || token.name !== name) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    while (this.#tokens[this.#at]?.kind === 'space') this.#at++;
  }
}

function describe(token: Token | undefined): string {
  if (token === undefined) return 'end of template';
  if (token.kind === 'end') return '}}';
  return 'name' in token ? JSON.stringify(token.name) : token.kind;
}
