/** The guest kernel: what it has that this machine may lack, and the exit code and output that come back. */
import { test } from 'uvu';
import { equal, is, match } from 'uvu/assert';
import { inGuest } from '../support/guest.ts';
import { requires } from '../support/requires.ts';

requires('root', 'uml', 'program:tcc', 'program:modprobe');

test('a script runs in the guest with links and file systems that containers need', async () => {
  const { code, output } = await inGuest(
    `set -e
    ip link add parent0 type dummy
    ip link add child0 link parent0 type ipvlan mode l2
    ip link add link parent0 name parent0.7 type vlan id 7
    modprobe nfsd
    grep -w nfsd /proc/filesystems
    echo "$WORD" >/etc/cleat-probe
    cat /etc/cleat-probe
    exit 7`,
    { env: { WORD: "it's written" } },
  );
  is(code, 7, output);
  equal(output.trim().split(/\s*\n/), ['nodev\tnfsd', "it's written"]);
});

test('the guest runs our own Node and test support', async () => {
  const support = new URL('../support/host.ts', import.meta.url).pathname;
  const root = new URL('../..', import.meta.url).pathname;
  const script = `const { createHost } = await import(${JSON.stringify(support)}); const host = await createHost();
    console.log(await host.sh('ip -brief link')); await host.close();`;
  const { code, output } = await inGuest(`${root}bin/node --input-type=module -e '${script.replaceAll("'", `'\\''`)}'`);
  is(code, 0, output);
  match(output, /^lo\s/);
});

test.run();
