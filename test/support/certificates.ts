/** A certificate authority of a test's host: certificates of given names that are valid, or have been. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';

export interface Certificates {
  /** `ca.pem`, `NAME.pem`, `NAME.key`. */
  path(file: string): string;
  /** Makes NAME.pem and NAME.key, or makes them anew: valid since 2020 for so many days from now, for localhost and 127.0.0.1. */
  make(name: string, days?: number): Promise<void>;
}

let authorities = 0;

export async function certificates(host: Host): Promise<Certificates> {
  const folder = join(host.dir, `certificates-${++authorities}`);
  mkdirSync(folder);
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  await host.sh(`
    cd ${folder}
    openssl req -x509 ${key} -days 9 -subj /CN=ca${authorities} -keyout ca.key -out ca.pem 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext
    touch index; echo 01 >serial
    printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=.\\npolicy=p\\ndefault_md=sha256\\nunique_subject=no\\n[p]\\ncommonName=supplied\\n' >ca.cnf`);
  return {
    path: (file) => join(folder, file),
    async make(name, days = 9) {
      const end = new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
      // Renamed into place, as tools that renew certificates do.
      await host.sh(`
        cd ${folder}
        openssl req ${key} -subj /CN=${name} -keyout new.key -out new.csr 2>/dev/null
        openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -extfile ext -in new.csr -out new.pem -notext \\
          -startdate 20200101000000Z -enddate ${end}Z 2>/dev/null
        mv new.key ${name}.key; mv new.pem ${name}.pem`);
    },
  };
}
