/** Runs a parsed template over one value. */
import { arity, functions } from './functions.ts';
import { TemplateError } from './lexer.ts';
import { type Command, type Node, type Operand, type Pipeline, parseTemplate } from './parser.ts';
import { Float, fieldOf, isMap, isTrue, printValue, type Value } from './value.ts';

/** A tag is a word or two; a template that makes more is a mistake. */
const maxOutput = 64 * 1024;

/** Throws TemplateError with Go's words where it has some. */
export function renderTemplate(template: string, data: Value): string {
  const nodes = parseTemplate(template, (name) => Object.hasOwn(functions, name));
  const output: string[] = [];
  runList(nodes, data, [new Map([['$', data]])], output);
  return output.join('');
}

/** Innermost scope last. */
type Scopes = readonly Map<string, Value>[];

function runList(nodes: readonly Node[], dot: Value, scopes: Scopes, output: string[]): void {
  const inner = [...scopes, new Map<string, Value>()];
  for (const node of nodes) {
    if (node.kind === 'text') output.push(node.text);
    else if (node.kind === 'action') {
      const value = runPipeline(node.pipeline, dot, inner);
      if (node.pipeline.variables.length === 0) output.push(printValue(value));
    } else runControl(node, dot, inner, output);
    if (output.length > maxOutput) throw new TemplateError('the result is too long');
  }
}

function runControl(
  node: Exclude<Node, { kind: 'text' | 'action' }>,
  dot: Value,
  scopes: Scopes,
  output: string[],
): void {
  const inner = [...scopes, new Map<string, Value>()];
  if (node.kind === 'range') {
    runRange(node, dot, inner, output);
    return;
  }
  const value = runPipeline(node.pipeline, dot, inner);
  const chosen = isTrue(value) ? node.then : node.otherwise;
  runList(chosen, node.kind === 'with' && isTrue(value) ? value : dot, inner, output);
}

function runRange(
  node: Exclude<Node, { kind: 'text' | 'action' }>,
  dot: Value,
  scopes: Scopes,
  output: string[],
): void {
  const value = runPipeline({ ...node.pipeline, variables: [] }, dot, scopes);
  const pairs: readonly (readonly [Value, Value])[] = Array.isArray(value)
    ? value.map((item, index) => [index, item as Value] as const)
    : isMap(value)
      ? [...value].sort(([a], [b]) => (a < b ? -1 : 1))
      : [];
  if (!Array.isArray(value) && !isMap(value) && isTrue(value))
    throw new TemplateError(`range can't iterate over ${printValue(value)}`);
  if (pairs.length === 0) runList(node.otherwise, dot, scopes, output);
  for (const [key, item] of pairs) {
    const inner = [...scopes, new Map<string, Value>()];
    const [first, second] = node.pipeline.variables;
    if (first !== undefined) inner.at(-1)?.set(first, second === undefined ? item : key);
    if (second !== undefined) inner.at(-1)?.set(second, item);
    runList(node.then, item, inner, output);
  }
}

function runPipeline(pipeline: Pipeline, dot: Value, scopes: Scopes): Value {
  let value: Value;
  for (const [index, command] of pipeline.commands.entries()) {
    value = runCommand(command, dot, scopes, index > 0 ? [value] : []);
  }
  const [name] = pipeline.variables;
  if (name !== undefined) {
    const scope = pipeline.declares ? scopes.at(-1) : scopes.findLast((candidate) => candidate.has(name));
    if (scope === undefined) throw new TemplateError(`undefined variable ${JSON.stringify(name)}`);
    scope.set(name, value);
  }
  return value;
}

function runCommand(command: Command, dot: Value, scopes: Scopes, piped: readonly Value[]): Value {
  const [first, ...rest] = command;
  if (first === undefined) return undefined;
  if (first.kind === 'function') {
    const name = first.name;
    if (name === 'and' || name === 'or') return shortCircuit(name, rest, dot, scopes, piped);
    const args = [...rest.map((operand) => evaluate(operand, dot, scopes)), ...piped];
    const wanted = arity[name];
    if ((wanted !== undefined && args.length !== wanted) || args.length === 0) {
      throw new TemplateError(`wrong number of args for ${name}: want ${wanted ?? 'at least 1'} got ${args.length}`);
    }
    return functions[name]?.(...args);
  }
  if (rest.length > 0 || piped.length > 0) throw new TemplateError("can't give argument to non-function");
  return evaluate(first, dot, scopes);
}

function shortCircuit(
  name: 'and' | 'or',
  operands: readonly Operand[],
  dot: Value,
  scopes: Scopes,
  piped: readonly Value[],
): Value {
  let value: Value;
  for (const operand of operands) {
    value = evaluate(operand, dot, scopes);
    if (isTrue(value) === (name === 'or')) return value;
  }
  return piped.length > 0 ? piped[0] : value;
}

function evaluate(operand: Operand, dot: Value, scopes: Scopes): Value {
  switch (operand.kind) {
    case 'constant':
      return operand.float === true && typeof operand.value === 'number' ? new Float(operand.value) : operand.value;
    case 'dot':
      return dot;
    case 'function':
      return runCommand([operand], dot, scopes, []);
    case 'variable': {
      const scope = scopes.findLast((candidate) => candidate.has(operand.name));
      if (scope === undefined) throw new TemplateError(`undefined variable ${JSON.stringify(operand.name)}`);
      return scope.get(operand.name);
    }
    case 'field':
      return fieldOf(evaluate(operand.of, dot, scopes), operand.name);
    case 'pipeline':
      return runPipeline(operand.pipeline, dot, scopes);
  }
}
