/** What arrives at a GELF input, byte by byte, from Docker's own driver and from ours in the same engine, for every option; tag templates. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { type Engine, startEngine, usualEngines } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { openWire, type Wire, type WireCase } from '../support/log-wire.ts';
import { requires } from '../support/requires.ts';

requires('root');

const udp = 'gelf-address=udp://127.0.0.1:12201';
const tcp = 'gelf-address=tcp://127.0.0.1:12202';
const plain = 'gelf-compression-type=none';
const overUdp = (name: string, ...options: string[]): WireCase => ({
  name,
  place: 'udp:12201',
  options: [udp, ...options],
});
const overTcp = (name: string, ...options: string[]): WireCase => ({
  name,
  place: 'tcp:12202',
  options: [tcp, ...options],
});

/** Everything that Go's text/template and Docker's functions offer and both engines know; one tag has it all. */
const templates = [
  '{{.ID}}{{.FullID}}{{.ImageName}}{{.ImageID}}{{.ImageFullID}}{{.DaemonName}}{{.Command}}{{.Hostname}}',
  '{{.ContainerEntrypoint}}{{.ContainerArgs}}{{len .ContainerEnv}}{{.ContainerLabels}}{{.LogPath}}',
  '{{upper .ImageName}}{{lower "ABC"}}{{title "an ordinary line"}}{{truncate .ImageName 3}}{{pad .ImageName 2 3}}{{pad "" 1 1}}',
  // The engine has them in any order.
  '{{range .ContainerEnv}}{{if eq (slice . 0 2) "EX"}}{{.}}{{end}}{{end}}',
  '{{json .ContainerLabels}}{{json .ContainerArgs}}{{json "<é>"}}{{join (split "a:b:c" ":") "+"}}',
  '{{index .ContainerLabels "lab"}}{{index .ContainerArgs 0}}{{.ContainerLabels.none}}{{index .ContainerLabels "none"}}',
  '{{len .ImageName}}{{slice .ImageName 1 4}}{{slice .ContainerArgs 0 1}}{{printf "%05d|%-6s|%6.2f|%x|%q|%v|%t|%c|%T" 42 "ab" 3.14159 "hi" "q" .ContainerArgs true 65 1.5}}',
  '{{print 1 2 "a" 3}}{{println "x" 1}}{{html "<a&\'b\\">"}}{{js "<a\'b\\">="}}{{urlquery "a b&c/d"}}',
  '{{if and 1 (or 0 "x") (not false)}}yes{{else}}no{{end}}{{if eq 1 2 1}}e{{end}}{{if ne "a" "b"}}n{{end}}{{if lt 1 2}}l{{end}}{{if ge 2.5 2.5}}g{{end}}',
  '{{if 0}}a{{else if ""}}b{{else if .LogPath}}c{{else}}d{{end}}',
  '{{with .ContainerLabels.lab}}<{{.}}>{{end}}{{with .LogPath}}x{{else}}none{{end}}{{with $x := 5}}{{$x}}{{end}}',
  '{{range $i, $a := split "x y z" " "}}{{if $i}},{{end}}{{$i}}={{$a}}{{end}}{{range split "" "x"}}{{.}}{{else}}E{{end}}',
  '{{range $k, $v := .ContainerLabels}}{{$k}}:{{$v}};{{end}}',
  '{{range split "1 2 3 4" " "}}{{if eq . "2"}}{{continue}}{{end}}{{if eq . "4"}}{{break}}{{end}}{{.}}{{end}}',
  '{{define "t"}}[{{.}}]{{end}}{{template "t" .DaemonName}}{{block "b" 7}}({{.}}){{end}}',
  '{{$v := "a"}}{{$v}}{{if true}}{{$v = "b"}}{{end}}{{$v}}{{/* a comment */}} {{- " trimmed " -}}   {{`raw\\n`}}{{"\\u00e9\\x41\\t"}}',
  "{{1_000}}{{0x1F}}{{0b101}}{{0o17}}{{1e3}}{{-3}}{{'a'}}{{1.50}}{{true}}{{1e100}}",
  '{{.ContainerCreated.Year | printf "%04d" | len}}{{.ContainerCreated.Location}}',
  '{{"a" | printf "%s-%s" "b"}}{{("x") | upper | lower | print}}{{(index .ContainerArgs 0) | len}}',
];

const cases: readonly WireCase[] = [
  overUdp('as it is (gzip)'),
  overUdp('gzip, the best', 'gelf-compression-type=gzip', 'gelf-compression-level=9'),
  overUdp("gzip, zlib's own level", 'gelf-compression-level=-1'),
  overUdp('gzip that does not compress', 'gelf-compression-level=0'),
  overUdp('zlib', 'gelf-compression-type=zlib'),
  overUdp('zlib, best speed, a tag', 'gelf-compression-type=zlib', 'gelf-compression-level=1', 'tag=x{{.Name}}'),
  overUdp('not compressed', plain),
  overUdp('labels and env', plain, 'labels=lab,_under,none', 'env=EV,NONE'),
  overUdp('labels-regex and env-regex', plain, 'labels-regex=^la', 'labels=none', 'env-regex=^E'),
  overUdp('an empty tag, empty lists', plain, 'tag=', 'labels=', 'env=', 'labels-regex=', 'env-regex='),
  overUdp('the engine in front: non-blocking', plain, 'mode=non-blocking', 'max-buffer-size=1m'),
  { ...overUdp('IPv6', plain), options: ['gelf-address=udp://[::1]:12201', plain] },
  { ...overUdp('a name', plain), options: ['gelf-address=udp://localhost:12201', plain] },
  {
    ...overUdp('long lines in chunks', plain, 'env=EV'),
    script: `for n in 1200 1408 2000 9000 16000; do head -c $n /dev/zero | tr '\\0' x; echo; done; echo end`,
  },
  { ...overUdp('a long line, compressed'), script: `head -c 16000 /dev/zero | tr '\\0' x; echo; echo end` },
  overTcp('tcp', 'env=EX'),
  overTcp('tcp, patience', 'gelf-tcp-max-reconnect=10', 'gelf-tcp-reconnect-delay=2', 'labels-regex=.'),
  overTcp('tcp, a name', 'tag={{.ImageName}}'),
  overTcp('tcp, all of the template language', `tag=${templates.join('|')}`),
];

for (const version of usualEngines) {
  let host: Host;
  let engine: Engine;
  let wire: Wire;

  test(`engine ${version}: start`, async () => {
    host = await createHost({ name: 'logwire' });
    await startDaemon('logd', host);
    engine = await startEngine({ version, host });
    wire = await openWire(host, engine, ['udp:12201', 'tcp:12202'], []);
  });

  for (const one of cases) {
    test(`engine ${version}: ${one.name}`, async () => {
      const docker = await wire.send('gelf', one);
      const ours = await wire.send('cleat-gelf', one);
      // Engine 20.10 escapes U+FFFD, 28.5 does not; ours does as 28.5.
      const wanted = docker
        .map((message) => message.replaceAll('\\ufffd', Buffer.from('\uFFFD').toString('latin1')))
        .sort();
      for (const [index, message] of wanted.entries()) assert.is(ours[index], message);
      assert.is(ours.length, wanted.length);
    });
  }

  test(`engine ${version}: stop`, () => host.close());
}

test.run();
