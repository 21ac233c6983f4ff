import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { applyChanges } from './changes.ts';

const test = suite('--change');

test('each instruction sets its field', () => {
  const config = applyChanges({ Env: ['A=old', 'PATH=/bin'], WorkingDir: '/srv' }, [
    'ENV A=1 B="two words"',
    'ENV C three words',
    'CMD ["sh", "-c", "true"]',
    'ENTRYPOINT exec top',
    'EXPOSE 80 53/udp 8000-8002',
    'LABEL a=b\nLABEL "c d"="e f"',
    'VOLUME ["/data"]',
    'VOLUME /one /two',
    'USER nobody:nogroup',
    'WORKDIR sub',
    'STOPSIGNAL SIGINT',
    'ONBUILD RUN true',
    'HEALTHCHECK --interval=5s --retries=3 CMD wget -q localhost',
  ]);
  assert.deepEqual(config, {
    Env: ['PATH=/bin', 'A=1', 'B=two words', 'C=three words'],
    WorkingDir: '/srv/sub',
    Cmd: ['sh', '-c', 'true'],
    Entrypoint: ['/bin/sh', '-c', 'exec top'],
    ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {}, '8002/tcp': {} },
    Labels: { a: 'b', 'c d': 'e f' },
    Volumes: { '/data': {}, '/one': {}, '/two': {} },
    User: 'nobody:nogroup',
    StopSignal: 'SIGINT',
    OnBuild: ['RUN true'],
    Healthcheck: { Test: ['CMD-SHELL', 'wget -q localhost'], Interval: 5_000_000_000, Retries: 3 },
  });
});

test('what builds, and what is no instruction, is refused', () => {
  assert.throws(() => applyChanges({}, ['RUN true']), /RUN is not a valid change command/);
  assert.throws(() => applyChanges({}, ['COPY a b']), /COPY is not a valid change command/);
  assert.throws(() => applyChanges({}, ['CMD']), /CMD requires at least one argument/);
  assert.throws(() => applyChanges({}, ['EXPOSE x']), /invalid containerPort: x/);
  assert.throws(() => applyChanges({}, ['ENV A']), /ENV must have two arguments/);
  assert.throws(() => applyChanges({}, ['HEALTHCHECK maybe']), /HEALTHCHECK requires CMD or NONE/);
});

test.run();
