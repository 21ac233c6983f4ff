import { hostname } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogInfo } from '../sdk/log-plugin.ts';
import { renderTag } from './tag.ts';

const info: LogInfo = {
  config: { tag: '', foo: 'bar' },
  containerId: '0123456789abcdef'.repeat(4),
  containerName: '/web',
  containerEntrypoint: 'sh',
  containerArgs: ['-c', 'echo hi'],
  containerImageId: 'sha256:4e3a00112233',
  containerImageName: 'busybox:latest',
  containerCreated: '2026-11-20T16:21:36.416671004Z',
  containerEnv: ['A=1'],
  containerLabels: { lab: 'val', 'com.example/x': 'y' },
  logPath: '',
  daemonName: 'docker',
};

const render = (tag: string): string =>
  renderTag({ ...info, config: { ...info.config, tag } }, '{{.ID}}', 'cleat-syslog');

// What Go's text/template with Docker's functions makes of each.
const results: readonly (readonly [template: string, result: string])[] = [
  ['', '0123456789ab'],
  ['{{.ID}}', '0123456789ab'],
  ['{{.FullID}}', info.containerId],
  ['{{.Name}}/{{.ImageName}}', 'web/busybox:latest'],
  ['{{.ContainerName}}', '/web'],
  ['{{.ImageID}} {{.ImageFullID}}', 'sha256:4e3a0 sha256:4e3a00112233'],
  ['{{.DaemonName}}-{{.Command}}', 'docker-sh -c echo hi'],
  ['{{.Hostname}}', hostname()],
  ['{{ .Name | upper }}', 'WEB'],
  ['{{upper .Name | lower | title}}', 'Web'],
  ['{{truncate .FullID 4}}', '0123'],
  ['{{truncate .Name 10}}', 'web'],
  ['{{pad .Name 1 2}}|', ' web  |'],
  ['{{join (split .ImageName ":") "_"}}', 'busybox_latest'],
  ['{{index (split .ImageName ":") 1}}', 'latest'],
  ['{{index .ContainerLabels "com.example/x"}}', 'y'],
  ['{{index .ContainerLabels "none"}}.', '.'],
  ['{{.ContainerLabels.lab}}', 'val'],
  ['{{.ContainerLabels.none}}', '<no value>'],
  ['{{json .Config}}', '{"foo":"bar","tag":"{{json .Config}}"}'],
  ['{{json .ContainerArgs}}', '["-c","echo hi"]'],
  ['{{.ContainerArgs}}', '[-c echo hi]'],
  ['{{.ContainerLabels}}', 'map[com.example/x:y lab:val]'],
  ['{{.ContainerCreated}}', '2026-11-20 16:21:36.416671004 +0000 UTC'],
  ['{{with .ContainerLabels.lab}}<{{.}}>{{end}}', '<val>'],
  ['{{with .LogPath}}{{.}}{{else}}none{{end}}', 'none'],
  ['{{if eq .Name "db" "web"}}yes{{else}}no{{end}}', 'yes'],
  ['{{if and .Name (ne .DaemonName "x")}}a{{end}}', 'a'],
  ['{{if not .LogPath}}b{{else if .Name}}c{{end}}', 'b'],
  ['{{range $i, $a := .ContainerArgs}}{{if $i}},{{end}}{{$a}}{{end}}', '-c,echo hi'],
  ['{{range .ContainerEnv}}{{.}};{{end}}', 'A=1;'],
  ['{{$n := .Name}}{{$n}}{{$n = "x"}}{{$n}}', 'webx'],
  ['{{printf "%s.%d.%q.%5s|%-5s|" .Name 42 "a" "b" "c"}}', 'web.42."a".    b|c    |'],
  ['{{printf "%d" "x"}}', '%!d(string=x)'],
  ['{{len .Name}}{{slice .Name 1 3}}', '3eb'],
  ['a  {{- .Name -}}  b', 'awebb'],
  ['{{/* nothing */}}x', 'x'],
  ['{{print 1 2 "a" 3}}{{1.50}}{{true}}{{`raw\\n`}}{{"\\t"}}', '1 2a31.5trueraw\\n\t'],
  ['{{"<a&b>" | html}}', '&lt;a&amp;b&gt;'],
  ['{{define "n"}}<{{.}}>{{end}}{{template "n" .Name}}{{template "n" "x"}}', '<web><x>'],
  ['{{template "later"}}{{define "later"}}{{with .}}a{{else}}b{{end}}{{end}}', 'b'],
  ['{{block "n" .Name}}[{{.}}]{{end}}{{template "n" .DaemonName}}', '[web][docker]'],
  ['{{$n := 1}}{{define "n"}}{{$}}{{end}}{{template "n" 5}}', '5'],
  ['{{range .ContainerArgs}}{{if eq . "echo hi"}}{{break}}{{end}}{{.}},{{end}}', '-c,'],
  ['{{range .ContainerArgs}}{{if eq . "-c"}}{{continue}}{{end}}{{.}},{{end}}', 'echo hi,'],
  ['{{range 3}}{{.}}{{end}}', '012'],
  ['{{1_000}}{{0x_1F}}{{0b101}}', '1000315'],
  ['{{.ContainerCreated.Format "2006-01-02T15:04:05.000Z07:00"}}', '2026-11-20T16:21:36.416Z'],
  [
    '{{.ContainerCreated.Format "Mon, 2 Jan 06 03:04PM .9999 -0700 MST 002"}}',
    'Fri, 20 Nov 26 04:21PM .4166 +0000 UTC 324',
  ],
  ['{{.ContainerCreated.Year}}{{.ContainerCreated.Month}}{{.ContainerCreated.Unix}}', '2026November1795191696'],
  ['{{define "x"}}{{end}}{{define "x"}}y{{end}}{{template "x"}}', 'y'],
];

for (const [template, result] of results) {
  test(`renders ${template}`, () => assert.is(render(template), result));
}

for (const template of [
  '{{.Nope}}',
  '{{',
  '{{.ID',
  '{{nofunc .ID}}',
  '{{if .ID}}',
  '{{end}}',
  '{{upper}}',
  '{{.Name.X}}',
  '{{eq 1 "a"}}',
  '{{define "x"}}',
  '{{define x}}{{end}}',
  '{{.Name 1}}',
  '{{.ContainerCreated.Format}}',
  '{{.ContainerLabels.lab 1}}',
  '{{if 1}}{{define "x"}}{{end}}{{end}}',
  '{{template "x"}}',
  '{{define "x"}}a{{end}}{{define "x"}}b{{end}}',
  '{{define "x"}}{{template "x"}}{{end}}{{template "x"}}',
  '{{break}}',
  '{{range .ContainerArgs}}{{define "x"}}{{end}}{{end}}',
  '{{range 2}}{{block "x" .}}{{break}}{{end}}{{end}}',
  // What would hold up the daemon, or fill its memory.
  '{{range 999999999}}{{end}}',
  `${'{{range 99}}'.repeat(40)}${'{{end}}'.repeat(40)}`,
  `{{define "a"}}{{.}}{{end}}${Array.from({ length: 40 }, (_, i) => `{{define "${i + 1}"}}{{template "${i}"}}{{template "${i}"}}{{end}}`).join('')}{{define "0"}}{{end}}{{template "40"}}`,
  '{{pad .Name 999999999 1}}',
  `{{$x := .Name}}${'{{$x = print $x $x}}'.repeat(60)}`,
  `{{range 9999}}${'x'.repeat(100)}{{end}}`,
]) {
  test(`refuses ${template}`, () => {
    assert.throws(() => render(template), /option tag=.* cannot be used/);
  });
}

test.run();
