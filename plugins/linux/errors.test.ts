import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errnoName, isKernelError, KernelError } from './errors.ts';

test('says what was asked and what the kernel answered', () => {
  const error = new KernelError({ errno: 16, call: 'RTM_NEWLINK', args: 'macvlan parent=eth0', detail: 'in use' });
  assert.is(error.message, 'EBUSY from RTM_NEWLINK macvlan parent=eth0: in use');
  assert.is(error.code, 'EBUSY');
  assert.is(new KernelError({ errno: 1, call: 'setns' }).message, 'EPERM from setns');
});

test('knows the names that drivers match on', () => {
  const names = {
    2: 'ENOENT',
    17: 'EEXIST',
    19: 'ENODEV',
    95: 'EOPNOTSUPP',
    117: 'EUCLEAN',
    122: 'EDQUOT',
    524: 'ENOTSUPP',
  };
  for (const [errno, name] of Object.entries(names)) assert.is(errnoName(Number(errno)), name);
  assert.is(errnoName(4000), 'errno 4000');
});

test('isKernelError matches any of the codes', () => {
  const error: unknown = new KernelError({ errno: 19, call: 'x' });
  assert.ok(isKernelError(error, 'ENOENT', 'ENODEV'));
  assert.ok(isKernelError(error));
  assert.not(isKernelError(error, 'EPERM'));
  assert.not(isKernelError(new Error('ENODEV')));
});

test.run();
