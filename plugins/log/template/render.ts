/** Runs a parsed template over one value. */
import { arity, functions } from './functions.ts';
import { TemplateError } from './lexer.ts';
import { type Command, type Node, type Operand, type Pipeline, parseTemplate, type Template } from './parser.ts';
import { Float, fieldOf, isMap, isTrue, printValue, type Value } from './value.ts';

/** A tag is a word or two; a template that makes more is a mistake, and one that takes this many steps would hold up the daemon. */
const maxOutput = 64 * 1024;
const maxSteps = 100_000;
/** Of templates that use themselves. */
const maxDepth = 100;

/** Throws TemplateError with Go's words where it has some. */
export function renderTemplate(template: string, data: Value): string {
  const parsed = parseTemplate(template, (name) => Object.hasOwn(functions, name));
  const execution = new Execution(parsed.templates);
  execution.template(parsed.nodes, data);
  return execution.output;
}

/** Innermost scope last. */
type Scopes = readonly Map<string, Value>[];

/** How a list of nodes ended: at its end, or at the word of a loop around it. */
type Ending = 'end' | 'break' | 'continue';

class Execution {
  output = '';
  readonly #templates: Template['templates'];
  #steps = 0;
  #depth = 0;

  constructor(templates: Template['templates']) {
    this.#templates = templates;
  }

  /** A template sees nothing of what surrounds its use but the value that it is given. */
  template(nodes: readonly Node[], data: Value): void {
    if (++this.#depth > maxDepth) throw new TemplateError('exceeded maximum template depth');
    this.#list(nodes, data, [new Map([['$', data]])]);
    this.#depth--;
  }

  #list(nodes: readonly Node[], dot: Value, scopes: Scopes): Ending {
    const inner = [...scopes, new Map<string, Value>()];
    for (const node of nodes) {
      const ending = this.#node(node, dot, inner);
      if (ending !== 'end') return ending;
    }
    return 'end';
  }

  #node(node: Node, dot: Value, scopes: Scopes): Ending {
    this.#step();
    switch (node.kind) {
      case 'text':
        this.#print(node.text);
        return 'end';
      case 'action': {
        const value = this.#pipeline(node.pipeline, dot, scopes);
        if (node.pipeline.variables.length === 0) this.#print(printValue(value));
        return 'end';
      }
      case 'template': {
        const nodes = this.#templates.get(node.name);
        if (nodes === undefined) throw new TemplateError(`template ${JSON.stringify(node.name)} not defined`);
        this.template(nodes, node.pipeline && this.#pipeline(node.pipeline, dot, scopes));
        return 'end';
      }
      case 'break':
      case 'continue':
        return node.kind;
      case 'range':
        return this.#range(node, dot, [...scopes, new Map<string, Value>()]);
      default: {
        const inner = [...scopes, new Map<string, Value>()];
        const value = this.#pipeline(node.pipeline, dot, inner);
        const chosen = isTrue(value) ? node.then : node.otherwise;
        return this.#list(chosen, node.kind === 'with' && isTrue(value) ? value : dot, inner);
      }
    }
  }

  #range(node: Extract<Node, { kind: 'if' | 'with' | 'range' }>, dot: Value, scopes: Scopes): Ending {
    const value = this.#pipeline({ ...node.pipeline, variables: [] }, dot, scopes);
    const [first, second] = node.pipeline.variables;
    let empty = true;
    for (const [key, item] of pairsOf(value)) {
      empty = false;
      const inner = [...scopes, new Map<string, Value>()];
      if (first !== undefined) inner.at(-1)?.set(first, second === undefined ? item : key);
      if (second !== undefined) inner.at(-1)?.set(second, item);
      this.#step();
      if (this.#list(node.then, item, inner) === 'break') break;
    }
    return empty ? this.#list(node.otherwise, dot, scopes) : 'end';
  }

  #step(): void {
    if (++this.#steps > maxSteps) throw new TemplateError('the template takes too many steps');
  }

  #print(text: string): void {
    this.output += text;
    if (this.output.length > maxOutput) throw new TemplateError('the result is too long');
  }

  #pipeline(pipeline: Pipeline, dot: Value, scopes: Scopes): Value {
    let value: Value;
    for (const [index, command] of pipeline.commands.entries()) {
      value = this.#command(command, dot, scopes, index > 0 ? [value] : []);
    }
    const [name] = pipeline.variables;
    if (name !== undefined) {
      const scope = pipeline.declares ? scopes.at(-1) : scopes.findLast((candidate) => candidate.has(name));
      if (scope === undefined) throw new TemplateError(`undefined variable ${JSON.stringify(name)}`);
      scope.set(name, value);
    }
    return value;
  }

  #command(command: Command, dot: Value, scopes: Scopes, piped: readonly Value[]): Value {
    this.#step();
    const [first, ...rest] = command;
    if (first === undefined) return undefined;
    if (first.kind === 'function') {
      const name = first.name;
      if (name === 'and' || name === 'or') return this.#shortCircuit(name, rest, dot, scopes, piped);
      const args = [...rest.map((operand) => this.#operand(operand, dot, scopes)), ...piped];
      const wanted = arity[name];
      if ((wanted !== undefined && args.length !== wanted) || args.length === 0) {
        throw new TemplateError(`wrong number of args for ${name}: want ${wanted ?? 'at least 1'} got ${args.length}`);
      }
      const value = functions[name]?.(...args);
      if (typeof value === 'string' && value.length > maxOutput) throw new TemplateError('the result is too long');
      return value;
    }
    if (rest.length > 0 || piped.length > 0) {
      if (first.kind !== 'field') throw new TemplateError("can't give argument to non-function");
      const args = [...rest.map((operand) => this.#operand(operand, dot, scopes)), ...piped];
      return fieldOf(this.#operand(first.of, dot, scopes), first.name, args);
    }
    return this.#operand(first, dot, scopes);
  }

  #shortCircuit(
    name: 'and' | 'or',
    operands: readonly Operand[],
    dot: Value,
    scopes: Scopes,
    piped: readonly Value[],
  ): Value {
    let value: Value;
    for (const operand of operands) {
      value = this.#operand(operand, dot, scopes);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: Value, scopes: Scopes): Value {
    switch (operand.kind) {
      case 'constant':
        return operand.float === true && typeof operand.value === 'number' ? new Float(operand.value) : operand.value;
      case 'dot':
        return dot;
      case 'function':
        return this.#command([operand], dot, scopes, []);
      case 'variable': {
        const scope = scopes.findLast((candidate) => candidate.has(operand.name));
        if (scope === undefined) throw new TemplateError(`undefined variable ${JSON.stringify(operand.name)}`);
        return scope.get(operand.name);
      }
      case 'field':
        return fieldOf(this.#operand(operand.of, dot, scopes), operand.name);
      case 'pipeline':
        return this.#pipeline(operand.pipeline, dot, scopes);
    }
  }
}

/** What `range` goes over: elements, entries by their sorted keys, or 0 to n-1. */
function* pairsOf(value: Value): Generator<readonly [Value, Value]> {
  if (Array.isArray(value)) yield* (value as readonly Value[]).entries();
  else if (isMap(value)) yield* [...value].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  else if (typeof value === 'number') for (let index = 0; index < value; index++) yield [index, index];
  else if (isTrue(value)) throw new TemplateError(`range can't iterate over ${printValue(value)}`);
}
