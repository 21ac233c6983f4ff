/** `exec` before it runs: what is asked for is checked and remembered. */
import { randomBytes } from 'node:crypto';
import { badRequest, conflict, notFound } from '../api/api-error.ts';
import { asObject, type Body, flagField, textField } from '../api/fields.ts';
import { emitContainerEvent } from '../container/event.ts';
import { containerFolder } from '../container/folder.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { parseDetachKeys } from '../runtime/detach-keys.ts';
import { findUser } from '../runtime/user.ts';
import { type ExecConfig, ExecSession } from './session.ts';

/** Sessions that have ended are kept for `exec inspect`; at most so many of one container. */
const maxEnded = 64;

export function createExec(engine: Engine, name: string, body: unknown): ExecSession {
  const container = engine.containers.get(name);
  const config = decodeExecConfig(asObject(body, 'body'));
  requireRunning(container, name);
  findUser(
    containerFolder(engine.config, container.id).merged,
    config.user || container.record.config.User,
    container.record.hostConfig.GroupAdd ?? [],
  );
  const session = new ExecSession(randomBytes(32).toString('hex'), config);
  forgetOldest(container);
  container.execs.set(session.id, session);
  emitContainerEvent(engine, container, `exec_create: ${config.cmd.join(' ')}`, { execID: session.id });
  return session;
}

/** `shown`: the container as the client named it. */
export function requireRunning(container: Container, shown: string = container.id): void {
  const { status } = container.state;
  if (status === 'paused') throw conflict(`Container ${shown} is paused, unpause the container before exec`);
  if (status === 'restarting')
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  if (status !== 'running') throw conflict(`container ${container.id} is not running`);
}

/** With the container that it belongs to. */
export function findExec(engine: Engine, id: string): { container: Container; session: ExecSession } {
  for (const container of engine.containers.list()) {
    const session = container.execs.get(id);
    if (session !== undefined) return { container, session };
  }
  throw notFound(`No such exec instance: ${id}`);
}

export function inspectExec(container: Container, session: ExecSession): object {
  const { config } = session;
  const [entrypoint, ...args] = config.cmd;
  return {
    ID: session.id,
    Running: session.status === 'running',
    ExitCode: session.exitCode ?? null,
    ProcessConfig: {
      tty: config.tty,
      entrypoint,
      arguments: args,
      privileged: config.privileged,
      ...(config.user === '' ? {} : { user: config.user }),
    },
    OpenStdin: config.attachStdin,
    OpenStderr: config.attachStderr,
    OpenStdout: config.attachStdout,
    CanRemove: session.status === 'exited',
    ContainerID: container.id,
    DetachKeys: Buffer.from(parseDetachKeys(config.detachKeys || undefined)).toString('base64'),
    Pid: session.pid,
  };
}

function forgetOldest(container: Container): void {
  const ended = [...container.execs.values()].filter(({ status }) => status === 'exited');
  for (const { id } of ended.slice(0, Math.max(0, ended.length - maxEnded))) container.execs.delete(id);
}

function decodeExecConfig(body: Body): ExecConfig {
  const cmd = stringsField(body, 'Cmd');
  if (cmd.length === 0) throw badRequest('No exec command specified');
  const detachKeys = textField(body, 'DetachKeys');
  try {
    parseDetachKeys(detachKeys || undefined);
  } catch {
    throw badRequest(`Invalid escape keys (${detachKeys}) provided`);
  }
  return {
    user: textField(body, 'User'),
    privileged: flagField(body, 'Privileged', false),
    tty: flagField(body, 'Tty', false),
    attachStdin: flagField(body, 'AttachStdin', false),
    attachStdout: flagField(body, 'AttachStdout', false),
    attachStderr: flagField(body, 'AttachStderr', false),
    detachKeys,
    env: stringsField(body, 'Env'),
    cmd,
    workingDir: textField(body, 'WorkingDir'),
  };
}

function stringsField(body: Body, name: string): string[] {
  const value = body[name] ?? [];
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
    throw badRequest(`invalid JSON: field ${name} must be a list of strings`);
  return value;
}
