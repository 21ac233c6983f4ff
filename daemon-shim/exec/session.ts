/** One `docker exec`: what was asked for, and what has become of it. Kept in memory: it ends with its container, or with the shim. */
import type { ContainerStreams } from '../runtime/stdio.ts';

export interface ExecConfig {
  /** Empty: the container's own user. */
  readonly user: string;
  readonly privileged: boolean;
  readonly tty: boolean;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
  readonly env: readonly string[];
  /** At least one. */
  readonly cmd: readonly string[];
  /** Empty: the container's own. */
  readonly workingDir: string;
}

export class ExecSession {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly config: ExecConfig;
  status: 'created' | 'running' | 'exited' = 'created';
  /** Undefined until it has ended. */
  exitCode: number | undefined;
  pid = 0;
  streams: ContainerStreams | undefined;

  constructor(id: string, config: ExecConfig) {
    this.id = id;
    this.config = config;
  }
}
