import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseNfsOptions } from './options.ts';

test('typed options become what the kernel is told', () => {
  const config = parseNfsOptions({
    server: 'a.example.org, 192.0.2.1',
    export: '//srv/x/',
    version: '4.1',
    soft: '',
    timeo: '50',
    retrans: '2',
    rsize: '64k',
    nconnect: '4',
  });
  assert.equal(config.servers, ['a.example.org', '192.0.2.1']);
  assert.is(config.export, '/srv/x');
  assert.is(config.version, '4.1');
  assert.is(config.options, 'soft,timeo=50,retrans=2,rsize=65536,nconnect=4');
});

test("Docker's own spelling means the same", () => {
  const config = parseNfsOptions({ type: 'nfs', o: 'addr=192.0.2.1,nolock,soft,rw,nfsvers=3', device: ':/srv/x' });
  assert.equal(config.servers, ['192.0.2.1']);
  assert.is(config.export, '/srv/x');
  assert.is(config.version, '3');
  assert.is(config.options, 'nolock,soft,rw');
});

test('the server may stand in the device', () => {
  assert.equal(parseNfsOptions({ device: 'files.example.org:/x' }).servers, ['files.example.org']);
  assert.equal(parseNfsOptions({ device: '[2001:db8::1]:/x' }).servers, ['2001:db8::1']);
});

test('versions', () => {
  assert.is(parseNfsOptions({ server: 'a', export: '/x' }).version, undefined);
  assert.is(parseNfsOptions({ server: 'a', export: '/x', version: '4' }).version, '4.2');
  assert.is(parseNfsOptions({ type: 'nfs4', o: 'addr=192.0.2.1,minorversion=1', device: ':/x' }).version, '4.1');
  assert.throws(() => parseNfsOptions({ type: 'nfs', o: 'addr=192.0.2.1,vers=2', device: ':/x' }), /version 2/);
  assert.throws(() => parseNfsOptions({ server: 'a', export: '/x', version: '5' }), /version=5/);
});

test('volumes that differ in the sub-folder alone share a mount, others do not', () => {
  const key = (more: Readonly<Record<string, string>>): string =>
    parseNfsOptions({ server: 'a', export: '/x', ...more }).exportKey;
  assert.is(key({ subdir: 'one', uid: '3', ro: '' }), key({ subdir: 'two' }));
  assert.is.not(key({}), key({ version: '4.1' }));
  assert.is.not(key({}), key({ soft: '' }));
  assert.is.not(key({}), key({ export: '/y' }));
});

test('what is missing or wrong is named', () => {
  assert.throws(() => parseNfsOptions({ export: '/x' }), /no server/);
  assert.throws(() => parseNfsOptions({ server: 'a' }), /no export/);
  assert.throws(() => parseNfsOptions({ server: 'a', export: 'x' }), /export=x/);
  assert.throws(() => parseNfsOptions({ server: 'a;b', export: '/x' }), /server=/);
  assert.throws(() => parseNfsOptions({ server: 'a', export: '/../x' }), /export=/);
  assert.throws(() => parseNfsOptions({ server: 'a', export: '/x', soft: '', hard: '' }), /exclude each other/);
  assert.throws(() => parseNfsOptions({ server: 'a', export: '/x', timeo: '0' }), /timeo/);
});

test.run();
