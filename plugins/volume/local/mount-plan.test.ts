/** Plans as the commands that they come down to. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { planLocal } from './mount-plan.ts';
import { parseLocalOptions } from './options.ts';

const paths = { data: '/v/_data', image: '/v/image', root: '/m/root', device: '/m/device' };

function plan(options: Readonly<Record<string, string>>, isImage = false): string {
  const { mount, bind, path } = planLocal(parseLocalOptions(options), isImage, paths);
  const lines = [
    mount &&
      `mount ${mount.fsType === undefined ? '' : `-t ${mount.fsType} `}-o ${mount.options} ${mount.source} ${mount.target}`,
    bind && `bind ${bind.from}${bind.inside === '' ? '' : `/${bind.inside}`} /m/root ${bind.options}`.trim(),
    `=> ${path}`,
  ];
  return lines.filter(Boolean).join('\n');
}

test('a folder of ours is handed out as it is', () => {
  assert.is(plan({}), '=> /v/_data');
  assert.is(plan({ size: '1g' }), '=> /v/_data');
});

test('read-only and sub-folders are bind mounts', () => {
  assert.is(plan({ ro: '' }), 'bind /v/_data /m/root ro\n=> /m/root');
  assert.is(plan({ subdir: 'a//b/' }), 'bind /v/_data/a/b /m/root\n=> /m/root');
});

test('an image is mounted, and a folder in it handed out, so that lost+found does not stop the copy-up', () => {
  assert.is(plan({ size: '1g' }, true), 'mount -o loop,discard /v/image /m/device\n=> /m/device/_data');
  assert.is(
    plan({ size: '1g', ro: '1' }, true),
    'mount -o loop,discard /v/image /m/device\nbind /m/device/_data /m/root ro\n=> /m/root',
  );
});

test('type, o and device as Docker takes them', () => {
  assert.is(plan({ type: 'none', o: 'bind', device: '/srv/x' }), 'mount -o bind /srv/x /m/root\n=> /m/root');
  assert.is(plan({ type: 'none', o: 'rbind,ro', device: '/srv/x' }), 'mount -o rbind,ro /srv/x /m/root\n=> /m/root');
  assert.is(
    plan({ type: 'tmpfs', o: 'size=1m,uid=3', device: 'tmpfs' }),
    'mount -t tmpfs -o size=1m,uid=3 tmpfs /m/root\n=> /m/root',
  );
  assert.is(
    plan({ type: 'nfs', o: 'addr=192.0.2.1,rw', device: ':/x' }),
    'mount -t nfs -o addr=192.0.2.1,rw :/x /m/root\n=> /m/root',
  );
  assert.is(
    plan({ type: 'ext4', device: '/dev/vdb', ro: '1', o: 'noatime,rw' }),
    'mount -t ext4 -o noatime,ro /dev/vdb /m/root\n=> /m/root',
  );
});

test('a device alone is a bind mount; with a sub-folder it moves aside', () => {
  assert.is(plan({ device: '/srv/x' }), 'mount -o bind /srv/x /m/root\n=> /m/root');
  assert.is(
    plan({ device: '/srv/x', subdir: 'a', ro: '1' }),
    'mount -o bind /srv/x /m/device\nbind /m/device/a /m/root ro\n=> /m/root',
  );
});

test('what Docker refuses is refused in its words', () => {
  assert.throws(() => parseLocalOptions({ type: 'tmpfs' }), /missing required option: "device"/);
  assert.throws(() => parseLocalOptions({ o: 'bind' }), /missing required option: "device"/);
});

test('what makes no sense together is refused', () => {
  assert.throws(() => parseLocalOptions({ size: '1g', device: '/x' }), /size= and inodes=/);
  assert.throws(() => parseLocalOptions({ device: 'relative' }), /absolute path/);
  assert.throws(() => parseLocalOptions({ credentials: '/etc/c' }), /credentials=/);
  assert.throws(() => parseLocalOptions({ create: '' }), /create=true/);
  assert.throws(() => parseLocalOptions({ device: '/x', subdir: '../y' }), /subdir/);
});

test.run();
